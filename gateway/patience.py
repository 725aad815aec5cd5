"""A time limit for a wait that is repeated many times a second: for the next packet or answer.

`asyncio.timeout` sets a timer for every single wait and takes it back when the wait is over, which
costs more than the packet. Here the timer stays as it is. When it fires and the wait that it was
set for is long over, it is set again for the present one.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """The time limit of one task's waits, one wait at a time. `close` it when they are over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0  # what uvloop's handles do not tell where that is past
        self._waiting: asyncio.Task[object] | None = None
        self._until = 0.0
        self._is_over = False

    async def wait(self, awaitable: Awaitable[T], until: float) -> T:
        """What is waited for. At `until` (of the loop's clock) it is cancelled.

        Raises:
            TimeoutError: it has not come by then.
        """
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        self._waiting, self._until, self._is_over = task, until, False
        if self._timer is None or self._timer_at > until:
            self._set_timer()
        try:
            return await awaitable
        except asyncio.CancelledError:
            # As in asyncio.timeout: somebody else may have cancelled the task at the same time.
            if self._is_over and task.uncancel() <= cancellations:
                raise TimeoutError from None
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        """Take the timer back, which would keep this and its task's objects alive until then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self.close()
        self._timer, self._timer_at = self._loop.call_at(self._until, self._on_timer), self._until

    def _on_timer(self) -> None:
        self._timer = None
        if self._waiting is None:
            return  # the next wait sets it
        if self._loop.time() < self._until:
            self._set_timer()
        else:
            self._is_over = True
            self._waiting.cancel()
