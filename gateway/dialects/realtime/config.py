"""What a transcription session is set to: what the client gave so far, and what follows from it.

Pure. A client gives parts of it, again and again; what it leaves out stays as it is. The beta's
flat names are translated into the present ones, and back where the client is told. Names that mean
nothing here are ignored.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.accepted import describe_field
from gateway.audio import MAX_INPUT_RATE, MIN_INPUT_RATE, PCM_MULAW, PCM_S16LE
from gateway.dialects import metadata as wire
from gateway.dialects.metadata import OptionError, checked, prompt_of, terms
from gateway.messages import show
from gateway.protocol import Integer
from pipeline.audio import SAMPLE_BYTES
from pipeline.language import AUTO

Tree = dict[str, Any]
PCM, MULAW, ALAW = "audio/pcm", "audio/pcmu", "audio/pcma"
G711_RATE = 8_000
MANUAL_SILENCE_MS = 10_000
"""Without turn detection: the longest there is, so that utterances end where they are committed."""
EAGERNESS_MS = {"low": 1_000, "medium": 500, "auto": 500, "high": 300}
"""Silence that stands for `semantic_vad`, which nothing here can do."""
MANUAL_MODELS = ("gpt-live-transcribe", "gpt-realtime-whisper")
"""Models without turn detection: a client that asks for one and says nothing else gets none."""
MAX_NAME_CHARS = 200
_BETA_FORMATS = {"pcm16": PCM, "g711_ulaw": MULAW, "g711_alaw": ALAW}
_BETA_NAMES = {
    "format": "input_audio_format",
    "transcription": "input_audio_transcription",
    "turn_detection": "turn_detection",
    "noise_reduction": "input_audio_noise_reduction",
}
_NAMES = {
    wire.LANGUAGE_OPTIONS: "transcription.languages",
    wire.LANGUAGE: "transcription.language",
    wire.PROMPT: "transcription.prompt",
    wire.THRESHOLD: "turn_detection.threshold",
    wire.MIN_SILENCE: "turn_detection.silence_duration_ms",
}
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Format(_Part):
    """`format`: what the audio is, always mono."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: Annotated[Integer, Field(ge=MIN_INPUT_RATE, le=MAX_INPUT_RATE)] = 24_000

    @property
    def byte_rate(self) -> int:
        """Bytes of a second."""
        return self.rate * SAMPLE_BYTES if self.type == PCM else G711_RATE


class Transcription(_Part):
    """`transcription`: what is recognised."""

    model: Name = "whisper-1"
    language: Name | None = None
    languages: Annotated[list[Name], Field(max_length=100)] = []
    prompt: str | None = None
    keywords: Annotated[list[Name], Field(max_length=1000)] = []


class TurnDetection(_Part):
    """`turn_detection`: when an utterance ends by itself."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: Integer = 300
    silence_duration_ms: Integer = 500
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


class NoiseReduction(_Part):
    """`noise_reduction`: told back, and nothing else."""

    type: Literal["near_field", "far_field"] | None = None


class Config(_Part):
    """The whole of it, as in `session.audio.input`."""

    format: Format = Format()
    transcription: Transcription = Transcription()
    turn_detection: TurnDetection | None = TurnDetection()
    noise_reduction: NoiseReduction | None = None

    @property
    def is_manual(self) -> bool:
        """Whether items end only where the client commits."""
        return self.turn_detection is None

    def metadata(self) -> str:
        """A session's metadata for this.

        Raises:
            OptionError: a field cannot be used.
        """
        asked, turns = self.transcription, self.turn_detection
        several = asked.languages if len(asked.languages) > 1 else []
        one = asked.language or (asked.languages[0] if len(asked.languages) == 1 else AUTO)
        tree = {
            "whisper_params": {
                "audio_language": AUTO if several else one,
                "language_options": several,
                "prompt": prompt_of(asked.prompt, terms(asked.keywords)),
            },
            "streaming_params": {
                "encoding": PCM_MULAW if self.format.type == MULAW else PCM_S16LE,
                "sample_rate": self.format.rate if self.format.type == PCM else G711_RATE,
                "enable_partial_transcripts": True,
            },
            "streaming_vad_config": {
                "threshold": turns.threshold if turns else TurnDetection().threshold,
                "min_silence_duration_ms": _silence_ms(turns),
            },
        }
        return checked(tree, _NAMES)

    def shown(self) -> Tree:
        """It as the client is told, in `session.audio.input`."""
        is_pcm = self.format.type == PCM
        turns = self.turn_detection
        return {
            "format": self.format.model_dump(exclude=None if is_pcm else {"rate"}),
            "transcription": self.transcription.model_dump(),
            "noise_reduction": self.noise_reduction and self.noise_reduction.model_dump(),
            "turn_detection": turns
            and {
                "type": "server_vad",
                "threshold": turns.threshold,
                "prefix_padding_ms": turns.prefix_padding_ms,
                "silence_duration_ms": _silence_ms(turns),
            },
        }


def _silence_ms(turns: TurnDetection | None) -> int:
    if turns is None:
        return MANUAL_SILENCE_MS
    if turns.type == "semantic_vad":
        return EAGERNESS_MS[turns.eagerness]
    return turns.silence_duration_ms


def given_by(session: Tree, is_beta: bool) -> Tree:
    """The parts of the configuration that a client's `session` gives.

    Raises:
        OptionError: it is not of this form.
    """
    if is_beta:
        return _given_by_beta(session)
    kind = session.get("type", "transcription")
    if kind != "transcription":
        raise OptionError("type", f"found {show(kind)}; accepted is transcription")
    given = session
    for name in ("audio", "input"):
        given = given.get(name, {})
        if not isinstance(given, dict):
            raise OptionError(name, f"found {show(given)}; accepted is an object")
    return {name: given[name] for name in Config.model_fields if name in given}


def _given_by_beta(session: Tree) -> Tree:
    given = {name: session[beta] for name, beta in _BETA_NAMES.items() if beta in session}
    if "format" in given:
        audio_format = given["format"]
        if not isinstance(audio_format, str) or audio_format not in _BETA_FORMATS:
            accepted = ", ".join(_BETA_FORMATS)
            raise OptionError("format", f"found {show(audio_format)}; accepted are {accepted}")
        given["format"] = {"type": _BETA_FORMATS[audio_format]}
    return given


def merged(before: Tree, given: Tree) -> Tree:
    """What was given before, and now: each field of each part as it was given last."""
    after = dict(before)
    for name, part in given.items():
        known = before.get(name)
        both_are_objects = isinstance(known, dict) and isinstance(part, dict)
        after[name] = {**known, **part} if both_are_objects else part  # type: ignore[dict-item]
    return after


def config_of(given: Tree) -> Config:
    """The configuration that follows from all that was given.

    Raises:
        OptionError: a field cannot be used.
    """
    set_ = {name: part for name, part in given.items() if part is not None}
    if "turn_detection" in given:
        set_["turn_detection"] = given["turn_detection"]
    try:
        config = Config.model_validate({name: _without_nulls(part) for name, part in set_.items()})
    except ValidationError as error:
        raise _option_error(error) from None
    is_live = config.transcription.model.startswith(MANUAL_MODELS)
    if is_live and "turn_detection" not in given:
        config = config.model_copy(update={"turn_detection": None})
    config.metadata()
    return config


def _without_nulls(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in part.items() if value is not None}


def _option_error(error: ValidationError) -> OptionError:
    first = error.errors()[0]
    names = [name for name in first["loc"] if isinstance(name, str)]
    model: Any = Config
    for name in names[:-1]:
        model = _PARTS[name]
    accepted = describe_field(model, names[-1], item=isinstance(first["loc"][-1], int))
    return OptionError(".".join(names), f"found {show(first['input'])}; accepted is {accepted}")


_PARTS: dict[str, type[BaseModel]] = {
    "format": Format,
    "transcription": Transcription,
    "turn_detection": TurnDetection,
    "noise_reduction": NoiseReduction,
}


def parameter(path: str, is_beta: bool) -> str:
    """The client's own path of a field: `turn_detection.threshold` is a part of its `session`."""
    if is_beta:
        part, _, rest = path.partition(".")
        name = _BETA_NAMES.get(part, part)
        return f"session.{name}" if part == "format" or not rest else f"session.{name}.{rest}"
    return f"session.{path}" if path in ("type", "audio") else _present(path)


def _present(path: str) -> str:
    return "session.audio.input" if path == "input" else f"session.audio.input.{path}"


def shown_in_beta(config: Config) -> Tree:
    """The configuration in the beta's flat form."""
    shown = config.shown()
    formats = {new: beta for beta, new in _BETA_FORMATS.items()}
    return {
        _BETA_NAMES[name]: formats[config.format.type] if name == "format" else part
        for name, part in shown.items()
    }
