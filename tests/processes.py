"""Waiting for processes that belong to somebody else to end."""

import time
from collections.abc import Callable, Iterable

import psutil

LIMIT_S = 5


def until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    """Wait for what another process does; fails after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def has_ended(process: psutil.Process) -> bool:
    """Whether it has ended. It may still be listed until init has taken note of it."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def assert_all_end(processes: Iterable[psutil.Process], limit_s: float = 1) -> None:
    """Fails when one of them runs for longer."""
    watched = list(processes)
    until(lambda: all(map(has_ended, watched)), limit_s)
