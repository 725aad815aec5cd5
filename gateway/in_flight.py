"""The hops of a session that Triton has not answered yet, and room for more of them.

A hop leaves only when its answer has been relayed, so a client that does not read slows down its
own audio. Room is the audio from the oldest of them to the newest: hops that yield no window are
answered at once, and counting only the others would let one client that sends faster than real time
fill the engine's queue with a minute of windows, in front of everybody else's. It is a span and not
a number of hops, which may be short. Knows no Triton and no websocket.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.sequence import Hop


@dataclass(frozen=True, slots=True)
class SentHop:
    """A hop under way."""

    hop: Hop
    sent_at: float
    """Monotonic time in seconds."""


class HopsInFlight:
    """At most `limit` samples from the oldest hop to the newest; who wants to add more waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hops: dict[int, SentHop] = {}
        self._changed = asyncio.Event()
        self.hurries = False
        """Whether somebody is in a hurry."""
        self._is_interrupted = False

    def has_room(self, hop: Hop) -> bool:
        """Whether this hop, the next one, need not wait."""
        if not self._hops:
            return True
        oldest = next(iter(self._hops.values())).hop  # they enter in order
        return hop.end_position - oldest.start_position <= self._limit

    async def enter(self, hop: Hop) -> None:
        """Wait for room and count this hop as sent now."""
        await self._until(lambda: self.has_room(hop))
        self._hops[hop.index] = SentHop(hop, time.monotonic())

    def get(self, index: int) -> SentHop | None:
        """The hop, if it is unanswered."""
        return self._hops.get(index)

    def leave(self, index: int) -> None:
        """The hop has been answered and its answer relayed."""
        del self._hops[index]
        self._changed.set()

    async def drained(self) -> None:
        """Wait until no hop is unanswered, nor lost with the Triton that it was sent to."""
        await self._until(lambda: self.is_drained)

    async def drained_or_hurried(self) -> None:
        """Wait until no hop is under way or `hurries` is set."""
        await self._until(lambda: self.hurries or not self._hops)

    @property
    def samples(self) -> int:
        """Audio from the oldest hop to the newest."""
        hops = self._hops.values()
        if not hops:
            return 0
        oldest, newest = next(iter(hops)), next(reversed(hops))
        return newest.hop.end_position - oldest.hop.start_position

    @property
    def is_drained(self) -> bool:
        """Whether no answer is owed."""
        return not (self._hops or self._is_interrupted)

    def oldest_position(self) -> int | None:
        """Where the audio of the oldest unanswered hop starts; None without any."""
        return next(iter(self._hops.values())).hop.start_position if self._hops else None

    def interrupt(self) -> None:
        """Nobody answers the hops under way any more. Until `resume` their answers are owed."""
        self._hops.clear()
        self._is_interrupted = True
        self._changed.set()

    def resume(self) -> None:
        """What has been lost is under way again."""
        self._is_interrupted = False
        self._changed.set()

    def hurry(self) -> None:
        """Set `hurries`, for good."""
        self.hurries = True
        self._changed.set()

    def longest_wait_s(self) -> float:
        """How long the oldest unanswered hop has been waiting; 0 if there is none."""
        if not self._hops:
            return 0
        return time.monotonic() - min(sent.sent_at for sent in self._hops.values())

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()
