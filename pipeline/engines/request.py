"""What an engine is asked and what it answers: the tensor contract in Python's terms.

It knows no engine and no Triton API. Tensors come and go with a batch dimension of 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import MAX_MEL_FRAMES, MEL_FRAMES_PER_STATE
from pipeline.engines.cross_attention import CrossAttention

PADDING = -1
"""What `output_ids` is padded with, as TensorRT-LLM's backend does."""


class ContractError(ValueError):
    """A request breaks the tensor contract; the message names the tensor and what is accepted."""


class Purpose(IntEnum):
    """What a window is for, the most urgent first."""

    FINAL = 0
    """Its text stays: an utterance's final, or a segment of one."""
    EARLY = 1
    """It may turn out to be the final: its text is as good, and wanted as soon."""
    PARTIAL = 2
    """The next window of the utterance replaces it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window belongs, for those who decide which window is decoded first."""

    stream: int = 0
    """Correlation id; 0: of no stream."""
    utterance: int = 0
    purpose: Purpose = Purpose.FINAL

    @property
    def of(self) -> tuple[int, int]:
        """Stream and utterance."""
        return self.stream, self.utterance


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One window to decode."""

    features: NDArray[np.float16]
    """[frames, n_mels], frames even and at most 3000."""
    prompt: list[int]
    max_new_tokens: int
    beam_width: int = 1
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    place: Place = Place()

    @property
    def is_draft(self) -> bool:
        """Whether speed counts for more than the last word's accuracy."""
        return self.place.purpose is Purpose.PARTIAL


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Tokens of one beam, without prompt and end, and the log-probability of each."""

    tokens: list[int]
    log_probs: list[float]

    def __add__(self, other: "Hypothesis") -> "Hypothesis":
        return Hypothesis(self.tokens + other.tokens, self.log_probs + other.log_probs)

    def first(self, most: int) -> "Hypothesis":
        """Its first tokens."""
        return Hypothesis(self.tokens[:most], self.log_probs[:most])


NOTHING = Hypothesis([], [])


@dataclass(frozen=True, slots=True)
class Encoded:
    """A window between encoder and decoder."""

    request: EngineRequest
    states: NDArray[np.float32]
    """[frames / 2, width]"""
    head: Hypothesis
    """What the model says before the text when the prompt ends in `<|startoftranscript|>`."""
    seen: CrossAttention | None = None
    """What the decoder's layers see of the states, where the encoder's step includes it."""


Decoded = tuple[int, list[Hypothesis]]
"""A window of a batch, by its index, and its beams, best first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a window."""

    beams: list[Hypothesis]
    """Best first."""
    superseded: bool = False
    """They are those of a newer window of the same utterance."""


_OF_NO_STREAM = Place()


def parse_request(
    tensors: Mapping[str, NDArray[np.generic]],
    no_repeat_ngram_size: int = 0,
    place: Place = _OF_NO_STREAM,
) -> EngineRequest:
    """A request from its tensors.

    Raises:
        ContractError: a shape or length that the contract does not allow.
    """
    features = np.asarray(tensors["encoder_input_features"], np.float16)
    frames = int(tensors["input_lengths"].item())
    states = int(tensors["encoder_output_lengths"].item())
    if features.ndim != 3 or features.shape[0] != 1 or features.shape[1] != frames:
        raise ContractError(
            f"encoder_input_features is {list(features.shape)}; accepted is [1, input_lengths = "
            f"{frames}, n_mels]"
        )
    if frames % MEL_FRAMES_PER_STATE or not 0 < frames <= MAX_MEL_FRAMES:
        raise ContractError(
            f"{frames} mel frames; accepted is an even number up to {MAX_MEL_FRAMES}"
        )
    if states != frames // MEL_FRAMES_PER_STATE:
        raise ContractError(f"encoder_output_lengths is {states}; it must be input_lengths / 2")
    return EngineRequest(
        features=features[0],
        prompt=[int(token) for token in tensors["decoder_input_ids"].reshape(-1)],
        max_new_tokens=int(tensors["request_output_len"].item()),
        beam_width=int(tensors["beam_width"].item()),
        length_penalty=float(tensors["len_penalty"].item()),
        repetition_penalty=float(tensors["repetition_penalty"].item()),
        no_repeat_ngram_size=no_repeat_ngram_size,
        place=place,
    )


def output_tensors(beams: list[Hypothesis]) -> dict[str, NDArray[np.generic]]:
    """The engine's outputs for one window's beams, by name."""
    longest = max(1, *(len(beam.tokens) for beam in beams))
    ids = np.full((1, len(beams), longest), PADDING, np.int32)
    log_probs = np.zeros((1, len(beams), longest), np.float32)
    for row, beam in enumerate(beams):
        ids[0, row, : len(beam.tokens)] = beam.tokens
        log_probs[0, row, : len(beam.tokens)] = beam.log_probs
    return {
        "output_ids": ids,
        "sequence_length": np.array([[len(beam.tokens) for beam in beams]], np.int32),
        "cum_log_probs": np.array([[sum(beam.log_probs) for beam in beams]], np.float32),
        "output_log_probs": log_probs,
    }
