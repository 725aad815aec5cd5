"""The log-mel stage: a window becomes everything that the engine needs.

Stateless. Ensembles have no constants, so each of the engine's parameters is made here too. What
differs between the engines (mel bins, window length) is a `WindowPolicy`; the rest is the same.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import (
    MEL_FRAMES_PER_STATE,
    SAMPLE_RATE,
    WHISPER_WINDOW_SAMPLES,
    ms_to_samples,
)
from pipeline.contract import LANGUAGE_PROB, NO_PROBABILITY
from pipeline.engine_manifest import EngineManifest
from pipeline.loudness import even_out_loudness
from pipeline.options import MOST_BEAMS
from pipeline.spectrogram import FRAME_MULTIPLE_SAMPLES, log_mel_spectrogram
from pipeline.tokens import MAX_TEXT_TOKENS, WhisperTokenizer
from pipeline.window import WindowInfo

LEAST_NEW_TOKENS = 8
NEW_TOKENS_PER_S = 12
"""Measured in the field's fast speech: 8 tokens and 12 per second never cut a transcript short,
while a decoder that loops is stopped early."""
TASK_TOKENS = 3
"""Language, task and no timestamps, where the model says them itself."""
TIMESTAMPS_PER_S = 1
"""A pair for every sentence of two seconds: Whisper's own pieces are longer."""

_INT16_SCALE = np.float32(1 / 32768)


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """How a window is made for an engine."""

    n_mels: int = 80
    trailing_silence_ms: int = 500
    """Silence behind the speech. Whisper wants some to end its text."""
    min_partial_ms: int = 2000
    min_final_ms: int = 2000
    """The shortest windows; 30000 gives every window the length that Whisper was trained on."""
    most_prompt_tokens: int = MAX_TEXT_TOKENS
    """What the engine takes as decoder prompt."""
    most_beams: int = MOST_BEAMS
    """What the engine was built for; streams that ask for more get as many."""
    force_known: bool = False
    """Whether a final begins with what the engine has said of the same audio before."""
    may_write_timestamps: bool = False
    """Whether the model may, where it is left to say the task itself."""

    def limited_to(self, engine: EngineManifest) -> "WindowPolicy":
        """The policy for a compiled engine: nothing goes beyond what it was built for."""
        return replace(
            self,
            n_mels=engine.n_mels,
            most_prompt_tokens=engine.limits.max_input_len,
            most_beams=engine.limits.max_beam_width,
        )

    def padded_samples(self, samples: int, whole: bool) -> int:
        """Length of a window of `samples` with its padding: whole pairs of mel frames."""
        shortest_ms = self.min_final_ms if whole else self.min_partial_ms
        wanted = max(samples + ms_to_samples(self.trailing_silence_ms), ms_to_samples(shortest_ms))
        even = -(-wanted // FRAME_MULTIPLE_SAMPLES) * FRAME_MULTIPLE_SAMPLES
        return min(even, WHISPER_WINDOW_SAMPLES)


class LanguageDetector(Protocol):
    """Finds the language of a window among some."""

    def detect(self, waveform: NDArray[np.float32], options: list[str]) -> tuple[str, float]:
        """The most likely of `options` and its probability among them."""


class LogMel:
    """The stage. `detector` is asked only when a stream restricts detection to some languages."""

    def __init__(
        self, policy: WindowPolicy, tokenizer: WhisperTokenizer, detector: LanguageDetector
    ) -> None:
        self._policy = policy
        self._tokenizer = tokenizer
        self._detector = detector
        self._constants = _constants(tokenizer)

    def prepare(self, audio: NDArray[np.int16], info: WindowInfo) -> dict[str, NDArray[np.generic]]:
        """Inputs of the engine for a window, int16 [n], and LANGUAGE_PROB; batch dimension 1."""
        waveform = window_waveform(audio, info)
        features = log_mel_spectrogram(self._padded(waveform, info), self._policy.n_mels)
        language, prob = self._language(waveform, info)
        prompt = self._known_prompt(info) or self._prompt(language, info)
        return (
            _engine_inputs(features, prompt, self._new_tokens(waveform, prompt, info))
            | self._constants
            | self._sampling(info)
            | {LANGUAGE_PROB.name: _scalar(prob, np.float32)}
        )

    def _prompt(self, language: str | None, info: WindowInfo) -> list[int]:
        """The decoder prompt, without the beginning of an initial prompt that is too long."""
        context = self._policy.most_prompt_tokens - len(self._tokenizer.decoder_prompt("en", ""))
        return self._tokenizer.decoder_prompt(language, info.options.prompt, context - 1)

    def _known_prompt(self, info: WindowInfo) -> list[int]:
        """A prompt that ends in what the engine has said of this audio; empty: decode it anew.

        With one beam alone, and without the initial prompt: the text is there already.
        """
        known, options = info.known, info.options
        if not self._policy.force_known or known is None or known.language is None:
            return []
        if not known.text or options.beam_results or options.beam_width > 1:
            return []
        task = self._tokenizer.decoder_prompt(known.language, "")
        prompt = [*task, *self._tokenizer.encode(" " + known.text)]
        return prompt if len(prompt) <= self._policy.most_prompt_tokens else []

    def _padded(self, waveform: NDArray[np.float32], info: WindowInfo) -> NDArray[np.float32]:
        samples = self._policy.padded_samples(len(waveform), info.is_whole)
        padded = np.zeros(samples, np.float32)
        padded[: len(waveform)] = waveform[:samples]
        return padded

    def _language(
        self, waveform: NDArray[np.float32], info: WindowInfo
    ) -> tuple[str | None, float]:
        if info.language is None and info.options.language_options:
            return self._detector.detect(waveform, info.options.language_options)
        return info.language, NO_PROBABILITY

    def _new_tokens(
        self, waveform: NDArray[np.float32], prompt: list[int], info: WindowInfo
    ) -> int:
        """Most new tokens for a window: by its length, and by the room in the decoder."""
        if info.options.language_detection_only:
            return 1
        seconds = len(waveform) / SAMPLE_RATE
        wanted = LEAST_NEW_TOKENS + math.ceil(NEW_TOKENS_PER_S * seconds)
        if prompt[-1] == self._tokenizer.start:  # the model says the task itself
            wanted += TASK_TOKENS
            if self._policy.may_write_timestamps:
                wanted += 2 + math.ceil(TIMESTAMPS_PER_S * seconds)
        return min(wanted, MAX_TEXT_TOKENS - len(prompt))

    def _sampling(self, info: WindowInfo) -> dict[str, NDArray[np.generic]]:
        options = info.options
        return {
            "beam_width": _scalar(min(options.beam_width, self._policy.most_beams), np.int32),
            "len_penalty": _scalar(options.length_penalty, np.float32),
            "repetition_penalty": _scalar(options.repetition_penalty, np.float32),
        }


def window_waveform(audio: NDArray[np.int16], info: WindowInfo) -> NDArray[np.float32]:
    """A window's samples as float32 [n] in [-1, 1], loudness evened out when the stream asks."""
    waveform = audio.astype(np.float32) * _INT16_SCALE
    return even_out_loudness(waveform) if info.options.dynamic_preprocessing else waveform


def _engine_inputs(
    features: NDArray[np.float32], prompt: list[int], new_tokens: int
) -> dict[str, NDArray[np.generic]]:
    frames = len(features)
    return {
        "encoder_input_features": features.astype(np.float16)[None],
        "encoder_output_lengths": _scalar(frames // MEL_FRAMES_PER_STATE, np.int32),
        "input_lengths": _scalar(frames, np.int32),
        "decoder_input_ids": np.array([prompt], np.int32),
        "request_output_len": _scalar(new_tokens, np.int32),
    }


def _constants(tokenizer: WhisperTokenizer) -> dict[str, NDArray[np.generic]]:
    return {
        "end_id": _scalar(tokenizer.end, np.int32),
        "pad_id": _scalar(tokenizer.end, np.int32),
        "runtime_top_k": _scalar(1, np.int32),  # log-probs come only with a sampling parameter
        "return_log_probs": _scalar(True, np.bool_),
        "temperature": _scalar(1.0, np.float32),
    }


def _scalar(value: float, dtype: type[np.generic]) -> NDArray[np.generic]:
    """A scalar as the contract wants it: shape [1, 1]."""
    return np.array([[value]], dtype)
