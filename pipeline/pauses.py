"""Pauses in scored speech: where an utterance that has grown too long is cut.

Pure, and part of the endpointing core: it imports no numpy, asyncio, time or logging.
"""

from collections.abc import Iterable, Sequence

QUIET_SHARE = 0.25
"""Where, between a region's 5th and 90th percentile of level, a frame counts as a pause."""
QUIET_DB = 3.0
"""And this far at least under the 90th: where all is equally loud, nothing is a pause."""


def longest_pause(scores: Sequence[tuple[float, float]], silent: float) -> tuple[int, int]:
    """The longest pause as a half-open range of frames; of equally long ones the latest.

    Without any pause it is the quietest frame.

    A frame is a pause when its probability is under `silent`, or when its level is near the
    quietest of the region: between words of fluent speech the probability often stays high.
    """
    levels = sorted(level for _, level in scores)
    low, high = levels[len(levels) // 20], levels[len(levels) * 9 // 10]
    quiet = min(low + QUIET_SHARE * (high - low), high - QUIET_DB)
    quietest = min(range(len(scores)), key=lambda frame: scores[frame][1])
    best = (quietest, quietest + 1)
    for run in _runs(probability < silent or level <= quiet for probability, level in scores):
        if run[1] - run[0] >= best[1] - best[0]:
            best = run
    return best


def _runs(flags: Iterable[bool]) -> Iterable[tuple[int, int]]:
    """Half-open ranges of consecutive true flags."""
    start, count = None, 0
    for count, flag in enumerate(flags, start=1):
        if flag and start is None:
            start = count - 1
        elif not flag and start is not None:
            yield start, count - 1
            start = None
    if start is not None:
        yield start, count
