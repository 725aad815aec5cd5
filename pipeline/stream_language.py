"""The language that a stream is known to speak, and what teaches it. Pure."""

from typing import NamedTuple

from pipeline.audio import SAMPLE_RATE

DETECTION_SAMPLES = 2 * SAMPLE_RATE
"""Speech that language detection needs to be trusted; less follows the stream's language."""
TRUSTED_LANGUAGE_PROB = 0.5
"""A language found with less than this does not become the stream's language."""


class StreamLanguage(NamedTuple):
    """An ISO 639-1 code, and how sure it is."""

    code: str
    prob: float


def learnt(
    known: StreamLanguage | None, found: StreamLanguage, samples: int
) -> StreamLanguage | None:
    """What is known once a language was found in so much speech.

    Long enough and sure enough speech sets the stream's language; the first may be short.
    """
    is_trusted = known is None or samples >= DETECTION_SAMPLES
    return found if is_trusted and found.prob >= TRUSTED_LANGUAGE_PROB else known
