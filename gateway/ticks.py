"""Moments that sessions share, so that their hops reach Triton together.

Triton takes what comes at the same time in one call of a stage, and who has just been woken is
woken cheaply once more: hops that come one by one cost half as much again. Knows no session.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Portion:
    """How much audio is taken at a time: samples, or bytes where packets are meant."""

    at_tick: int = 0
    """So much at least, where there are ticks: it is taken at the next one."""
    at_once: int = 0
    """So much is taken whatever the time, and no more. 0: whatever comes."""
    tick_ms: int = 0
    """How often there is a tick; 0: never, so that `at_once` counts."""

    @property
    def about(self) -> int:
        """The middle: so much is taken where nobody looks at ticks."""
        return (self.at_tick + self.at_once) // 2

    def through(self, count: Callable[[int], int]) -> "Portion":
        """The same, counted otherwise."""
        return Portion(count(self.at_tick), count(self.at_once), self.tick_ms)


ANYTHING = Portion()


class Ticks:
    """One event loop's. Moments of each interval lie on its clock, wherever sessions began."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[Callable[[], object]]] = {}  # by when, in ms

    def join(self, call: Callable[[], object], every_ms: int) -> None:
        """Have this called at the next of the moments that come so often, once."""
        loop = asyncio.get_running_loop()
        at_ms = (int(loop.time() * 1000) // every_ms + 1) * every_ms
        if at_ms not in self._waiting:
            self._waiting[at_ms] = set()
            loop.call_at(at_ms / 1000, self._tick, at_ms)
        self._waiting[at_ms].add(call)

    def _tick(self, at_ms: int) -> None:
        for call in self._waiting.pop(at_ms):
            call()
