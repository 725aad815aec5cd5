"""The endpointing state machine: speech probabilities and audio in, windows out.

A sans-I/O object. It imports no numpy, asyncio, time or logging; its clock is the sample index, so
the same audio gives the same finals whatever the sizes of hops and packets. It does not know what
scores a frame, what decodes a window, or that there is a Triton.

    endpointer = Endpointer(policy)
    endpointer.receive(pcm, probabilities, levels)   # whole VAD frames
    window = endpointer.next_window()                # at most one
    endpointer.settled(number)                       # a segment's answer has come
    endpointer.answered(number)                      # any other window's has
    window = endpointer.close(tail)                  # the audio has ended

Rules:

- An utterance opens at the first frame whose probability reaches `threshold` and ends after
  `min_silence` since a frame under `silence_threshold`, a lower one (the hysteresis of Silero's
  own `VADIterator`). One with fewer than `MIN_VOICED_FRAMES` speech frames is a click: it gives
  no window.
- An utterance that grows to `max_window` is cut in the longest pause of its last third, or of its
  last seconds where the third is short.
- One whose open segment grows to `segment` is cut likewise, but goes on: what lies before the cut
  is a window that is decoded once, and later windows begin at the cut. There is no such cut in
  silence, and none that leaves no more than a click on either side.
- Until a segment is settled the utterance makes no other window: a final or the next segment waits,
  and so does all audio behind it. A segment that is not answered is opened again, so that the next
  window contains it, and its utterance is not cut into segments any more.
- As soon as silence has lasted for `early_silence`, the utterance so far is a window: when nothing
  more is said, the final has the same audio, and its decoding has been begun before its endpoint.
  Whoever knows the load says whether that is worth it: finals are the same either way.
- `next_window` stops at the first final or segment, because an ensemble step may answer a request
  only once; frames after it wait for the next call. Partials are made only when no frame waits.
- Windows carry more audio than their times say: lead-in before, lead-out after it.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, VAD_FRAME_SAMPLES
from pipeline.cuts import Cut, Cutter
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.scored_audio import ScoredAudio
from pipeline.utterance import Segment, Unsettled, Utterance, Window

LEAD_IN_FRAMES = 12
"""384 ms before the first speech frame go into the window: onsets are weaker than the threshold,
and short English utterances lose words with less (measured: 128 and 256 ms)."""
LEAD_OUT_SAMPLES = 4 * VAD_FRAME_SAMPLES
"""128 ms of what follows the speech go into the window: the soft end of the last word. Half a
second is hardly more accurate (measured), but is not there yet when the early window is made."""
PARTIAL_PATIENCE_SAMPLES = 5 * SAMPLE_RATE
"""A partial that got no answer for this long is taken for lost, and the next one is made."""
SLOW_ANSWER_SAMPLES = SAMPLE_RATE // 2
"""Behind an answer that took longer than this, the next partial is made no sooner than that took
once more. Under load a window waits either way, but here it still gets newer audio, and an engine's
queue stays short."""
LONGEST_PAUSE_SAMPLES = 2 * SAMPLE_RATE
"""No more than this: an engine that stood still need not make it longer."""


class Endpointer:
    """Turns scored frames of one stream into windows. See the module for the rules."""

    def __init__(
        self,
        policy: EndpointingPolicy,
        start_sample: int = 0,
        listen_from: int = 0,
        settled_until: int = 0,
    ) -> None:
        """A stream whose first frame is at `start_sample`.

        One that is resumed listens from the first frame at or behind `listen_from`, and no window
        of it contains what lies before `settled_until`: those of the last final (`goes_on_at` and
        `end`). Frames before that may lead in to speech. Then its windows are those of a stream
        that was never interrupted.
        """
        self.policy = policy
        self.early_is_worth_it = True
        """Under load an early window is not: speech often goes on, and others wait meanwhile."""
        self._audio = ScoredAudio(start_sample)
        skipped = max(0, listen_from - start_sample)
        self._next_frame = -(-skipped // VAD_FRAME_SAMPLES)  # the first that was not looked at yet
        # What lies before it belongs to a window that is no partial.
        self._floor = max(start_sample, settled_until)
        self._open: Utterance | None = None
        self._windows = 0
        self._utterances = 0
        self._partial_in_flight: tuple[int, int] | None = None  # its number and position
        self._no_partial_before = 0
        self._closing = False  # then all audio is kept: several finals may become one window

    @property
    def position(self) -> int:
        """Position behind the last frame that was looked at."""
        return self._audio.position_of(self._next_frame)

    @property
    def is_open(self) -> bool:
        """Whether an utterance is open."""
        return self._open is not None

    def resume_at(self) -> tuple[int, int]:
        """Where a stream that takes this one's place may begin to listen: `listen_from` and
        `settled_until` of `__init__`. Its finals and segments are those that this one has still to
        make; the open utterance it hears again."""
        if self._open is None:
            return self.position, self._floor
        first = self._open.first
        return self._audio.position_of(first.first_frame), first.audio_start

    def receive(self, pcm: bytes, probabilities: Sequence[float], levels: Sequence[float]) -> None:
        """Take whole VAD frames: their audio, speech probabilities, and levels in dB.

        Raises:
            ValueError: audio, probabilities and levels are not of the same number of frames.
        """
        self._audio.append(pcm, probabilities, levels)

    def next_window(self) -> Window | None:
        """The window that is due: a final or segment, else an early one, else a partial."""
        if self._open and self._open.unsettled and self._open.unsettled.is_lost(self._audio.end):
            self._open.rejoin()
        return self._next_cut_off() or self._early_if_due() or self._partial_if_due()

    def close(self, tail: bytes = b"") -> Window | None:
        """End the stream: the final of what is open, with `tail`, the audio behind the last frame.

        Where several finals are due they become one window, so that nothing is lost.
        """
        self._closing = True
        self.policy = replace(self.policy, segment=None)  # no answer can be waited for
        if self._open is not None:
            self._open.rejoin()
        finals = []
        while (final := self._next_cut_off()) is not None:
            finals.append(final)
        self._audio.append_tail(tail)
        if self._open is not None and self._open.is_speech:
            finals.append(self._final(self._end_position(len(tail) // SAMPLE_BYTES)))
        self._open = None
        if not finals:
            return None
        return finals[0] if len(finals) == 1 else self._merge(finals)

    def answered(self, number: int) -> None:
        """The window of this number has been answered: the next partial may be made.

        A segment that has not been settled by then never will be.
        """
        if self._partial_in_flight and number >= self._partial_in_flight[0]:
            took = self.position - self._partial_in_flight[1]
            if took > SLOW_ANSWER_SAMPLES:
                self._no_partial_before = self.position + min(took, LONGEST_PAUSE_SAMPLES)
            self._partial_in_flight = None
        if self._open and self._open.unsettled and number >= self._open.unsettled.number:
            self._open.rejoin()

    def settled(self, number: int) -> bool:
        """The segment of this number has been recognised; whether it was waited for."""
        if self._open and self._open.unsettled and number == self._open.unsettled.number:
            self._open.unsettled = None
            return True
        return False

    # The state machine.

    def _next_cut_off(self) -> Window | None:
        """The next final or segment, unless it has to wait or no frame is left."""
        while True:
            cut = self._cut_due()
            if cut is None:
                if self._next_frame >= self._audio.end_frame:
                    return None
                self._look_at_next_frame()
            elif self._waits_for_segment():
                return None
            elif (window := self._take(cut)) is not None:
                return window

    def _look_at_next_frame(self) -> None:
        frame = self._next_frame
        probability = self._audio.probability(frame)
        self._next_frame += 1
        if self._open is None:
            if probability < self.policy.threshold:
                self._forget_before(self._next_frame - self._lead_in_frames)
                return
            self._begin(frame)
        self._look_at_utterance(frame, probability)

    def _begin(self, frame: int) -> None:
        segment = self._segment_at(frame)
        position = self._audio.position_of(frame)
        self._open = Utterance(first=segment, segment=segment, partial_position=position)

    def _look_at_utterance(self, frame: int, probability: float) -> None:
        utterance = self._open
        assert utterance is not None
        if probability >= self.policy.threshold:
            utterance.voiced_frames += 1
            utterance.last_voiced_frame = frame
            utterance.silence_frame = None
        elif probability < self.policy.silence_threshold and utterance.silence_frame is None:
            utterance.silence_frame = frame

    def _cut_due(self) -> Cut | None:
        """Where the frames that were looked at have the open segment end."""
        if self._open is None:
            return None
        return Cutter(self.policy, self._audio, self._open, self._next_frame).due()

    def _waits_for_segment(self) -> bool:
        return self._open is not None and self._open.unsettled is not None

    # Windows.

    def _take(self, cut: Cut) -> Window | None:
        """The window that a cut makes; none of a click."""
        utterance = self._open
        assert utterance is not None
        if not utterance.is_speech:
            self._open = None
            return None
        end = self._audio.position_of(cut.speech_end)
        if not cut.final:
            return self._segment(utterance, end, cut.behind)
        self._next_frame = cut.behind  # what lies behind is looked at again
        return self._final(end)

    def _final(self, end: int) -> Window:
        """The open utterance's final. What lies behind its end is open to the next utterance."""
        window = replace(self._window(end, self.position), final=True, goes_on_at=self.position)
        self._floor = window.end
        self._open = None
        self._utterances += 1
        self._partial_in_flight, self._no_partial_before = None, 0
        self._forget_before(self._next_frame - self._lead_in_frames)
        return window

    def _segment(self, utterance: Utterance, end: int, behind: int) -> Window:
        """The open segment up to a cut. The one behind it begins with its first speech."""
        window = replace(self._window(end, self._audio.position_of(behind)), segment=True)
        utterance.unsettled = Unsettled(window.number, utterance.segment, self._audio.end)
        self._floor = window.end
        utterance.segment = self._segment_at(self._voiced(range(behind, self._next_frame))[0])
        self._partial_in_flight, self._no_partial_before = None, 0
        return window

    def _early_if_due(self) -> Window | None:
        utterance, early_silence = self._open, self.policy.early_silence
        if utterance is None or early_silence is None or not utterance.is_speech:
            return None
        if not self.early_is_worth_it:
            return None
        silence_frame = utterance.silence_frame
        if silence_frame is None or utterance.early_frame == silence_frame:
            return None
        if self.position - self._audio.position_of(silence_frame) < early_silence:
            return None
        if self._waits_for_segment():
            return None
        utterance.early_frame = silence_frame
        return replace(self._take_partial(utterance), early=True)

    def _partial_if_due(self) -> Window | None:
        utterance, interval = self._open, self.policy.partial_interval
        if utterance is None or interval is None or not utterance.is_speech:
            return None
        last_spoken = self._audio.position_of(utterance.last_voiced_frame)
        due = self.position - utterance.partial_position >= interval
        if not (due and last_spoken >= utterance.partial_position):
            return None
        if self._waits_for_segment() or self._waits_for_partial():
            return None
        window = self._take_partial(utterance)
        return replace(window, interrupted=utterance.silence_frame is None)

    def _take_partial(self, utterance: Utterance) -> Window:
        utterance.partial_position = self.position
        window = self._window(self._speech_end(), self.position)
        self._partial_in_flight = (window.number, self.position)
        return window

    def _waits_for_partial(self) -> bool:
        if self._partial_in_flight is None:
            return self.position < self._no_partial_before
        return self.position - self._partial_in_flight[1] < PARTIAL_PATIENCE_SAMPLES

    def _speech_end(self) -> int:
        """Where the open utterance's speech has ended so far."""
        assert self._open is not None
        silence = self._open.silence_frame
        return self.position if silence is None else self._audio.position_of(silence)

    def _end_position(self, tail_samples: int) -> int:
        """Where speech that the end of the audio interrupts has ended."""
        assert self._open is not None
        silent = self._open.silence_frame is not None
        return self._speech_end() if silent else self.position + tail_samples

    def _window(self, end: int, heard: int) -> Window:
        """The open segment up to `end`, with no audio that lies behind `heard` and `end`."""
        utterance = self._open
        assert utterance is not None
        self._windows += 1
        heard = max(heard, end)
        segment, audio_end = utterance.segment, end + max(LEAD_OUT_SAMPLES, self.policy.speech_pad)
        frames = range(segment.first_frame, self._audio.frame_at(end))
        return Window(
            number=self._windows,
            utterance=self._utterances,
            final=False,
            utterance_start=self._start_of(utterance.first),
            start=self._start_of(segment),
            end=min(end + self.policy.speech_pad, heard),
            audio_start=segment.audio_start,
            audio=self._audio.pcm(segment.audio_start, min(audio_end, heard)),
            voiced=len(self._voiced(frames)) * VAD_FRAME_SAMPLES,
            speech_probability=sum(map(self._audio.probability, frames)) / len(frames),
        )

    def _merge(self, finals: Sequence[Window]) -> Window:
        """Several finals and what lies between them as one window, the first one's utterance."""
        first, last = finals[0], finals[-1]
        voiced = sum(final.voiced for final in finals)
        audio_end = last.audio_start + len(last.audio) // SAMPLE_BYTES
        return replace(
            first,
            end=last.end,
            audio=self._audio.pcm(first.audio_start, audio_end),
            voiced=voiced,
            speech_probability=sum(f.speech_probability * f.voiced for f in finals) / voiced,
        )

    # Frames.

    def _segment_at(self, frame: int) -> Segment:
        """The segment that begins with this frame's speech, and with what leads in to it."""
        lead_in = self._audio.position_of(frame - self._lead_in_frames)
        return Segment(frame, max(lead_in, self._floor, self._audio.start))

    def _start_of(self, segment: Segment) -> int:
        """Where a segment starts, `speech_pad` included."""
        first = self._audio.position_of(segment.first_frame)
        return max(first - self.policy.speech_pad, segment.audio_start)

    @property
    def _lead_in_frames(self) -> int:
        wanted = max(LEAD_IN_FRAMES, -(-self.policy.speech_pad // VAD_FRAME_SAMPLES))
        return min(wanted, self.policy.max_window // VAD_FRAME_SAMPLES // 3)  # room for speech

    def _voiced(self, frames: range) -> list[int]:
        return self._audio.voiced(frames, self.policy.threshold)

    def _forget_before(self, frame: int) -> None:
        if not self._closing:
            self._audio.forget_before(frame)
