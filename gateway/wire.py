"""What goes over the websocket besides audio and metadata, as typed messages.

Pure. The pipeline and `gateway.messages` make these messages as plain JSON; here stands what they
promise, once, for the published schemas (`gateway.schemas`) and for the client (`gateway.client`),
and tests hold every message that is sent against it. Reading is tolerant: keys that are not known
are left out, and those that not every server sends have a default.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class _Message(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,  # this server leaves nothing out
    )


class Word(_Message):
    """A word with its times."""

    word: str
    start_time: Seconds
    """Seconds from the start of the audio of this connection."""
    end_time: Seconds
    prob: Probability


class Beam(_Message):
    """What one beam of the search came to."""

    text: str
    log_prob: float


class Segment(_Message):
    """A piece of an utterance; a message has one, or none when nothing is told."""

    start_time: Seconds
    """Seconds from the start of the audio of this connection."""
    end_time: Seconds
    text: str
    log_prob: float
    """Sum over the segment's tokens."""
    word_timestamps: list[Word] = []
    """With `show_word_timestamps`."""
    possible_hallucination: bool = False
    """The text may not be what was said."""
    beam_results: list[Beam] = []
    """With `show_beam_results`: every beam, the best first by log-probability per token."""
    language_code: str | None = None
    language_prob: Probability | None = None
    speaker: None = None
    speaker_confidence: None = None


class TimingInfo(_Message):
    """How late a message is."""

    audio_received_sec: Seconds
    """Audio of this connection that had gone to the engine, up to what led to the message."""
    hop_sent_at: float
    """When the last of that audio was sent to the engine, Unix time in seconds."""
    answered_at: float
    """When the engine's answer came, Unix time in seconds."""


class Transcription(_Message):
    """What has been heard of an utterance: a partial, or its final."""

    type: Literal["transcription"]
    is_final: bool
    """False: it replaces the text of the same `transcription_num`. True: nothing follows for it."""
    transcription_num: Annotated[int, Field(ge=0)]
    """Counts the utterances that are told, from 0."""
    transcript: str = ""
    """The text."""
    committed: str = ""
    """How much of the text, from its beginning, later partials keep; all of it in a final."""
    confidence: Probability = 0.0
    """Probability of an average token."""
    segments: list[Segment]
    """Empty only when text that a partial showed is taken back."""
    language_code: str
    """ISO 639-1, the language given or found; `und` when nobody could tell."""
    language_prob: Probability | None = None
    """Null when the language was given."""
    audio_length_sec: Seconds
    """Duration of the audio behind this message."""
    diarization: Annotated[list[Any], Field(max_length=0)] = []
    timing_info: TimingInfo | None = None
    """With `include_timing_info`."""
    pipeline_latency: Seconds | None = None
    """With `include_timing_info`: seconds from the audio to the engine's answer."""
    enable_chunk_level_language_detection: Literal[False] = False
    next_partial: None = None

    @property
    def start_s(self) -> float | None:
        """Where the text begins, in seconds; None without text."""
        return self.segments[0].start_time if self.segments else None

    @property
    def end_s(self) -> float | None:
        """Where the text ends, in seconds; None without text."""
        return self.segments[-1].end_time if self.segments else None


class EndAudioStatus(_Message):
    """How far the end of the audio has come."""

    status: Literal["acknowledged", "finished"]


class EndAudio(_Message):
    """`acknowledged` at once, `finished` behind the last final."""

    type: Literal["end_audio"]
    body: EndAudioStatus


class Health(_Message):
    """That the session is well."""

    status: Literal["ok"]


class HealthCheck(_Message):
    """The answer to a health check; it comes in the order of what the client sends."""

    type: Literal["health_check"]
    body: Health


class ErrorReason(_Message):
    """The reason once more, for clients that look for it here."""

    message: str


class Error(_Message):
    """Before a close it tells the reason. Else the session goes on."""

    type: Literal["error"]
    message: str
    body: ErrorReason


ServerMessage = Annotated[
    Transcription | EndAudio | HealthCheck | Error, Field(discriminator="type")
]
"""Whatever the server sends."""

SERVER_MESSAGE: TypeAdapter[Transcription | EndAudio | HealthCheck | Error] = TypeAdapter(
    ServerMessage
)


class EndAudioRequest(_Message):
    """The audio is over."""

    type: Literal["end_audio"]


class HealthCheckRequest(_Message):
    """Whether the session is well, and how far it has read what was sent."""

    type: Literal["health_check"]


ClientRequest = Annotated[EndAudioRequest | HealthCheckRequest, Field(discriminator="type")]
"""A client's text behind the metadata."""


class RefusalReason(_Message):
    """The reason once more."""

    message: str


class UpgradeRefusal(_Message):
    """The JSON body of the HTTP response when a websocket is refused."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    error: str
    """For people."""
    type: str
    """For programs: `unauthorized`, `forbidden_origin`, `not_found`, `upgrade_required`,
    `too_many_streams`, `too_many_streams_of_key`, `too_many_streams_of_address`, `overloaded` or
    `stopping`."""
    retry_after_s: int | None = None
    """With status 503: when to come again."""
    body: RefusalReason
