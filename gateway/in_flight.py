"""The hops of a session that Triton has not answered yet, and room for more of them.

A hop leaves only when its answer has been relayed, so a client that does not read slows down its
own audio. Room is counted from the oldest of them to the newest: hops that yield no window are
answered at once, and counting only the others would let one client that sends faster than real time
fill the engine's queue with a minute of windows, in front of everybody else's. Knows no Triton and
no websocket.
"""

import asyncio
import time
from dataclasses import dataclass

from gateway.sequence import Hop


@dataclass(frozen=True, slots=True)
class SentHop:
    """A hop under way. Times in seconds."""

    hop: Hop
    sent_at: float
    """Monotonic."""
    sent_at_unix: float


class HopsInFlight:
    """At most `limit` hops from the oldest to the newest; whoever wants to add one more waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hops: dict[int, SentHop] = {}
        self._changed = asyncio.Condition()

    async def enter(self, hop: Hop) -> None:
        """Wait for room and count this hop as sent now."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(hop.index))
            self._hops[hop.index] = SentHop(hop, time.monotonic(), time.time())

    def _has_room(self, index: int) -> bool:
        oldest = next(iter(self._hops), index)  # they enter in the order of their indices
        return index - oldest < self._limit

    def get(self, index: int) -> SentHop | None:
        """The hop, if it is unanswered."""
        return self._hops.get(index)

    async def leave(self, index: int) -> None:
        """The hop has been answered and its answer relayed."""
        async with self._changed:
            del self._hops[index]
            self._changed.notify_all()

    async def drained(self) -> None:
        """Wait until no hop is unanswered."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._hops)

    def longest_wait_s(self) -> float:
        """How long the oldest unanswered hop has been waiting; 0 if there is none."""
        if not self._hops:
            return 0
        return time.monotonic() - min(sent.sent_at for sent in self._hops.values())
