"""Whisper on CTranslate2, CPU or CUDA, behind the contract of the `whisper` model.

Short windows keep their accuracy through grafted silence (`pipeline.engines.graft`); a hypothesis
that loops is decoded again in a full 30 s window. It knows no Triton and no streams.

CTranslate2 reports the sum of a hypothesis' log-probabilities only, so each of its tokens gets
an equal share: `cum_log_probs` is exact, `output_log_probs` is the mean. The tokens that the model
says itself before the text carry the language's probability and 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio import (
    MAX_MEL_FRAMES,
    MEL_FRAMES_PER_STATE,
    MEL_HOP_SAMPLES,
    SAMPLE_RATE,
    WHISPER_WINDOW_SAMPLES,
)
from pipeline.engines.graft import SilenceTail
from pipeline.engines.request import EngineRequest, Hypothesis
from pipeline.hallucination import HIGHEST_COMPRESSION_RATIO, compression_ratio
from pipeline.spectrogram import log_mel_spectrogram
from pipeline.tokens import MAX_TEXT_TOKENS, WhisperTokenizer

TAIL_SPEECH = Path(__file__).with_name("tail_speech.wav")
"""Pieces of speech whose trailing silence is grafted (John F. Kennedy, 1961; public domain)."""
TAIL_PIECE_SAMPLES = SAMPLE_RATE * 99 // 100
TAIL_MARGIN_SAMPLES = SAMPLE_RATE // 2
"""Silence right behind the tail's speech still sounds of it, and is not grafted."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where and how the model runs."""

    model_dir: str
    device: str = "cpu"
    compute_type: str = "int8"
    workers: int = 2
    """Single-threaded workers: on a CPU two of them beat one with two threads."""


class CTranslate2Engine:
    """The model with its silence tail. Calls from several threads run on several workers."""

    def __init__(self, settings: EngineSettings) -> None:
        self.tokenizer = WhisperTokenizer(settings.model_dir)
        self._model = ctranslate2.models.Whisper(
            settings.model_dir,
            device=settings.device,
            compute_type=settings.compute_type,
            inter_threads=settings.workers,
            intra_threads=1,
        )
        self._n_mels = int(self._model.n_mels)
        self._tail = self._make_tail()

    def transcribe(self, requests: Sequence[EngineRequest]) -> list[list[Hypothesis]]:
        """Decode windows; per window its beams, best first."""
        states = [self._tail.join(self._encode(request.features)) for request in requests]
        heads = [self._head(r, s) for r, s in zip(requests, states, strict=True)]
        results: list[list[Hypothesis]] = [[] for _ in requests]
        for group in _groups(requests, heads, [len(joined) for joined in states]):
            prompts = [requests[i].prompt + heads[i].tokens for i in group]
            batch = np.stack([states[i] for i in group])
            beams = self._generate(batch, prompts, [requests[i] for i in group])
            for i, found in zip(group, beams, strict=True):
                results[i] = found
        for i, request in enumerate(requests):
            if results[i] and self._is_loop(results[i][0], request):
                results[i] = self._decode_full_window(request, heads[i])
            results[i] = [_behind(heads[i], beam, request) for beam in results[i] or [_NOTHING]]
        return results

    def _encode(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Features [frames, n_mels] as encoder states [frames / 2, width]."""
        bins_first = np.ascontiguousarray(features.T[None], np.float32)
        states = self._model.encode(ctranslate2.StorageView.from_array(bins_first), to_cpu=True)
        array: NDArray[np.float32] = np.asarray(states)[0]
        return array

    def _make_tail(self) -> SilenceTail:
        """The mean over the tail's pieces of speech: one voice alone colours the silence."""
        speech, rate = soundfile.read(TAIL_SPEECH, dtype="float32")
        assert rate == SAMPLE_RATE
        pieces = speech.reshape(-1, TAIL_PIECE_SAMPLES)
        states = np.mean([self._silence_behind(piece) for piece in pieces], axis=0)
        speech_samples = TAIL_PIECE_SAMPLES + TAIL_MARGIN_SAMPLES
        speech_states = math.ceil(speech_samples / (MEL_HOP_SAMPLES * MEL_FRAMES_PER_STATE))
        return SilenceTail(states, speech_states)

    def _silence_behind(self, speech: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encoder states [1500, width] of speech followed by silence up to 30 s."""
        padded = np.zeros(WHISPER_WINDOW_SAMPLES, np.float32)
        padded[: len(speech)] = speech
        return self._encode(log_mel_spectrogram(padded, self._n_mels).astype(np.float16))

    def _head(self, request: EngineRequest, states: NDArray[np.float32]) -> Hypothesis:
        """What the model says before the text when the prompt ends in `<|startoftranscript|>`."""
        if request.prompt[-1] != self.tokenizer.start:
            return _NOTHING
        view = ctranslate2.StorageView.from_array(np.ascontiguousarray(states[None]))
        token, probability = self._model.detect_language(view)[0][0]
        tokens = self.tokenizer.task_tokens(token[2:-2])  # <|en|>
        return Hypothesis(tokens, [math.log(max(probability, 1e-10)), 0.0, 0.0])

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

    def _is_loop(self, best: Hypothesis, request: EngineRequest) -> bool:
        if len(request.features) == MAX_MEL_FRAMES:
            return False
        text = self.tokenizer.decode(best.tokens)
        capped = len(best.tokens) >= request.max_new_tokens > 1
        return capped or compression_ratio(text) > HIGHEST_COMPRESSION_RATIO

    def _decode_full_window(self, request: EngineRequest, head: Hypothesis) -> list[Hypothesis]:
        """The window padded to 30 s with its own silence, as Whisper was trained."""
        silence = request.features.min()
        features = np.full((MAX_MEL_FRAMES, self._n_mels), silence, np.float16)
        features[: len(request.features)] = request.features
        full = replace(request, features=features)
        states = self._encode(features)[None]
        return self._generate(states, [request.prompt + head.tokens], [full])[0]


_NOTHING = Hypothesis([], [])


def _groups(
    requests: Sequence[EngineRequest], heads: Sequence[Hypothesis], lengths: Sequence[int]
) -> list[list[int]]:
    """Indices of requests that one `generate` call can take together: of one joined length.

    CTranslate2 wants `<|startoftranscript|>` at the same place in all prompts, so the length in
    front of it must agree. Windows that only ask for the language need no decoding.
    """
    groups: dict[Any, list[int]] = {}
    for i, request in enumerate(requests):
        if len(heads[i].tokens) >= request.max_new_tokens:
            continue
        key = (
            lengths[i],
            len(request.prompt) + len(heads[i].tokens),
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


def _behind(head: Hypothesis, beam: Hypothesis, request: EngineRequest) -> Hypothesis:
    """A beam behind what the model said first, held to the request's length."""
    most = request.max_new_tokens
    return Hypothesis((head.tokens + beam.tokens)[:most], (head.log_probs + beam.log_probs)[:most])
