"""Whisper on CTranslate2, CPU or CUDA, behind the contract of the `whisper` model.

Short windows keep their accuracy through grafted silence (`pipeline.engines.graft`); a hypothesis
that loops is decoded again in a full 30 s window; drafts (partials) get a thinner tail and no
second attempt. It knows no Triton and no streams.

CTranslate2 reports the sum of a hypothesis' log-probabilities only, so each of its tokens gets
an equal share: `cum_log_probs` is exact, `output_log_probs` is the mean. The tokens that the model
says itself before the text carry the language's probability and 0.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from pipeline.audio import MEL_FRAMES_PER_S
from pipeline.engines.graft import joined_length, silence_behind_speech, thin_length
from pipeline.engines.loops import full_window, is_loop, padded
from pipeline.engines.request import NOTHING, Decoded, Encoded, EngineRequest, Hypothesis
from pipeline.engines.schedule import Batching, Joining, nobody_joins
from pipeline.tokens import MAX_TEXT_TOKENS, WhisperTokenizer

LEAST_FRAMES = 5 * MEL_FRAMES_PER_S
"""Of a final: with less, words of very short utterances are lost (unweighted silence)."""

_MOST_ON_CPU = 16
"""Windows decoded together. Measured for drafts, per window of 16 tokens: 165 ms alone, 51 in a
batch of 4, 36 of 8, 28 of 16, 26 of 24."""
_MOST_ON_GPU = 32
"""On an H100 355 partials a second with two workers, 271 in batches of 16 (docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where and how the model runs."""

    model_dir: str
    device: str = "cpu"
    compute_type: str = "int8"
    workers: int = 2
    """Single-threaded workers: on a CPU two of them beat one with two threads."""
    guesses: bool = True
    """Whether the ONNX Runtime engine checks an utterance's last text as a guess of the next."""
    silence_stride: int = 8
    """Every how many states of the silence behind a window that engine's decoder sees one. Measured
    on 141 recordings of 1706 words: 198 word errors, 207 with every state seen and 214 with every
    25th; unweighted, every 14th loops (664)."""


class CTranslate2Engine:
    """The model with its silence tail. Calls from several threads run on several workers."""

    def __init__(self, settings: EngineSettings) -> None:
        self.batching = Batching(_MOST_ON_GPU if settings.device == "cuda" else _MOST_ON_CPU)
        self.tokenizer = WhisperTokenizer(settings.model_dir)
        self._model = ctranslate2.models.Whisper(
            settings.model_dir,
            device=settings.device,
            compute_type=settings.compute_type,
            inter_threads=settings.workers,
            intra_threads=1,
        )
        self._n_mels = int(self._model.n_mels)
        self._tail = silence_behind_speech(self._encode, self._n_mels)

    def encode(self, request: EngineRequest) -> Encoded:
        """The encoder's part, and the language where the prompt leaves it to the model."""
        features = request.features if request.is_draft else padded(request.features, LEAST_FRAMES)
        states = self._encode(features)
        return Encoded(request, states, self._head(request, states))

    def decode(
        self, windows: Sequence[Encoded], joining: Joining = nobody_joins
    ) -> Iterator[Decoded]:
        """The decoder's part, together: all windows at the end. No other ever joins."""
        results: list[list[Hypothesis]] = [[] for _ in windows]
        for group in _groups(windows):
            batch = [windows[i] for i in group]
            beams_by_window = self._generate(
                np.stack(self._joined(batch)),
                [window.request.prompt + window.head.tokens for window in batch],
                [window.request for window in batch],
            )
            for i, found in zip(group, beams_by_window, strict=True):
                results[i] = found
        for i, window in enumerate(windows):
            beams = self._without_loop(window, results[i]) or [NOTHING]
            yield i, [(window.head + beam).first(window.request.max_new_tokens) for beam in beams]

    def _encode(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Features [frames, n_mels] as encoder states [frames / 2, width]."""
        bins_first = np.ascontiguousarray(features.T[None], np.float32)
        states = self._model.encode(ctranslate2.StorageView.from_array(bins_first), to_cpu=True)
        array: NDArray[np.float32] = np.asarray(states)[0]
        return array

    def _head(self, request: EngineRequest, states: NDArray[np.float32]) -> Hypothesis:
        """What the model says before the text when the prompt ends in `<|startoftranscript|>`."""
        if request.prompt[-1] != self.tokenizer.start:
            return NOTHING
        joined = np.ascontiguousarray(self._tail.join(states)[None])
        view = ctranslate2.StorageView.from_array(joined)
        token, probability = self._model.detect_language(view)[0][0]
        tokens = self.tokenizer.task_tokens(token[2:-2])  # <|en|>
        return Hypothesis(tokens, [math.log(max(probability, 1e-10)), 0.0, 0.0])

    def _joined(self, windows: Sequence[Encoded]) -> list[NDArray[np.float32]]:
        """States of windows of one group with silence behind them, all of one length."""
        states = [window.states for window in windows]
        if not windows[0].request.is_draft:
            return [self._tail.join(window) for window in states]
        length = thin_length(max(map(len, states)))
        return [self._tail.join_thin(window, length) for window in states]

    def _generate(
        self,
        states: NDArray[np.float32],
        prompts: list[list[int]],
        requests: Sequence[EngineRequest],
    ) -> list[list[Hypothesis]]:
        """Decode windows that share their sampling parameters and prompt layout."""
        sampling = requests[0]
        most_new = max(request.max_new_tokens for request in requests)
        results = self._model.generate(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(states)),
            prompts,
            beam_size=sampling.beam_width,
            num_hypotheses=sampling.beam_width,
            length_penalty=sampling.length_penalty,
            repetition_penalty=sampling.repetition_penalty,
            no_repeat_ngram_size=sampling.no_repeat_ngram_size,
            max_length=_max_length(most_new, max(map(len, prompts))),
            return_scores=True,
        )
        return [
            [
                _hypothesis(list(tokens), score, sampling.length_penalty)
                for tokens, score in zip(result.sequences_ids, result.scores, strict=True)
            ]
            for result in results
        ]

    def _without_loop(self, window: Encoded, beams: list[Hypothesis]) -> list[Hypothesis]:
        """The beams, unless the best one loops: a draft is worth no second attempt."""
        if not beams or not is_loop(beams[0], window.request, self.tokenizer):
            return beams
        return [] if window.request.is_draft else self._decode_full_window(window)

    def _decode_full_window(self, window: Encoded) -> list[Hypothesis]:
        full = full_window(window.request)
        states = self._encode(full.features)[None]
        return self._generate(states, [full.prompt + window.head.tokens], [full])[0]


def _groups(windows: Sequence[Encoded]) -> list[list[int]]:
    """Indices of windows that one `generate` call can take together.

    CTranslate2 wants one length of states, and `<|startoftranscript|>` at the same place in all
    prompts, so the length in front of it must agree. Only a draft's length may depend on what it is
    decoded with. Windows that only ask for the language need no decoding.
    """
    groups: dict[Any, list[int]] = {}
    for i, window in enumerate(windows):
        request, head = window.request, window.head
        if len(head.tokens) >= request.max_new_tokens:
            continue
        key = (
            None if request.is_draft else joined_length(len(window.states)),
            len(request.prompt) + len(head.tokens),
            request.beam_width,
            request.length_penalty,
            request.repetition_penalty,
            request.no_repeat_ngram_size,
        )
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _max_length(new_tokens: int, prompt_tokens: int) -> int:
    """CTranslate2 decodes `min(max_length / 2, max_length - prompt)` new tokens: its inverse."""
    return min(max(2 * new_tokens, new_tokens + prompt_tokens), MAX_TEXT_TOKENS)


def _hypothesis(tokens: list[int], score: float, length_penalty: float) -> Hypothesis:
    """CTranslate2's score is the sum of log-probabilities over `length ** length_penalty`."""
    count = len(tokens)
    total = score * max(1, count) ** length_penalty
    return Hypothesis(tokens, [total / count] * count if count else [])
