"""The companion: a small CTranslate2 Whisper beside the engine, for what its contract cannot say.

TensorRT-LLM gives no cross-attention, so word times come from here: the engine's text is aligned
to the utterance's audio, the same way for every engine, and is never changed. Language detection
restricted to some languages needs their probabilities, which come from here too. The model is
loaded when first needed. It knows no Triton.
"""

from functools import cached_property

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from pipeline.audio import MEL_FRAMES_PER_STATE, MEL_HOP_SAMPLES
from pipeline.log_mel import WindowPolicy, window_waveform
from pipeline.spectrogram import log_mel_spectrogram
from pipeline.tokens import WhisperTokenizer
from pipeline.window import WindowInfo
from pipeline.words import Word, split_words, time_words

STEP_SAMPLES = MEL_HOP_SAMPLES * MEL_FRAMES_PER_STATE
"""One encoder state, 20 ms: the resolution of an alignment."""


class Companion:
    """Word times and restricted language detection. `model_dir`: any multilingual Whisper."""

    def __init__(self, model_dir: str) -> None:
        self._model_dir = model_dir

    @cached_property
    def _model(self) -> ctranslate2.models.Whisper:
        return ctranslate2.models.Whisper(
            self._model_dir, device="cpu", compute_type="int8", intra_threads=1
        )

    @cached_property
    def _tokenizer(self) -> WhisperTokenizer:
        return WhisperTokenizer(self._model_dir)

    def detect(self, waveform: NDArray[np.float32], options: list[str]) -> tuple[str, float]:
        """The most likely of `options` for a waveform [n], and its share among them."""
        found = dict(self._model.detect_language(self._encode(waveform))[0])
        weights = {code: found.get(f"<|{code}|>", 0.0) for code in options}
        best = max(options, key=weights.__getitem__)
        total = sum(weights.values())
        return best, weights[best] / total if total > 0 else 1 / len(options)

    def align(self, audio: NDArray[np.int16], info: WindowInfo, text: str, code: str) -> list[Word]:
        """When the words of `text` were spoken in a window's audio, int16 [n]."""
        waveform = window_waveform(audio, info)
        tokens = self._tokenizer.encode(" " + text)
        result = self._model.align(
            self._encode(waveform),
            [self._tokenizer.start, *self._tokenizer.task_tokens(code)],
            [tokens],
            len(waveform) // MEL_HOP_SAMPLES,
        )[0]
        return time_words(
            split_words(self._tokenizer, tokens, code),
            result.alignments,
            result.text_token_probs,
            STEP_SAMPLES,
            info.audio_start,
            info.start,
            info.end,
        )

    def _encode(self, waveform: NDArray[np.float32]) -> ctranslate2.StorageView:
        """Encoder states of a window, padded like the embedded engine's."""
        padded = np.zeros(WindowPolicy().padded_samples(len(waveform), whole=True), np.float32)
        padded[: len(waveform)] = waveform[: len(padded)]
        features = log_mel_spectrogram(padded, int(self._model.n_mels))
        return self._model.encode(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(features.T[None]))
        )
