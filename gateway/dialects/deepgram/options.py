"""What the query of a live transcription asks for, as a session's metadata.

Pure. Options that do not map onto ours are ignored, as Deepgram ignores unknown ones, but for those
whose being ignored would do harm. docs/protocols.md has the table.
"""

from dataclasses import dataclass

from gateway.dialects import metadata as wire
from gateway.dialects.dialect import Upgrade
from gateway.dialects.metadata import OptionError, checked, prompt_of, terms
from gateway.dialects.wav import ALAW, MULAW, PCM_16, WavFormat
from gateway.messages import cut
from pipeline.audio import SAMPLE_RATE
from pipeline.language import AUTO

DEFAULT_LANGUAGE = "en"
MULTI = "multi"
"""The value of `language` that has it detected."""
ENCODINGS = (PCM_16, MULAW, ALAW)
MIN_SILENCE_MS = 300
"""Whisper hears words in their context: shorter utterances have more errors. Deepgram's default
endpointing of 10 ms would cut between words."""
MAX_SILENCE_MS = 10_000
MIN_UTTERANCE_END_MS = 1_000
"""As in Deepgram's documentation."""
NAMES = {
    wire.LANGUAGE: "language",
    wire.LANGUAGE_OPTIONS: "language_hint",
    wire.SAMPLE_RATE: "sample_rate",
    wire.PROMPT: "keyterm",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What one client asked for."""

    audio: WavFormat | None
    """What the packets hold; None: a file whose header says so."""
    model: str
    language: str
    language_hints: tuple[str, ...]
    terms: tuple[str, ...]
    """Words to expect."""
    interim_results: bool
    vad_events: bool
    speech_final: bool
    """Whether the end of speech is told."""
    min_silence_ms: int
    utterance_end_ms: int | None

    @property
    def detects_language(self) -> bool:
        """Whether the language is to be found."""
        return self.language == AUTO

    def metadata(self, audio: WavFormat) -> str:
        """A session's first message, for audio like this.

        Raises:
            OptionError: an option cannot be used.
        """
        encoding = "pcm_mulaw" if audio.encoding == MULAW else "pcm_s16le"
        tree = {
            "whisper_params": {
                "audio_language": self.language,
                "language_options": list(self.language_hints),
                "prompt": prompt_of(terms(list(self.terms))),
                "show_word_timestamps": True,
            },
            "streaming_params": {
                "encoding": encoding,
                "sample_rate": audio.sample_rate,
                "enable_partial_transcripts": self._needs_partials,
            },
            "streaming_vad_config": {"min_silence_duration_ms": self.min_silence_ms},
            "include_timing_info": True,
        }
        return checked(tree, NAMES)

    @property
    def _needs_partials(self) -> bool:
        return self.interim_results or self.vad_events or self.utterance_end_ms is not None


def read_options(query: Upgrade) -> Options:
    """The options of an upgrade.

    Raises:
        OptionError: one cannot be used, or would do harm if it were ignored.
    """
    _refuse_what_would_do_harm(query)
    speech_final, min_silence_ms = _endpointing(query.last("endpointing"))
    language = query.last("language") or DEFAULT_LANGUAGE
    detects = language == MULTI or _flag(query, "detect_language")
    options = Options(
        audio=_audio(query),
        model=query.last("model") or "whisper",
        language=AUTO if detects else language,
        language_hints=tuple(query.all("language_hint")) if detects else (),
        terms=tuple(_term(term) for term in query.all("keyterm") + query.all("keywords")),
        interim_results=_flag(query, "interim_results"),
        vad_events=_flag(query, "vad_events"),
        speech_final=speech_final,
        min_silence_ms=min_silence_ms,
        utterance_end_ms=_utterance_end_ms(query),
    )
    options.metadata(options.audio or WavFormat(PCM_16, SAMPLE_RATE))
    return options


def _refuse_what_would_do_harm(query: Upgrade) -> None:
    if query.last("callback") is not None:
        raise OptionError("callback", "not supported; results are sent on this connection")
    if query.last("redact") not in (None, "", "false"):
        raise OptionError("redact", "not supported; nothing would be left out")
    if query.last("channels") not in (None, "", "1"):
        found = cut(query.last("channels") or "")
        raise OptionError("channels", f"found {found}; accepted is 1, mono")


def _audio(query: Upgrade) -> WavFormat | None:
    encoding = query.last("encoding")
    if not encoding:
        return None
    if encoding not in ENCODINGS:
        accepted = ", ".join(ENCODINGS)
        raise OptionError("encoding", f"found {cut(encoding)}; accepted are {accepted}, and none")
    rate = _integer("sample_rate", query.last("sample_rate"))
    if rate is None:
        raise OptionError("sample_rate", "it is needed where encoding is given")
    return WavFormat(encoding, rate)


def _endpointing(value: str | None) -> tuple[bool, int]:
    """Whether `speech_final` is told, and the silence that ends an utterance."""
    if value == "false":
        return False, MIN_SILENCE_MS
    ms = None if value == "true" else _integer("endpointing", value)
    return True, min(max(ms or 0, MIN_SILENCE_MS), MAX_SILENCE_MS)


def _utterance_end_ms(query: Upgrade) -> int | None:
    ms = _integer("utterance_end_ms", query.last("utterance_end_ms"))
    if ms is not None and ms < MIN_UTTERANCE_END_MS:
        raise OptionError(
            "utterance_end_ms", f"found {ms}; accepted is {MIN_UTTERANCE_END_MS} at least"
        )
    return ms


def _term(value: str) -> str:
    """A term without the weight that `keywords` may have behind it."""
    term, colon, weight = value.rpartition(":")
    return term if colon and weight.lstrip("-").replace(".", "", 1).isdecimal() else value


def _flag(query: Upgrade, name: str) -> bool:
    value = query.last(name)
    if value in (None, "", "false", "False"):
        return False
    if value in ("true", "True"):
        return True
    raise OptionError(name, f"found {cut(value or '')}; accepted are true and false")


def _integer(name: str, value: str | None) -> int | None:
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise OptionError(name, f"found {cut(value)}; accepted is an integer")
    return int(value)
