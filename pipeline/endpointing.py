"""The endpointing state machine: speech probabilities and audio in, windows out.

A sans-I/O object. It imports no numpy, asyncio, time or logging; its clock is the sample index, so
the same audio gives the same finals whatever the sizes of hops and packets. It does not know what
scores a frame, what decodes a window, or that there is a Triton.

    endpointer = Endpointer(policy)
    endpointer.receive(pcm, probabilities, levels)   # whole VAD frames
    window = endpointer.next_window()                # at most one
    window = endpointer.close(tail)                  # the audio has ended

Rules:

- An utterance opens at the first frame whose probability reaches `threshold` and ends after
  `min_silence` since a frame under `silence_threshold`, a lower one (the hysteresis of Silero's
  own `VADIterator`). One with fewer than `MIN_VOICED_FRAMES` speech frames is a click: it gives
  no window.
- An utterance that grows to `max_window` is cut in the longest pause of its last third, or of its
  last seconds where the third is short.
- As soon as silence has lasted for `early_silence`, the utterance so far is a window: when nothing
  more is said, the final has the same audio, and its decoding has been begun before its endpoint.
- `next_window` stops at the first final, because an ensemble step may answer a request only once;
  frames after it wait for the next call. Partials are made only when no frame waits.
- Windows carry more audio than the utterance's times say: lead-in before, lead-out after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.audio import (
    SAMPLE_BYTES,
    SAMPLE_RATE,
    VAD_FRAME_BYTES,
    VAD_FRAME_SAMPLES,
    WHISPER_WINDOW_SAMPLES,
)
from pipeline.pauses import longest_pause

HYSTERESIS = 0.15
LOWEST_SILENCE_THRESHOLD = 0.01
"""Silero's VADIterator: silence is under `max(threshold - 0.15, 0.01)`."""
MIN_VOICED_FRAMES = 5
"""160 ms of speech frames: the shortest word spoken fast ("a", "go") has as many; bursts that are
shorter are clicks, and Whisper makes a word of every click."""
LEAD_IN_FRAMES = 12
"""384 ms before the first speech frame go into the window: onsets are weaker than the threshold,
and short English utterances lose words with less (measured: 128 and 256 ms)."""
LEAD_OUT_SAMPLES = 4 * VAD_FRAME_SAMPLES
"""128 ms of what follows the speech go into the window: the soft end of the last word. Half a
second is hardly more accurate (measured), but is not there yet when the early window is made."""
PAUSE_REGION_FRAMES = 4 * SAMPLE_RATE // VAD_FRAME_SAMPLES
"""A cut looks back this far at least (but never over two thirds): in 4 s people pause."""
PARTIAL_PATIENCE_SAMPLES = 5 * SAMPLE_RATE
"""A partial that got no answer for this long is taken for lost, and the next one is made."""


@dataclass(frozen=True, slots=True)
class EndpointingPolicy:
    """When utterances begin, end, and show partials. Lengths are in samples."""

    threshold: float = 0.5
    min_silence: int = SAMPLE_RATE * 300 // 1000
    speech_pad: int = 0
    max_window: int = WHISPER_WINDOW_SAMPLES
    partial_interval: int | None = None
    """Audio between two partials; None makes no partials."""
    early_silence: int | None = None
    """Silence after which the utterance so far is a window; None makes none before the end."""

    @property
    def silence_threshold(self) -> float:
        """A frame with a probability under this is silence."""
        return max(self.threshold - HYSTERESIS, LOWEST_SILENCE_THRESHOLD)


@dataclass(frozen=True, slots=True)
class Window:
    """The audio of one engine request and its place in the stream. Positions are in samples."""

    number: int
    """Counts the windows of the stream, from 1."""
    utterance: int
    """Counts the utterances of the stream, from 0; shared by an utterance's windows."""
    final: bool
    start: int
    end: int
    """Where the utterance starts and ends (for a partial: so far), `speech_pad` included."""
    audio_start: int
    """Position of the first sample of `audio`."""
    audio: bytes
    """PCM, signed 16 bit."""
    voiced: int
    """Samples in frames that reached the threshold."""
    speech_probability: float
    """Mean probability over the frames between the utterance's first and last speech."""
    early: bool = False
    """No final, but the final will have this audio if nothing more is said."""


@dataclass(slots=True)
class _Utterance:
    """The open utterance. Frames are numbered from the start of the stream."""

    first_frame: int
    audio_start: int
    silence_frame: int | None = None
    early_frame: int | None = None
    """The silence that an early window was made in."""
    last_voiced_frame: int = 0
    voiced_frames: int = 0
    partial_position: int = 0

    @property
    def is_speech(self) -> bool:
        return self.voiced_frames >= MIN_VOICED_FRAMES


class Endpointer:
    """Turns scored frames of one stream into windows. See the module for the rules."""

    def __init__(self, policy: EndpointingPolicy, start_sample: int = 0) -> None:
        self.policy = policy
        self._origin = start_sample
        self._audio = bytearray()
        self._scores: list[tuple[float, float]] = []
        self._kept_frame = 0  # the frame that _audio and _scores begin with
        self._next_frame = 0  # the first frame that was not looked at yet
        self._floor = start_sample  # what lies before belongs to an utterance that has ended
        self._open: _Utterance | None = None
        self._windows = 0
        self._utterances = 0
        self._partial_in_flight: tuple[int, int] | None = None  # its number and position
        self._closing = False  # then all audio is kept: several finals may become one window

    @property
    def position(self) -> int:
        """Position behind the last frame that was looked at."""
        return self._position_of(self._next_frame)

    @property
    def is_open(self) -> bool:
        """Whether an utterance is open."""
        return self._open is not None

    def receive(self, pcm: bytes, probabilities: Sequence[float], levels: Sequence[float]) -> None:
        """Take whole VAD frames: their audio, speech probabilities, and levels in dB.

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

    def next_window(self) -> Window | None:
        """The next window that is due: a final, else an early one, else a partial, else None."""
        while self._next_frame < self._last_frame:
            final = self._look_at_next_frame()
            if final is not None:
                return final
        return self._early_if_due() or self._partial_if_due()

    def close(self, tail: bytes = b"") -> Window | None:
        """End the stream: the final of what is open, with `tail`, the audio behind the last frame.

        Where several finals are due they become one window, so that nothing is lost.
        """
        self._closing = True
        finals = []
        while self._next_frame < self._last_frame:
            final = self._look_at_next_frame()
            if final is not None:
                finals.append(final)
        self._audio += tail
        if self._open is not None and self._open.is_speech:
            finals.append(self._end_at(self._end_position(len(tail) // SAMPLE_BYTES)))
        self._open = None
        if not finals:
            return None
        return finals[0] if len(finals) == 1 else self._merge(finals)

    def answered(self, number: int) -> None:
        """The window of this number has been answered: the next partial may be made."""
        if self._partial_in_flight and number >= self._partial_in_flight[0]:
            self._partial_in_flight = None

    # The state machine.

    def _look_at_next_frame(self) -> Window | None:
        frame = self._next_frame
        probability = self._probability(frame)
        self._next_frame += 1
        if self._open is None:
            if probability < self.policy.threshold:
                self._forget_before(self._next_frame - self._lead_in_frames)
                return None
            self._begin(frame)
        return self._look_at_utterance(frame, probability)

    def _begin(self, frame: int) -> None:
        position = self._position_of(frame)
        lead_in = self._position_of(frame - self._lead_in_frames)
        self._open = _Utterance(
            first_frame=frame,
            audio_start=max(lead_in, self._floor, self._position_of(self._kept_frame)),
            partial_position=position,
        )

    def _look_at_utterance(self, frame: int, probability: float) -> Window | None:
        utterance = self._open
        assert utterance is not None
        if probability >= self.policy.threshold:
            utterance.voiced_frames += 1
            utterance.last_voiced_frame = frame
            utterance.silence_frame = None
        elif probability < self.policy.silence_threshold and utterance.silence_frame is None:
            utterance.silence_frame = frame
        if utterance.silence_frame is not None:
            silence = (self._next_frame - utterance.silence_frame) * VAD_FRAME_SAMPLES
            if silence >= self.policy.min_silence:
                return self._end_in_silence(utterance.silence_frame)
        if self.position + VAD_FRAME_SAMPLES - utterance.audio_start > self.policy.max_window:
            return self._cut_in_pause(utterance)
        return None

    def _end_in_silence(self, silence_frame: int) -> Window | None:
        utterance = self._open
        assert utterance is not None
        if not utterance.is_speech:
            self._open = None
            return None
        return self._end_at(self._position_of(silence_frame))

    def _cut_in_pause(self, utterance: _Utterance) -> Window | None:
        """End the utterance in its longest late pause, and look again at what lies behind it."""
        if not utterance.is_speech:
            self._open = None
            return None
        length = self._next_frame - self._frame_at(utterance.audio_start)
        region = max(length // 3, min(PAUSE_REGION_FRAMES, length * 2 // 3))
        earliest = min(utterance.first_frame + MIN_VOICED_FRAMES, self._next_frame - 1)
        region_start = max(self._next_frame - region, earliest)
        pause_start, pause_end = longest_pause(
            self._scores[region_start - self._kept_frame : self._next_frame - self._kept_frame],
            self.policy.silence_threshold,
        )
        self._next_frame = region_start + (pause_start + pause_end + 1) // 2
        quiet_speech_end = self._voiced_end(region_start + pause_start, self._next_frame)
        return self._end_at(self._position_of(quiet_speech_end))

    def _voiced_end(self, first: int, last: int) -> int:
        """The frame behind the last voiced one from `first` to `last`; `first` if there is none."""
        while last > first and not self._is_voiced(last - 1):
            last -= 1
        return last

    # Windows.

    def _early_if_due(self) -> Window | None:
        utterance, early_silence = self._open, self.policy.early_silence
        if utterance is None or early_silence is None or not utterance.is_speech:
            return None
        silence_frame = utterance.silence_frame
        if silence_frame is None or utterance.early_frame == silence_frame:
            return None
        if self.position - self._position_of(silence_frame) < early_silence:
            return None
        utterance.early_frame = silence_frame
        return replace(self._take_partial(utterance), early=True)

    def _partial_if_due(self) -> Window | None:
        utterance, interval = self._open, self.policy.partial_interval
        if utterance is None or interval is None or not utterance.is_speech:
            return None
        spoken_since = self._position_of(utterance.last_voiced_frame) >= utterance.partial_position
        due = self.position - utterance.partial_position >= interval
        if not (due and spoken_since) or self._waits_for_partial():
            return None
        return self._take_partial(utterance)

    def _take_partial(self, utterance: _Utterance) -> Window:
        utterance.partial_position = self.position
        window = self._window(self._speech_end(), final=False)
        self._partial_in_flight = (window.number, self.position)
        return window

    def _waits_for_partial(self) -> bool:
        if self._partial_in_flight is None:
            return False
        return self.position - self._partial_in_flight[1] < PARTIAL_PATIENCE_SAMPLES

    def _speech_end(self) -> int:
        """Where the open utterance's speech has ended so far."""
        assert self._open is not None
        silence = self._open.silence_frame
        return self.position if silence is None else self._position_of(silence)

    def _end_position(self, tail_samples: int) -> int:
        """Where speech that the end of the audio interrupts has ended."""
        assert self._open is not None
        silent = self._open.silence_frame is not None
        return self._speech_end() if silent else self.position + tail_samples

    def _end_at(self, end: int) -> Window:
        """The open utterance's final. What lies behind its end is open to the next utterance."""
        window = self._window(end, final=True)
        self._floor = window.end
        self._open = None
        self._utterances += 1
        self._partial_in_flight = None
        self._forget_before(self._next_frame - self._lead_in_frames)
        return window

    def _window(self, end: int, final: bool) -> Window:
        utterance = self._open
        assert utterance is not None
        self._windows += 1
        heard = max(self.position, end)
        audio_end = min(end + max(LEAD_OUT_SAMPLES, self.policy.speech_pad), heard)
        first = self._position_of(utterance.first_frame)
        heard_frames = range(utterance.first_frame, self._frame_at(end))
        return Window(
            number=self._windows,
            utterance=self._utterances,
            final=final,
            start=max(first - self.policy.speech_pad, utterance.audio_start),
            end=min(end + self.policy.speech_pad, heard),
            audio_start=utterance.audio_start,
            audio=self._audio_between(utterance.audio_start, audio_end),
            voiced=sum(map(self._is_voiced, heard_frames)) * VAD_FRAME_SAMPLES,
            speech_probability=sum(map(self._probability, heard_frames)) / len(heard_frames),
        )

    def _merge(self, finals: Sequence[Window]) -> Window:
        """Several finals and what lies between them as one window, the first one's utterance."""
        first, last = finals[0], finals[-1]
        voiced = sum(final.voiced for final in finals)
        audio_end = last.audio_start + len(last.audio) // SAMPLE_BYTES
        return replace(
            first,
            end=last.end,
            audio=self._audio_between(first.audio_start, audio_end),
            voiced=voiced,
            speech_probability=sum(f.speech_probability * f.voiced for f in finals) / voiced,
        )

    # Positions, frames and the audio kept.

    @property
    def _last_frame(self) -> int:
        return self._kept_frame + len(self._scores)

    @property
    def _lead_in_frames(self) -> int:
        wanted = max(LEAD_IN_FRAMES, -(-self.policy.speech_pad // VAD_FRAME_SAMPLES))
        return min(wanted, self.policy.max_window // VAD_FRAME_SAMPLES // 3)  # room for speech

    def _probability(self, frame: int) -> float:
        return self._scores[frame - self._kept_frame][0]

    def _is_voiced(self, frame: int) -> bool:
        return self._probability(frame) >= self.policy.threshold

    def _position_of(self, frame: int) -> int:
        return self._origin + frame * VAD_FRAME_SAMPLES

    def _frame_at(self, position: int) -> int:
        return (position - self._origin) // VAD_FRAME_SAMPLES

    def _audio_between(self, start: int, end: int) -> bytes:
        base = self._position_of(self._kept_frame)
        return bytes(self._audio[(start - base) * SAMPLE_BYTES : (end - base) * SAMPLE_BYTES])

    def _forget_before(self, frame: int) -> None:
        drop = frame - self._kept_frame
        if drop > 0 and not self._closing:
            del self._audio[: drop * VAD_FRAME_BYTES]
            del self._scores[:drop]
            self._kept_frame = frame
