"""Ends a process of which a thread is stuck in a step: Triton's watch then starts it again.

A thread that never comes back from the engine's own code cannot be ended, and the others would go
on with one thread less, unseen. It counts its own rounds instead of the time, so that a process
that was stopped and goes on is not taken for stuck.
"""

import faulthandler
import logging
import os
import threading
from collections.abc import Callable, Hashable

ROUND_S = 5.0
MOST_ROUNDS = 60
"""Five minutes: a large model on a slow CPU takes more than one for a full window."""
EXIT_STATUS = 70
"""`EX_SOFTWARE` of sysexits.h."""

logger = logging.getLogger(__name__)


class StuckWatch:
    """Looks at the steps of threads until it is closed."""

    def __init__(self, round_s: float = ROUND_S, end: Callable[[int], object] = os._exit) -> None:
        self._end = end
        self._steps: dict[Hashable, int] = {}  # rounds that each has been seen in
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(round_s,), name="stuck-watch", daemon=True
        )
        self._thread.start()

    def begins(self, step: Hashable) -> None:
        """A step has begun, or has come one step of its own further."""
        with self._lock:
            self._steps[step] = 0

    def ends(self, step: Hashable) -> None:
        """A step is over."""
        with self._lock:
            self._steps.pop(step, None)

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._thread.join()

    def _run(self, round_s: float) -> None:
        while not self._closed.wait(round_s):
            if self._rounds() > MOST_ROUNDS:
                logger.critical("An engine's thread is stuck; the process ends.")
                faulthandler.dump_traceback()
                self._end(EXIT_STATUS)
                return

    def _rounds(self) -> int:
        """The most rounds that any step has been seen in."""
        with self._lock:
            for step in self._steps:
                self._steps[step] += 1
            return max(self._steps.values(), default=0)
