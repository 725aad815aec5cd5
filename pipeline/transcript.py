"""The transcript stage: an engine's tokens become a transcription message and the FEEDBACK.

Stateless; it knows no engine, no Triton and no socket. A message is of the whole utterance: what
was settled of it before the window stands in front of the window's own text. That is what the
engine said; only partials change it (`pipeline.stability`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.request import Hypothesis
from pipeline.feedback import Feedback
from pipeline.hallucination import Evidence, is_possible_hallucination
from pipeline.message import Transcription, joined
from pipeline.stability import Partial, stabilise
from pipeline.tokens import WhisperTokenizer
from pipeline.window import SettledText, WindowInfo
from pipeline.words import Word, join_texts


class Aligner(Protocol):
    """Finds when words of a text were spoken, whichever engine wrote it."""

    def align(self, audio: NDArray[np.int16], info: WindowInfo, text: str, code: str) -> list[Word]:
        """Words with their positions in samples of the stream."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine said of a window: its beams, best first, and the prompt it was given."""

    beams: list[Hypothesis]
    prompt: list[int]
    language_prob: float | None = None
    """How sure the prompt's language is, where it was chosen for this window."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A beam read: language, text and how sure the engine was of it."""

    language: str | None
    language_prob: float | None
    tokens: list[int]
    text: str
    log_prob: float

    @property
    def average_log_prob(self) -> float:
        return self.log_prob / (len(self.tokens) + 1)


def read_outputs(outputs: dict[str, NDArray[np.generic]]) -> list[Hypothesis]:
    """The beams in an engine's outputs: `output_ids` [1, beam, len] up to each one's length.

    TensorRT-LLM pads with -1 and may leave `output_log_probs` empty when they were not asked for.
    """
    ids, lengths = outputs["output_ids"][0], outputs["sequence_length"][0]
    log_probs = outputs["output_log_probs"][0]
    beams = []
    for row, length in enumerate(lengths):
        tokens = [int(token) for token in ids[row, : int(length)] if token >= 0]
        known = log_probs[row, : len(tokens)] if row < len(log_probs) else []
        shares = [float(value) for value in known]
        beams.append(Hypothesis(tokens, shares + [0.0] * (len(tokens) - len(shares))))
    return beams


class TranscriptWriter:
    """The stage. `aligner` is asked only for streams that want word times."""

    def __init__(self, tokenizer: WhisperTokenizer, aligner: Aligner) -> None:
        self._tokenizer = tokenizer
        self._aligner = aligner

    def write(
        self, answer: Answer, audio: NDArray[np.int16], info: WindowInfo
    ) -> tuple[dict[str, Any], Feedback]:
        """The message for a window, and what its stream may learn from it."""
        readings = [self._read(beam, answer, info) for beam in answer.beams]
        best = readings[0]
        language = info.language or best.language
        partial = _shown(best, info)
        own = self._recognised(partial.text, best, audio, info, language)
        before = joined(info.settled, language)
        message = Transcription(
            info=info,
            language=language,
            language_prob=_language_prob(best, info),
            recognised=joined([before, own], language),
            committed=join_texts([before.text, partial.committed], language),
            beams=_beam_results(readings, before, language) if info.options.beam_results else [],
        ).message()
        return message, _feedback(info, best, own, partial)

    def _read(self, beam: Hypothesis, answer: Answer, info: WindowInfo) -> _Reading:
        """Split a beam into what the model said of the language, and text.

        Text that the prompt forced stands in front of the beam's own, with what is known of it.
        """
        language, prob = self._language(beam, answer)
        text = [
            (token, log_prob)
            for token, log_prob in zip(beam.tokens, beam.log_probs, strict=True)
            if token < self._tokenizer.end
        ]
        log_prob = sum(log_prob for _, log_prob in text)
        forced = self._tokenizer.forced_text(answer.prompt)
        if forced and info.known is not None:
            log_prob += info.known.log_prob
            prob = info.known.language_prob if prob is None else prob
        tokens = [*forced, *(token for token, _ in text)]
        return _Reading(
            language=language,
            language_prob=prob,
            tokens=tokens,
            text=self._tokenizer.decode(tokens).replace("\N{REPLACEMENT CHARACTER}", "").strip(),
            log_prob=log_prob,
        )

    def _language(self, beam: Hypothesis, answer: Answer) -> tuple[str | None, float | None]:
        """The language that the prompt gave, else the first that the model said, and how surely."""
        for token in answer.prompt:
            if code := self._tokenizer.language_of(token):
                return code, answer.language_prob
        for token, log_prob in zip(beam.tokens, beam.log_probs, strict=True):
            if code := self._tokenizer.language_of(token):
                return code, math.exp(min(0.0, log_prob))
        return None, None

    def _recognised(
        self,
        text: str,
        reading: _Reading,
        audio: NDArray[np.int16],
        info: WindowInfo,
        language: str | None,
    ) -> SettledText:
        """What is told of the window's own audio."""
        if not text:
            return SettledText(text="")
        words: list[Word] = []
        if info.options.word_timestamps and language and (info.is_wanted or info.segment):
            words = self._aligner.align(audio, info, text, language)
        return SettledText(
            text=text,
            log_prob=reading.log_prob,
            tokens=len(reading.tokens),
            words=[word.message() for word in words],
            possible_hallucination=is_possible_hallucination(_evidence(reading, info)),
        )


def _shown(reading: _Reading, info: WindowInfo) -> Partial:
    """What is shown of the window's own audio, and what of it stays."""
    if info.options.language_detection_only:
        return Partial("", "")
    if info.final or info.segment:
        return Partial(reading.text, reading.text)
    return stabilise(reading.text, info.previous, info.committed, info.interrupted)


def _feedback(info: WindowInfo, best: _Reading, own: SettledText, partial: Partial) -> Feedback:
    """What the stream learns: of a segment what it was, of a partial what the next one needs."""
    goes_on = not (info.final or info.segment)
    return Feedback(
        number=info.number,
        utterance=info.utterance,
        samples=info.end - info.start,
        language=best.language if best.language_prob is not None else None,
        language_prob=best.language_prob,
        text=best.text if goes_on else "",
        log_prob=best.log_prob if goes_on else 0.0,
        tokens=len(best.tokens) if goes_on else 0,
        committed=partial.committed if goes_on else "",
        settled=own if info.segment else None,
    )


def _language_prob(reading: _Reading, info: WindowInfo) -> float | None:
    """The engine's probability; the stream's where it follows that; None when it was given."""
    return info.language_prob if reading.language_prob is None else round(reading.language_prob, 4)


def _evidence(reading: _Reading, info: WindowInfo) -> Evidence:
    return Evidence(
        text=reading.text,
        average_log_prob=reading.average_log_prob,
        speech_probability=info.speech_probability,
    )


def _beam_results(
    readings: Sequence[_Reading], before: SettledText, language: str | None
) -> list[dict[str, Any]]:
    """Every beam's text of the utterance: what was settled before is the same in all."""
    return [
        {
            "text": join_texts([before.text, reading.text], language),
            "log_prob": before.log_prob + reading.log_prob,
        }
        for reading in readings
    ]
