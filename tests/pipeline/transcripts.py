"""What the tests of the transcript stage share: hypotheses, answers, aligners and messages."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.request import Hypothesis
from pipeline.feedback import Feedback
from pipeline.tokens import WhisperTokenizer
from pipeline.transcript import Aligner, Answer, TranscriptWriter
from pipeline.window import WindowInfo
from pipeline.words import Word
from tests.pipeline.support import window_info

AUDIO = np.zeros(60_000, np.int16)


class NoAligner:
    """For streams that want no word times: it must not be asked."""

    def align(self, audio: NDArray[np.int16], info: WindowInfo, text: str, code: str) -> list[Word]:
        raise AssertionError("nobody asked for word times")


class EvenAligner:
    """Gives every word between two spaces the same share of the window's speech."""

    def align(self, audio: NDArray[np.int16], info: WindowInfo, text: str, code: str) -> list[Word]:
        texts = text.split()
        step = (info.end - info.start) // len(texts)
        begins = [info.start + i * step for i in range(len(texts))]
        return [Word(word, at, at + step, 0.9) for word, at in zip(texts, begins, strict=True)]


def beam(tokenizer: WhisperTokenizer, text: str, log_prob: float = -0.1) -> Hypothesis:
    """A hypothesis of a text, every token equally likely."""
    tokens = tokenizer.encode(" " + text) if text else []
    return Hypothesis(tokens, [log_prob] * len(tokens))


def given(tokenizer: WhisperTokenizer, *beams: Hypothesis, language: str = "en") -> Answer:
    """The answer to a prompt with the language in it."""
    return Answer(list(beams), [tokenizer.start, *tokenizer.task_tokens(language)])


def written(
    tokenizer: WhisperTokenizer,
    text: str,
    language: str = "en",
    aligner: Aligner | None = None,
    **window: Any,
) -> tuple[dict[str, Any], Feedback]:
    """What the stage makes of a text that the engine wrote, tokens with log-probability -0.1."""
    writer = TranscriptWriter(tokenizer, aligner or NoAligner())
    answer = given(tokenizer, beam(tokenizer, text), language=language)
    return writer.write(answer, AUDIO, window_info(len(AUDIO), language, **window))
