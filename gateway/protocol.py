"""The metadata, a client's first message: checked, and turned into what the pipeline takes.

The models below are the wire's names and types; limits of the values stand in
`pipeline.options.StreamOptions`. Every field may be left out, null means not given. Errors name
the field as the client spelled it, the value found, and what is accepted. Older spellings are
mapped by `gateway.legacy` first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.accepted import describe_field, describe_keys
from gateway.audio import ENCODINGS, MAX_INPUT_RATE, MIN_INPUT_RATE, PCM_S16LE, AudioFormat
from gateway.legacy import LEGACY_GROUPS, MetadataError, Tree, map_legacy
from gateway.messages import cut, parse_json, show
from pipeline.audio import SAMPLE_RATE
from pipeline.options import (
    DEFAULT_PARTIAL_INTERVAL_S,
    LEAST_PARTIAL_INTERVAL_S,
    StreamOptions,
)


def _whole(value: Any) -> Any:
    """Some clients' JSON has no integers: 300.0 is 300."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]


class _Group(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class WhisperSamplingParams(_Group):
    """`whisper_params.whisper_sampling_params`."""

    beam_width: Integer | None = None
    """Beams of the search; 1 is greedy."""
    length_penalty: float | None = None
    repetition_penalty: float | None = None
    beam_search_diversity_rate: float | None = None
    """Accepted, has no effect."""
    no_repeat_ngram_size: Integer | None = None
    """0 is off."""


class WhisperParams(_Group):
    """`whisper_params`: what is recognised, and what is told of it."""

    audio_language: str | None = None
    """The language spoken: an ISO 639-1 code, or `auto`. A region (`en-US`) is ignored."""
    prompt: str | None = None
    """Names and spellings to expect."""
    language_options: list[str] | None = None
    """With `auto`: choose among these; an empty list is all."""
    language_detection_only: bool | None = None
    """Find the language, whatever `audio_language` says, and tell it with an empty text."""
    use_dynamic_preprocessing: bool | None = None
    """Even out loudness before recognition."""
    show_word_timestamps: bool | None = None
    """Fill `word_timestamps`."""
    show_beam_results: bool | None = None
    """Fill `beam_results`."""
    whisper_sampling_params: WhisperSamplingParams = WhisperSamplingParams()


class StreamingParams(_Group):
    """`streaming_params`: the audio, and when transcripts are sent."""

    encoding: Literal["pcm_s16le", "pcm_mulaw"] = PCM_S16LE
    """Signed 16 bit little endian, or G.711 mu-law."""
    sample_rate: Annotated[
        int, Field(ge=MIN_INPUT_RATE, le=MAX_INPUT_RATE), BeforeValidator(_whole)
    ] = SAMPLE_RATE
    """Hz."""
    enable_partial_transcripts: bool | None = None
    """Send partials."""
    partial_transcript_interval_s: float | None = None
    """Audio between two partials."""
    final_transcript_max_duration_s: float | None = None
    """A final is forced after this much audio."""


class StreamingVadConfig(_Group):
    """`streaming_vad_config`: what ends an utterance."""

    threshold: float | None = None
    """Speech probability that counts as speech."""
    min_silence_duration_ms: Integer | None = None
    """Silence that ends an utterance."""
    speech_pad_ms: Integer | None = None
    """Audio added before and after the speech."""


class Metadata(_Group):
    """The whole first message; `{}` is valid."""

    whisper_params: WhisperParams = WhisperParams()
    streaming_params: StreamingParams = StreamingParams()
    streaming_vad_config: StreamingVadConfig = StreamingVadConfig()
    streaming_diarization_config: dict[str, Any] = {}
    """Speaker diarization is not supported; only an empty object is accepted."""
    include_timing_info: bool = False
    """Fill `pipeline_latency` and `timing_info`."""


GROUP_DEPTH = 2
"""Groups within groups: `whisper_params.whisper_sampling_params`."""
MAX_PROBLEMS = 5
"""Problems told in one error; a message may hold a million."""

OPTION_OF = {
    "whisper_params.audio_language": "language",
    "whisper_params.prompt": "prompt",
    "whisper_params.language_options": "language_options",
    "whisper_params.language_detection_only": "language_detection_only",
    "whisper_params.use_dynamic_preprocessing": "dynamic_preprocessing",
    "whisper_params.show_word_timestamps": "word_timestamps",
    "whisper_params.show_beam_results": "beam_results",
    "whisper_params.whisper_sampling_params.beam_width": "beam_width",
    "whisper_params.whisper_sampling_params.length_penalty": "length_penalty",
    "whisper_params.whisper_sampling_params.repetition_penalty": "repetition_penalty",
    "whisper_params.whisper_sampling_params.beam_search_diversity_rate": (
        "beam_search_diversity_rate"
    ),
    "whisper_params.whisper_sampling_params.no_repeat_ngram_size": "no_repeat_ngram_size",
    "streaming_params.enable_partial_transcripts": "partials",
    "streaming_params.partial_transcript_interval_s": "partial_interval_s",
    "streaming_params.final_transcript_max_duration_s": "max_utterance_s",
    "streaming_vad_config.threshold": "vad_threshold",
    "streaming_vad_config.min_silence_duration_ms": "min_silence_ms",
    "streaming_vad_config.speech_pad_ms": "speech_pad_ms",
}
"""The stream option behind each field of the wire that is one."""
_FIELD_OF = {option: field for field, option in OPTION_OF.items()}


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What one session was asked to do."""

    stream: StreamOptions
    audio: AudioFormat
    timing_info: bool = False


@dataclass(frozen=True, slots=True)
class Cadence:
    """What an operator decides of partials, in seconds of audio."""

    interval_s: float = DEFAULT_PARTIAL_INTERVAL_S
    """Between partials, for a client that does not say."""
    least_interval_s: float = LEAST_PARTIAL_INTERVAL_S
    """A client that asks for less gets this."""

    def applied(self, stream: StreamOptions, asked: bool) -> StreamOptions:
        """The options with this cadence. `asked`: the interval is the client's own."""
        wanted = stream.partial_interval_s if asked else self.interval_s
        interval_s = max(wanted, self.least_interval_s)
        return stream.model_copy(update={"partial_interval_s": interval_s})


_AS_ASKED = Cadence()


def parse_metadata(text: str, cadence: Cadence = _AS_ASKED) -> SessionOptions:
    """The options that a first message asks for.

    Raises:
        MetadataError: it is malformed or a field cannot be used; the text is for the client.
    """
    given = _parse_object(text)
    tree, spelled = map_legacy(_without_nulls(given))
    try:
        metadata = Metadata.model_validate(tree)
    except ValidationError as error:
        raise _metadata_error(error, spelled) from None
    if metadata.streaming_diarization_config:
        raise MetadataError(
            "streaming_diarization_config: speaker diarization is not supported; accepted is {}"
        )
    return SessionOptions(
        stream=cadence.applied(
            _stream_options(metadata, spelled),
            asked=metadata.streaming_params.partial_transcript_interval_s is not None,
        ),
        audio=AudioFormat(
            metadata.streaming_params.encoding, metadata.streaming_params.sample_rate
        ),
        timing_info=metadata.include_timing_info,
    )


def _parse_object(text: str) -> Tree:
    try:
        message = parse_json(text)
    except ValueError as error:
        raise MetadataError(f"malformed JSON: {error}") from None
    if not isinstance(message, dict):
        raise MetadataError(f"found {show(message)}; accepted is a JSON object, {{}} at the least")
    if isinstance(message.get("type"), str):
        raise MetadataError(f"it must come first; found a message of type {show(message['type'])}")
    return message


def _without_nulls(tree: Tree, depth: int = GROUP_DEPTH) -> Tree:
    return {
        key: _without_nulls(value, depth - 1) if depth and isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }


def _stream_options(metadata: Metadata, spelled: dict[str, str]) -> StreamOptions:
    given = dict(_leaves(metadata.model_dump(exclude_unset=True)))
    try:
        return StreamOptions.model_validate(
            {OPTION_OF[field]: value for field, value in given.items() if field in OPTION_OF}
        )
    except ValidationError as error:
        raise _metadata_error(error, spelled) from None


def _leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _metadata_error(error: ValidationError, spelled: dict[str, str]) -> MetadataError:
    problems = error.errors()[:MAX_PROBLEMS]
    return MetadataError("; ".join(_problem(dict(problem), spelled) for problem in problems))


def _problem(error: dict[str, Any], spelled: dict[str, str]) -> str:
    loc = error["loc"] or (error["input"],)  # a key that is no Unicode has no place
    names = [name for name in loc if isinstance(name, str)]
    item = "".join(f"[{name}]" for name in loc if isinstance(name, int))
    path = _FIELD_OF.get(names[0], ".".join(names))
    shown = cut(spelled.get(path, path) + item)
    if error["type"] == "extra_forbidden" or not error["loc"]:
        accepted = describe_keys(_group_at(names[:-1]))
        if len(names) == 1:
            accepted += f"; older spellings: {', '.join(LEGACY_GROUPS)}"
        return f"{shown}: unknown field; accepted are {accepted}"
    return f"{shown}: found {show(error['input'])}; accepted is {accepted_by(path, bool(item))}"


def accepted_by(path: str, item: bool = False) -> str:
    """What the field at this path of the wire accepts. `item`: one element of its list."""
    if path in OPTION_OF:
        return describe_field(StreamOptions, OPTION_OF[path], item)
    if path == "streaming_params.encoding":
        return " or ".join(ENCODINGS)
    group, _, name = path.rpartition(".")
    return describe_field(_group_at(group.split(".") if group else []), name, item)


def _group_at(names: list[str]) -> type[BaseModel]:
    group: type[BaseModel] = Metadata
    for name in names:
        annotation = group.model_fields[name].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        group = annotation
    return group
