"""Whisper on ONNX Runtime, CPU, behind the contract of the `whisper` model.

The same weights and int8 numbers as CTranslate2's, several times as fast where a decoder step has
few rows: weights stay packed, guesses are checked whole (`speculation`), and the silence behind a
window is encoded and projected once for all. What is rare goes to CTranslate2: beams, penalties,
prompts that ask for timestamps.

It knows no Triton and no streams.
"""

import itertools
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pipeline.audio import MAX_ENCODER_STATES
from pipeline.engines.cross_attention import CrossAttention, Silence
from pipeline.engines.ctranslate2_engine import CTranslate2Engine, EngineSettings
from pipeline.engines.decoder_graph import LANGUAGE, decoder_graph
from pipeline.engines.encoder_graph import encoder_graph, silence_graph
from pipeline.engines.graft import silence_behind_speech
from pipeline.engines.greedy import GreedyDecoder, Task, Vocabulary
from pipeline.engines.int8_graph import exactness_graph
from pipeline.engines.loops import full_window, is_loop
from pipeline.engines.request import (
    NOTHING,
    Decoded,
    Encoded,
    EngineRequest,
    Hypothesis,
)
from pipeline.engines.schedule import Batching, Joining, nobody_joins
from pipeline.engines.speculation import LastTexts
from pipeline.engines.whisper_weights import WhisperWeights, read_weights
from pipeline.tokens import WhisperTokenizer


class OnnxEngine:
    """The model. Calls from several threads run beside each other, each on one core."""

    batching = Batching(most=8, few=4)
    """Measured for partials, per window with all but the last two tokens guessed right: 30 ms
    alone, 17 in a batch of 2, 13 of 4, 12 of 8."""

    def __init__(self, settings: EngineSettings) -> None:
        """Lay out the graphs and load them.

        Raises:
            WeightsError: the model's folder holds something that this engine does not read.
        """
        self.tokenizer = WhisperTokenizer(settings.model_dir)
        self._settings = settings
        weights = read_weights(settings.model_dir)
        signed = multiplies_signed_exactly()
        self._encoder = _session(encoder_graph(weights, signed))
        self._decoder = self._greedy(weights, signed)
        self._last = LastTexts()
        self._loading = threading.Lock()
        self._beams: CTranslate2Engine | None = None

    def encode(self, request: EngineRequest) -> Encoded:
        """The encoder's part, and the language where the prompt leaves it to the model."""
        if not self._is_plain(request):
            return self._ctranslate2.encode(request)
        states, seen = self._encode(request.features)
        return Encoded(request, states, self._head(request, seen, len(states)), seen)

    def decode(
        self, windows: Sequence[Encoded], joining: Joining = nobody_joins
    ) -> Iterator[Decoded]:
        """The decoder's part, together: each window as soon as its text is known. Between two steps
        others may join.
        """
        numbers = itertools.count()
        known: dict[int, Encoded] = {}  # those whose text is not
        decoding = self._decoder.begin()
        while windows:
            new = {next(numbers): window for window in windows}
            rare = [i for i, window in new.items() if window.seen is None]
            decoding.add({i: self._task(new[i]) for i in new if i not in rare})
            for i, beams in self._ctranslate2.decode([new[i] for i in rare]) if rare else ():
                yield rare[i], beams
            known |= {i: new[i] for i in new if i not in rare}
            windows = ()
            while not (decoding.is_over or windows):
                for i, text in decoding.step().items():
                    yield i, [self._answer(known.pop(i), text)]
                windows = () if decoding.is_over else joining()

    @property
    def _ctranslate2(self) -> CTranslate2Engine:
        """Loaded when something asks for it."""
        with self._loading:
            if self._beams is None:
                self._beams = CTranslate2Engine(self._settings)
            return self._beams

    def _greedy(self, weights: WhisperWeights, signed: bool) -> GreedyDecoder:
        session = _session(decoder_graph(weights, signed))
        vocabulary = Vocabulary(
            weights.stored("decoder/embeddings/weight"),
            weights.stored("decoder/position_encodings/encodings"),
            self.tokenizer.end,
        )
        silence = self._silence(weights, signed)
        return GreedyDecoder(lambda inputs: session.run(None, inputs), vocabulary, silence)

    def _silence(self, weights: WhisperWeights, signed: bool) -> Silence:
        tail = silence_behind_speech(
            lambda features: self._encode(features)[0], weights.shape.n_mels
        )
        stride = self._settings.silence_stride
        sampled = np.ascontiguousarray(tail.states[stride // 2 :: stride])
        seen = _session(silence_graph(weights, signed)).run(None, {"states": sampled})
        return Silence(
            CrossAttention(*seen), len(sampled), stride, MAX_ENCODER_STATES, tail.speech_states
        )

    def _encode(self, features: NDArray[np.float16]) -> tuple[NDArray[np.float32], CrossAttention]:
        """Features [frames, n_mels] as states [frames / 2, width], and what is seen of them."""
        inputs = {"features": features.astype(np.float32)}
        states, *seen = self._encoder.run(None, inputs)
        return states, CrossAttention(*seen)

    def _head(self, request: EngineRequest, seen: CrossAttention, states: int) -> Hypothesis:
        """What the model says before the text when the prompt ends in `<|startoftranscript|>`."""
        if request.prompt[-1] != self.tokenizer.start:
            return NOTHING
        task = Task(seen, states, [self.tokenizer.start], max_new_tokens=1, rule=LANGUAGE)
        (language,) = self._decoder.decode([task])
        code = self.tokenizer.language_of(language.tokens[0])
        assert code is not None, f"token {language.tokens[0]} is no language"
        return Hypothesis(self.tokenizer.task_tokens(code), [language.log_probs[0], 0.0, 0.0])

    def _is_plain(self, request: EngineRequest) -> bool:
        """Whether greedy decoding of text without timestamps is all that is asked for."""
        return (
            request.beam_width == 1
            and request.repetition_penalty == 1
            and request.no_repeat_ngram_size == 0
            and request.prompt[-1] in (self.tokenizer.no_timestamps, self.tokenizer.start)
        )

    def _task(self, window: Encoded, guess: bool = True) -> Task:
        request, head = window.request, window.head
        guess = guess and self._settings.guesses and request.place.stream != 0
        assert window.seen is not None, "CTranslate2 has encoded it"
        only_language = len(head.tokens) >= request.max_new_tokens
        return Task(
            window.seen,
            len(window.states),
            request.prompt + head.tokens,
            0 if only_language else request.max_new_tokens,
            self._last.of(request.place.of) if guess else (),
        )

    def _answer(self, window: Encoded, text: Hypothesis) -> Hypothesis:
        """A window's text behind its head, unless it loops: a draft is worth no second attempt."""
        request = window.request
        if is_loop(text, request, self.tokenizer):
            text = NOTHING if request.is_draft else self._of_full_window(window)
        if request.place.stream:
            self._last.remember(request.place.of, text.tokens)
        return (window.head + text).first(request.max_new_tokens)

    def _of_full_window(self, window: Encoded) -> Hypothesis:
        request = full_window(window.request)
        states, seen = self._encode(request.features)
        full = Encoded(request, states, window.head, seen)
        return self._decoder.decode([self._task(full, guess=False)])[0]


def multiplies_signed_exactly() -> bool:
    """Whether this processor's products of unsigned and signed int8 are exact."""
    values = np.full((3, 64), 255, np.uint8)
    (products,) = _session(exactness_graph(signed=True)).run(None, {"values": values})
    return bool(np.all(products == 255 * 127 * 64))


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # windows of several threads run beside each other
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
