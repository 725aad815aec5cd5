"""The audio of a stream that is still needed, in whole VAD frames with their scores.

It counts frames from the start of the stream and knows their positions. It decides nothing. Part
of the endpointing core: it imports no numpy, asyncio, time or logging.
"""

from collections.abc import Sequence

from pipeline.audio import SAMPLE_BYTES, VAD_FRAME_BYTES, VAD_FRAME_SAMPLES


class ScoredAudio:
    """Frames from `first_frame` to `end_frame`: audio, speech probabilities, and levels in dB."""

    def __init__(self, start_sample: int) -> None:
        self.first_frame = 0
        self._origin = start_sample
        self._audio = bytearray()
        self._scores: list[tuple[float, float]] = []

    @property
    def end_frame(self) -> int:
        """The frame behind the last one."""
        return self.first_frame + len(self._scores)

    @property
    def start(self) -> int:
        """Position of the first sample that is still there."""
        return self.position_of(self.first_frame)

    @property
    def end(self) -> int:
        """Position behind the last frame."""
        return self.position_of(self.end_frame)

    def append(self, pcm: bytes, probabilities: Sequence[float], levels: Sequence[float]) -> None:
        """Add whole frames.

        Raises:
            ValueError: audio, probabilities and levels are not of the same number of frames.
        """
        frames = len(probabilities)
        if len(pcm) != frames * VAD_FRAME_BYTES or len(levels) != frames:
            raise ValueError(
                f"{len(pcm)} bytes of audio and {len(levels)} levels do not belong to "
                f"{frames} frames of {VAD_FRAME_BYTES} bytes"
            )
        self._audio += pcm
        self._scores.extend(zip(probabilities, levels, strict=True))

    def append_tail(self, pcm: bytes) -> None:
        """Add the audio behind the last whole frame. No frame may follow it."""
        self._audio += pcm

    def probability(self, frame: int) -> float:
        """A frame's speech probability."""
        return self._scores[frame - self.first_frame][0]

    def voiced(self, frames: range, threshold: float) -> list[int]:
        """Those of these frames that reach a threshold."""
        return [frame for frame in frames if self.probability(frame) >= threshold]

    def scores(self, first: int, last: int) -> Sequence[tuple[float, float]]:
        """Probabilities and levels of the frames from `first` to `last`, a half-open range."""
        return self._scores[first - self.first_frame : last - self.first_frame]

    def pcm(self, start: int, end: int) -> bytes:
        """The audio between two positions."""
        return bytes(
            self._audio[(start - self.start) * SAMPLE_BYTES : (end - self.start) * SAMPLE_BYTES]
        )

    def position_of(self, frame: int) -> int:
        """Position of a frame's first sample."""
        return self._origin + frame * VAD_FRAME_SAMPLES

    def frame_at(self, position: int) -> int:
        """The frame that a position lies in."""
        return (position - self._origin) // VAD_FRAME_SAMPLES

    def forget_before(self, frame: int) -> None:
        """Drop what lies before a frame."""
        drop = frame - self.first_frame
        if drop > 0:
            del self._audio[: drop * VAD_FRAME_BYTES]
            del self._scores[:drop]
            self.first_frame = frame
