"""How far a difference of word error rates may be chance: the bootstrap over recordings.

M. Bisani and H. Ney, 2004, "Bootstrap Estimates for Confidence Intervals in ASR Performance
Evaluation": recordings are drawn anew, with replacement, as many as there are, and both systems are
counted on the same ones.
"""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000
"""The interval's ends then move by about a hundredth of its length from seed to seed."""
INSIDE_PERCENT = 95.0
SEED = 1
"""The same recordings and errors give the same interval."""


def difference_interval(
    words: Sequence[int], errors: Sequence[int], reference: Sequence[int]
) -> tuple[float, float] | None:
    """Where the difference of two word error rates lies in 95 of 100 draws of the recordings.

    Args:
        words: spoken in each recording.
        errors: of the one system in each, of the other in `reference`.

    Returns:
        The ends, in percent of the words, positive where `errors` are more; None for fewer than two
        recordings with words, of which nothing can be said.
    """
    spoken = np.asarray(words, np.int64)
    more = np.asarray(errors, np.int64) - np.asarray(reference, np.int64)
    count = len(spoken)
    if np.count_nonzero(spoken) < 2:
        return None
    drawn = np.random.default_rng(SEED).integers(0, count, (RESAMPLES, count))
    totals = spoken[drawn].sum(axis=1)
    with_words = totals > 0
    differences = 100 * more[drawn].sum(axis=1)[with_words] / totals[with_words]
    rest = (100 - INSIDE_PERCENT) / 2
    low, high = np.percentile(differences, [rest, 100 - rest])
    return float(low), float(high)
