"""What the endpointing core remembers of the open utterance, and what it makes of it: windows.

An utterance is one segment until it is cut; then what lies behind the cut is its open segment.
Part of the endpointing core: it imports no numpy, asyncio, time or logging.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.audio import MAX_HOP_SAMPLES, SAMPLE_RATE, WHISPER_WINDOW_SAMPLES

MIN_VOICED_FRAMES = 5
"""160 ms of speech frames: the shortest word spoken fast ("a", "go") has as many; bursts that are
shorter are clicks, and Whisper makes a word of every click."""
SEGMENT_PATIENCE_SAMPLES = 10 * SAMPLE_RATE
"""A segment that got no answer for this long is taken for lost. It is more than a gateway sends
while it waits for an answer (64 hops of 128 ms), so that audio that comes faster than it was spoken
is cut as in real time."""
MOST_KEPT_SAMPLES = WHISPER_WINDOW_SAMPLES - MAX_HOP_SAMPLES
"""Nor is a segment waited for when there is more from its start on: at the end of the audio, one
hop later, all of that may have to be one window."""


@dataclass(frozen=True, slots=True)
class Window:
    """The audio of one engine request and its place in the stream. Positions are in samples."""

    number: int
    """Counts the windows of the stream, from 1."""
    utterance: int
    """Counts the utterances of the stream, from 0; shared by an utterance's windows."""
    final: bool
    utterance_start: int
    """Where the utterance's speech starts, `speech_pad` included."""
    start: int
    end: int
    """Where the window's segment starts and ends (for a partial: so far), `speech_pad` included."""
    audio_start: int
    """Position of the first sample of `audio`."""
    audio: bytes
    """PCM, signed 16 bit."""
    voiced: int
    """Samples in frames that reached the threshold."""
    speech_probability: float
    """Mean probability over the frames between the segment's first and last speech."""
    early: bool = False
    """No final, but the final will have this audio if nothing more is said."""
    segment: bool = False
    """No final: the utterance goes on, but its later windows do not contain this one's audio."""
    interrupted: bool = False
    """A partial at whose end somebody speaks, perhaps in the middle of a word."""
    goes_on_at: int = 0
    """Of a final: position from which on the next utterance is listened for."""


class Segment(NamedTuple):
    """Where a segment begins: its first speech frame, and the position of its audio."""

    first_frame: int
    audio_start: int


class Unsettled(NamedTuple):
    """A segment that was cut and has not been answered yet."""

    number: int
    """Its window's."""
    segment: Segment
    received: int
    """Position behind the audio that had been received when it was cut."""

    def is_lost(self, received: int) -> bool:
        """Whether its answer has been waited for long enough, now that so much was received."""
        kept = received - self.segment.audio_start
        return received - self.received >= SEGMENT_PATIENCE_SAMPLES or kept > MOST_KEPT_SAMPLES


@dataclass(slots=True)
class Utterance:
    """The open utterance. Frames are numbered from the start of the stream."""

    first: Segment
    segment: Segment
    """The open one."""
    unsettled: Unsettled | None = None
    """The segment before the open one, while its answer has not come."""
    has_lost: bool = False
    """Whether a segment was not answered: the next may not be either, so none is cut any more."""
    silence_frame: int | None = None
    early_frame: int | None = None
    """The silence that an early window was made in."""
    last_voiced_frame: int = 0
    voiced_frames: int = 0
    partial_position: int = 0

    @property
    def is_speech(self) -> bool:
        """Whether it is more than a click."""
        return self.voiced_frames >= MIN_VOICED_FRAMES

    def rejoin(self) -> None:
        """Open the unsettled segment again: nobody answers it, so what follows contains it."""
        if self.unsettled is not None:
            self.segment = self.unsettled.segment
            self.unsettled = None
            self.has_lost = True
