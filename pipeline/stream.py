"""One stream of the voice-activity stage: its options, audio and language, and its windows.

It ties the endpointing core to what the later stages must know. It knows no Triton and no model;
scores come in from `pipeline.voice_activity`.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import (
    SAMPLE_BYTES,
    SAMPLE_RATE,
    VAD_FRAME_SAMPLES,
    WHISPER_WINDOW_SAMPLES,
    ms_to_samples,
)
from pipeline.endpointing import LEAD_IN_FRAMES, Endpointer
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.feedback import Feedback
from pipeline.language import AUTO
from pipeline.options import StreamOptions
from pipeline.recognised import Language, Recognised
from pipeline.silero import SileroState
from pipeline.silero_history import Heard, SileroHistory
from pipeline.stream_language import DETECTION_SAMPLES, StreamLanguage, learnt
from pipeline.utterance import Window
from pipeline.window import WindowInfo

LONGEST_DECODE_SAMPLES = SAMPLE_RATE // 2
"""An early window need not be made sooner than this before the endpoint: a silence that long
before it often ends in more speech, and the window would be decoded for nothing."""


def endpointing_policy(options: StreamOptions) -> EndpointingPolicy:
    """The endpointing core's policy, in samples."""
    interval = options.partial_interval_s if options.partials else None
    return EndpointingPolicy(
        threshold=options.vad_threshold,
        min_silence=max(VAD_FRAME_SAMPLES, ms_to_samples(options.min_silence_ms)),
        speech_pad=ms_to_samples(options.speech_pad_ms),
        max_window=min(ms_to_samples(1000 * options.max_utterance_s), WHISPER_WINDOW_SAMPLES),
        partial_interval=None if interval is None else ms_to_samples(1000 * interval),
    )


def _with_early_windows(policy: EndpointingPolicy, early_silence: int | None) -> EndpointingPolicy:
    """With early windows after this silence, or later where the endpoint is far off anyway."""
    if early_silence is None:
        return policy
    return replace(
        policy, early_silence=max(early_silence, policy.min_silence - LONGEST_DECODE_SAMPLES)
    )


def _may_be_cut(options: StreamOptions) -> bool:
    """Whether segments' texts may be joined: a language or whole beams cannot."""
    return not (options.language_detection_only or options.beam_results)


def _first_state(options: StreamOptions) -> SileroState:
    """The one that a resumed stream goes on from, if it is of its first sample."""
    if options.vad_state and options.vad_state_at == options.start_sample:
        return SileroState.unpacked(options.vad_state)
    return SileroState()


class Stream:
    """State of one stream between its hops."""

    def __init__(
        self,
        options: StreamOptions,
        early_silence: int | None = None,
        segment: int | None = None,
    ) -> None:
        self.options = options
        self.silero = _first_state(options)
        self._history = SileroHistory()
        self._position = options.start_sample  # behind the frames that were taken
        self._endpointer = Endpointer(
            _with_early_windows(endpointing_policy(options), early_silence),
            options.start_sample,
            options.listen_from,
            options.settled_until,
        )
        self._rest = np.empty(0, np.int16)  # samples behind the last whole frame
        self._segment = segment if _may_be_cut(options) else None
        self._language: StreamLanguage | None = None
        if options.found_language is not None:
            self._language = StreamLanguage(options.found_language, options.found_language_prob)
        self._echoes_feedback = False
        self._utterance = Recognised()
        self._early: tuple[tuple[int, int, int], Language] | None = None

    def take_frames(self, audio: NDArray[np.int16]) -> NDArray[np.int16]:
        """Add a hop's samples [n]; whole frames [m, VAD_FRAME_SAMPLES] come out, to be scored."""
        samples = np.concatenate((self._rest, audio)) if len(self._rest) else audio
        count = len(samples) // VAD_FRAME_SAMPLES
        self._rest = samples[count * VAD_FRAME_SAMPLES :].copy()
        self._history.note(self._position, self.silero)
        self._position += count * VAD_FRAME_SAMPLES
        return samples[: count * VAD_FRAME_SAMPLES].reshape(count, VAD_FRAME_SAMPLES)

    def take_feedback(self, text: str) -> None:
        """Learn from the newest FEEDBACK.

        Raises:
            ValueError: it is not what the transcript stage made.
        """
        if not self._echoes_feedback:
            self._expect_feedback()
        if not text:
            return
        feedback = Feedback.model_validate_json(text)
        if feedback.settled is not None and self._endpointer.settled(feedback.number):
            self._utterance.settle(feedback, feedback.settled)
        else:
            self._utterance.learn(feedback)
        self._endpointer.answered(feedback.number)
        if feedback.language is not None and feedback.language_prob is not None:
            self._learn_language(feedback.language, feedback.language_prob, feedback.samples)

    def _expect_feedback(self) -> None:
        """From now on somebody says when a window has been answered, so segments may be cut."""
        self._echoes_feedback = True
        self._endpointer.policy = replace(self._endpointer.policy, segment=self._segment)

    @property
    def is_open(self) -> bool:
        """Whether an utterance is open."""
        return self._endpointer.is_open

    def resume(self) -> dict[str, Any] | None:
        """How a stream that takes this one's place goes on: fields of `StreamOptions`. The language
        is not among them: only an answer can tell. None: not before more was heard."""
        listen_from, settled_until = self._endpointer.resume_at()
        heard = self._heard_before(listen_from)
        if heard is None:
            return None
        return {
            "listen_from": listen_from,
            "settled_until": settled_until,
            "vad_state": heard.state.packed(),
            "vad_state_at": heard.position,
        }

    def next_window(
        self,
        frames: NDArray[np.int16],
        probabilities: list[float],
        levels: list[float],
        *,
        end: bool,
        early: bool = True,
    ) -> tuple[Window, WindowInfo] | None:
        """Take scored frames; the window that is due, if any.

        `end`: the audio has ended. `early`: early windows are worth it now.
        """
        self._endpointer.early_is_worth_it = early
        self._endpointer.receive(frames.tobytes(), probabilities, levels)
        window = self._endpointer.close(self._rest.tobytes()) if end else self._next_window()
        return None if window is None else (window, self._describe(window))

    def _next_window(self) -> Window | None:
        window = self._endpointer.next_window()
        if window is not None and not self._echoes_feedback:
            self._endpointer.answered(window.number)  # nobody will say so: cadence alone counts
        return window

    def _describe(self, window: Window) -> WindowInfo:
        language = self._language_once(window)
        utterance = self._utterance
        utterance.send(window, language)
        if window.final:
            self._utterance = Recognised()
        previous, committed = utterance.texts_before(window)
        heard = self._heard_before(window.goes_on_at) if window.final else None
        return WindowInfo(
            number=window.number,
            utterance=window.utterance,
            final=window.final,
            early=window.early,
            segment=window.segment,
            interrupted=window.interrupted,
            utterance_start=window.utterance_start,
            start=window.start,
            end=window.end,
            audio_start=window.audio_start,
            goes_on_at=window.goes_on_at,
            vad_state="" if heard is None else heard.state.packed(),
            vad_state_at=0 if heard is None else heard.position,
            speech_probability=round(window.speech_probability, 4),
            stream_language=self._language if window.final else None,
            language=language[0],
            language_prob=language[1],
            settled=list(utterance.settled),
            previous=previous,
            committed=committed,
            known=utterance.known_of(window) if window.final or window.segment else None,
            options=self.options,
        )

    def _heard_before(self, listen_from: int) -> Heard | None:
        """What the audio from there on, and all that may lead in to its speech, follows on."""
        lead_in = LEAD_IN_FRAMES * VAD_FRAME_SAMPLES
        pad = ms_to_samples(self.options.speech_pad_ms)
        return self._history.before(listen_from - max(lead_in, pad) - VAD_FRAME_SAMPLES)

    def _language_once(self, window: Window) -> Language:
        """As the early window of the same speech: the engine then knows a whole one already."""
        speech = (window.utterance, window.start, window.end)
        is_whole = window.final or window.segment
        if is_whole and self._early is not None and self._early[0] == speech:
            return self._early[1]
        language = self._language_for(window)
        if window.early:
            self._early = (speech, language)
        return language

    def _language_for(self, window: Window) -> Language:
        """The language to decode in, None to find it.

        The rest of an utterance follows its settled segments, short speech the stream.
        """
        options = self.options
        if options.language != AUTO and not options.language_detection_only:
            return options.language, None
        if len(options.language_options) == 1:
            return options.language_options[0], None
        if self._utterance.language is not None:
            return self._utterance.language
        if self._language is not None and len(window.audio) < DETECTION_SAMPLES * SAMPLE_BYTES:
            return self._language
        return None, None

    def _learn_language(self, language: str, prob: float, samples: int) -> None:
        self._language = learnt(self._language, StreamLanguage(language, prob), samples)
