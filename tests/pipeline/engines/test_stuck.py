"""A step that never ends ends the process; others do not."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engines.stuck import EXIT_STATUS, MOST_ROUNDS, StuckWatch
from tests.pipeline.support import ROOT

ROUND_S = 0.002
LONG_S = 3 * MOST_ROUNDS * ROUND_S
LIMIT_S = 10

WORKER = f"""
import threading
import numpy as np
from pipeline.engines.request import EngineRequest
from pipeline.engines.schedule import Batching
from pipeline.engines.stuck import StuckWatch
from pipeline.engines.workers import EngineWorkers


class Hangs:
    batching = Batching(most=1)

    def encode(self, request):
        threading.Event().wait()


workers = EngineWorkers(Hangs(), 2, watch=StuckWatch({ROUND_S}))
workers.submit(EngineRequest(np.zeros((2, 80), np.float16), [1], 10), b"", print)
threading.Event().wait({LIMIT_S})
"""


@contextmanager
def watch() -> Iterator[tuple[StuckWatch, list[int], threading.Event]]:
    ended: list[int] = []
    has_ended = threading.Event()

    def end(status: int) -> None:
        ended.append(status)
        has_ended.set()

    watching = StuckWatch(ROUND_S, end)
    yield watching, ended, has_ended
    watching.close()


def test_a_step_that_never_ends_ends_the_process() -> None:
    with watch() as (watching, ended, has_ended):
        watching.begins("other")
        watching.ends("other")
        watching.begins("step")
        assert has_ended.wait(LIMIT_S)
    assert ended == [EXIT_STATUS]


def test_steps_that_end_or_come_further_do_not() -> None:
    with watch() as (watching, ended, _):
        watching.begins("short")
        until = time.monotonic() + LONG_S
        while time.monotonic() < until:
            watching.begins("long")
            if time.monotonic() > until - LONG_S / 2:
                watching.ends("short")
        watching.ends("long")
        time.sleep(LONG_S)
    assert ended == []


def test_a_worker_whose_engine_hangs_ends_its_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=6 * LIMIT_S,
        check=False,
    )
    assert done.returncode == EXIT_STATUS
    assert "is stuck" in done.stderr
    assert "in encode" in done.stderr  # where it was
