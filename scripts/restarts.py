"""How often what has failed is started again: soon at first, then less so, and not for ever.

Pure: time, in seconds, is passed in.
"""

from collections import deque

MOST = 5
WITHIN_S = 600
"""What fails more often than this is broken: another start would only hide it."""
LONGEST_PAUSE_S = 8


class Restarts:
    """The restarts of one program."""

    def __init__(self, most: int = MOST, within_s: float = WITHIN_S) -> None:
        self._within_s = within_s
        self._at: deque[float] = deque(maxlen=most)

    def pause_s(self, now: float) -> float | None:
        """Note one that begins now: how long to wait before it. None: there were too many."""
        while self._at and now - self._at[0] >= self._within_s:
            self._at.popleft()
        if len(self._at) == self._at.maxlen:
            return None
        self._at.append(now)
        return float(min(LONGEST_PAUSE_S, 2 ** (len(self._at) - 2))) if len(self._at) > 1 else 0

    def __str__(self) -> str:
        return f"{len(self._at)} times in {self._within_s / 60:g} minutes"
