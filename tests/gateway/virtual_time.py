"""An event loop whose clock jumps to the next thing that is waited for, so that hours take no time.

For tests without sockets: nothing from outside can come while the clock jumps. `run` also gives
the gateway's modules this clock where they ask for the monotonic one.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import gateway.downlink
import gateway.in_flight
import gateway.session
import gateway.uplink

T = TypeVar("T")
CLOCK_READERS: tuple[Any, ...] = (
    gateway.downlink,
    gateway.in_flight,
    gateway.session,
    gateway.uplink,
)


class _Selector(selectors.SelectSelector):
    """Never waits: it tells how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits, and for nothing that will come: it hangs")
        if not ready and timeout is not None:
            self.slept_s += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its time is what has been waited, in seconds."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds since it began."""
        return self._virtual.slept_s


class _Clock:
    """Stands in for the module `time`."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self.monotonic = loop.time

    time = staticmethod(time.time)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to its end, in virtual time.

    Raises:
        RuntimeError: it waits for what nobody will bring about.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        clock = _Clock(loop)
        for module in CLOCK_READERS:
            module.time = clock
        try:
            return runner.run(main)
        finally:
            for module in CLOCK_READERS:
                module.time = time
