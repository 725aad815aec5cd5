"""How many live streams would be served in time: an estimate, from how late words are now.

Pure. What a stream costs shows only some seconds after it has begun, so a burst of new ones must
not all be let in on the word of a server that was idle before. The estimate needs two numbers: how
many streams are *settled*, which means that their cost shows in the delays, and which *share* of
the delay that is allowed words have (1: they come as late as is allowed). Rules:

1. While words need little of the allowed time (`EASY_SHARE`), twice the settled streams would be
   served, and at least as many as have been *proven*: that many were served at once before. So a
   burst doubles the streams at most, and the next is let in when the first has shown its cost.
2. Else as many as would bring words to `TARGET_SHARE`, if delays grew in proportion to the
   streams. They did on the machine that was measured (docs/benchmarks.md); a queue's grow faster
   when it is nearly full, hence the distance to the limit. Up to there they come one at a time.
3. Proven is a number of the operator's at first, and the most that were settled under rule 1. When
   words come too late, it falls to what was settled then.
"""

import math

TARGET_SHARE = 0.8
EASY_SHARE = TARGET_SHARE / 2


class Capacity:
    """The estimate of one process."""

    def __init__(self, burst: int) -> None:
        """`burst`: streams that may begin at once on a server that has served none yet."""
        self.proven = burst

    def learn(self, settled: int, share: float | None) -> None:
        """So many settled streams are served now, so late (see `streams`)."""
        if not settled or share is None:
            return
        if share > 1:
            self.proven = min(self.proven, settled)
        elif share <= EASY_SHARE:
            self.proven = max(self.proven, settled)

    def streams(self, settled: int, share: float | None) -> int:
        """How many would be served in time, the settled ones included.

        Args:
            settled: streams whose cost shows in the delays.
            share: of the allowed delay, what words have; None when nobody knows.
        """
        if not settled:
            return self.proven  # delays of streams that are gone, or have only begun
        if share is None or share <= EASY_SHARE:
            return max(self.proven, 2 * settled)
        if share >= 1:
            return settled
        return max(settled + 1, math.ceil(settled * TARGET_SHARE / share))
