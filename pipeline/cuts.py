"""Where the open utterance ends, or is cut because it has grown too long.

Pure, and part of the endpointing core: it imports no numpy, asyncio, time or logging.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.audio import SAMPLE_RATE, VAD_FRAME_SAMPLES
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.pauses import longest_pause
from pipeline.scored_audio import ScoredAudio
from pipeline.utterance import MIN_VOICED_FRAMES, Segment, Utterance

PAUSE_REGION_FRAMES = 4 * SAMPLE_RATE // VAD_FRAME_SAMPLES
"""A cut looks back this far at least (but never over two thirds): in 4 s people pause."""


class Cut(NamedTuple):
    """Where the open segment ends. Frames."""

    speech_end: int
    """Behind the last speech before the cut."""
    behind: int
    """What lies from here on belongs to what follows."""
    final: bool
    """Whether the utterance ends here too."""


@dataclass(frozen=True, slots=True)
class Cutter:
    """Looks at the open utterance as of one frame, `now`: the first that is not known yet."""

    policy: EndpointingPolicy
    audio: ScoredAudio
    utterance: Utterance
    now: int

    def due(self) -> Cut | None:
        """The cut that the last frame has made due."""
        silence_frame = self.utterance.silence_frame
        if silence_frame is not None and self._has_lasted(silence_frame):
            return Cut(silence_frame, self.now, final=True)
        if self._outgrows(self.utterance.first, self.policy.max_window):
            return self._in_pause_of(self.utterance.first, final=True)
        return self._segment_due() if silence_frame is None else None

    def _has_lasted(self, silence_frame: int) -> bool:
        return (self.now - silence_frame) * VAD_FRAME_SAMPLES >= self.policy.min_silence

    def _segment_due(self) -> Cut | None:
        """A cut that the utterance survives, if there is more than a click on both its sides."""
        longest, utterance = self.policy.segment, self.utterance
        if longest is None or utterance.has_lost:
            return None
        if not self._outgrows(utterance.segment, longest):
            return None
        cut = self._in_pause_of(utterance.segment, final=False)
        before = range(utterance.segment.first_frame, cut.speech_end)
        fewer = min(self._voiced(before), self._voiced(range(cut.behind, self.now)))
        return cut if fewer >= MIN_VOICED_FRAMES else None

    def _outgrows(self, segment: Segment, length: int) -> bool:
        """Whether one more frame would make the audio from there on longer than this."""
        return self.audio.position_of(self.now + 1) - segment.audio_start > length

    def _in_pause_of(self, grown: Segment, final: bool) -> Cut:
        """A cut of the open segment, in the longest late pause of what has grown too long."""
        length = self.now - self.audio.frame_at(grown.audio_start)
        region = max(length // 3, min(PAUSE_REGION_FRAMES, length * 2 // 3))
        earliest = min(self.utterance.segment.first_frame + MIN_VOICED_FRAMES, self.now - 1)
        first = max(self.now - region, earliest)
        pause_start, pause_end = longest_pause(
            self.audio.scores(first, self.now), self.policy.silence_threshold
        )
        behind = first + (pause_start + pause_end + 1) // 2
        quiet_speech = self.audio.voiced(range(first + pause_start, behind), self.policy.threshold)
        return Cut(quiet_speech[-1] + 1 if quiet_speech else first + pause_start, behind, final)

    def _voiced(self, frames: range) -> int:
        return len(self.audio.voiced(frames, self.policy.threshold))
