"""Whisper large-v3 as far as a CPU can tell: its features, its tokens, the text of Whisper base.

Requests are those of large-v3: 128 mel bins, its token ids. The weights are Whisper base's, in
CTranslate2. So mel bins are converted, which is a product in the power domain (on the bundled
recordings base then makes as many word errors as with its own 80 bins), and tokens are renamed
by what they stand for.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import ctranslate2
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipeline.engines.request import Hypothesis
from pipeline.spectrogram import mel_filters
from pipeline.tokens import MAX_TEXT_TOKENS, WhisperTokenizer

_CANTONESE, _CHINESE = "<|yue|>", "<|zh|>"
"""The one token that large-v3 has and base has not."""


class BaseAsLargeV3:
    """`engine_dir`: with the tokenizer of large-v3; `weights_dir`: Whisper base."""

    def __init__(self, engine_dir: Path, weights_dir: Path) -> None:
        self._large = Tokenizer.from_file(str(engine_dir / "tokenizer.json"))
        self._base = Tokenizer.from_file(str(weights_dir / "tokenizer.json"))
        self.tokenizer = WhisperTokenizer(str(weights_dir))
        self._model = ctranslate2.models.Whisper(
            str(weights_dir), device="cpu", compute_type="int8", inter_threads=1, intra_threads=2
        )

    @cached_property
    def _to_80_bins(self) -> NDArray[np.float64]:
        """[128, 80], which makes 80 bins' power of 128 bins' with the least error."""
        large, base = mel_filters(128).astype(np.float64), mel_filters(80).astype(np.float64)
        product: NDArray[np.float64] = np.linalg.lstsq(large, base, rcond=None)[0]
        return product

    def features_of_base(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Features [frames, 128] as base's [frames, 80], by the formula of OpenAI's `audio.py`."""
        power = 10.0 ** (features.astype(np.float64) * 4 - 4)
        log = np.log10(np.maximum(power @ self._to_80_bins, 1e-10))
        log = np.maximum(log, log.max() - 8.0)
        scaled: NDArray[np.float32] = ((log + 4.0) / 4.0).astype(np.float32)
        return scaled

    def decode(
        self,
        features: NDArray[np.float16],
        prompt: Sequence[int],
        most_new: int,
        repetition_penalty: float = 1.0,
    ) -> Hypothesis:
        """Greedy, in large-v3's tokens: what follows the prompt, without the end.

        Args:
            features: [3000, 128]
            prompt: decoder prompt, perhaps with the beginning of the text.
            most_new: most tokens to answer.
            repetition_penalty: 1 is none.
        """
        states = self._encode(features)
        asked = [self._in_base(token) for token in prompt]
        said, log_probs = self._head(states, asked)
        result = self._model.generate(
            states,
            [[*asked, *said]],
            beam_size=1,
            repetition_penalty=repetition_penalty,
            max_length=MAX_TEXT_TOKENS,
            return_scores=True,
            suppress_blank=not self.tokenizer.forced_text(asked),
        )[0]
        # CTranslate2 answers text that the prompt forces as if it had been decoded.
        text = result.sequences_ids[0][len(self.tokenizer.forced_text(asked)) :]
        share = result.scores[0]  # its mean over the text: length_penalty is 1
        tokens = [self._in_large(token) for token in [*said, *text]][:most_new]
        return Hypothesis(tokens, [*log_probs, *(share for _ in text)][:most_new])

    def _encode(self, features: NDArray[np.float16]) -> ctranslate2.StorageView:
        bins_first = np.ascontiguousarray(self.features_of_base(features).T[None])
        return self._model.encode(ctranslate2.StorageView.from_array(bins_first))

    def _head(
        self, states: ctranslate2.StorageView, prompt: Sequence[int]
    ) -> tuple[list[int], list[float]]:
        """What the model says first when it is given nothing: the language and the task.

        Behind that it goes on with timestamps, as Whisper does that is not told otherwise.
        """
        if prompt[-1] != self.tokenizer.start:
            return [], []
        language, probability = self._model.detect_language(states)[0][0]
        tokens = [self.tokenizer.language_token(language[2:-2]), self.tokenizer.transcribe]
        return tokens, [float(np.log(probability)), 0.0]

    def _in_base(self, token: int) -> int:
        name = self._large.id_to_token(token) or ""
        return _id(self._base, _CHINESE if name == _CANTONESE else name)

    def _in_large(self, token: int) -> int:
        if token > self.tokenizer.no_timestamps:  # base's tokenizer.json does not name timestamps
            behind = token - self.tokenizer.no_timestamps
            return _id(self._large, "<|notimestamps|>") + behind
        return _id(self._large, self._base.id_to_token(token) or "")


def _id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    assert found is not None, f"{token} is no token of Whisper's"
    return int(found)
