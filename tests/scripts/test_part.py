"""A program that ends, or that its watch condemns, is started again, until that is too often."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.child import tail
from scripts.part import Part, ServerError
from scripts.restarts import Restarts
from tests.processes import assert_all_end, has_ended, until

SERVES = "print('serves', flush=True); import time; time.sleep(60)"
ENDS = "print('serves', flush=True); raise SystemExit('it is broken')"
NEVER_READY = "import time; time.sleep(60)"


class FakeWatch:
    """Condemns its process when it is told to."""

    made: list["FakeWatch"]

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.verdict: str | None = None
        self.is_closed = False
        self.made.append(self)

    def close(self) -> None:
        self.is_closed = True


class Trial:
    """A part that runs a program in Python; it is ready when it has said that it serves."""

    def __init__(self, folder: Path) -> None:
        self.reports: list[str] = []
        self.log = folder / "it.log"
        self.tidied = 0
        FakeWatch.made = []
        self.part = Part(
            "It",
            self.running(SERVES),
            {},
            self.log,
            is_ready=lambda: "serves" in tail(self.log),
            start_timeout_s=5,
            grace_s=1,
            error_lines=tail,
            report=self.reports.append,
            tidy=self.tidy,
            make_watch=FakeWatch,  # type: ignore[arg-type]
            restarts=Restarts(most=2),
        )

    def tidy(self) -> None:
        self.tidied += 1

    @staticmethod
    def running(code: str) -> list[str]:
        return [sys.executable, "-c", code]

    @property
    def process(self) -> psutil.Process:
        """What its child is now."""
        self.part.tend()
        return psutil.Process(FakeWatch.made[-1].pid)

    def die(self) -> None:
        process = self.process
        process.kill()
        until(lambda: has_ended(process))


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    trial = Trial(tmp_path)
    trial.part.launch()
    trial.part.wait_until_ready(trial.part.check)
    yield trial
    trial.part.stop()


def test_what_serves_is_left_alone(trial: Trial) -> None:
    first = trial.process
    for _ in range(3):
        trial.part.tend()
    assert trial.process == first
    assert len(FakeWatch.made) == 1
    assert len(trial.reports) == 1


def test_what_has_ended_is_started_again_and_one_line_says_why(trial: Trial) -> None:
    first = trial.process
    trial.die()
    trial.part.tend()
    assert trial.process.pid != first.pid
    told, ready = trial.reports[1:]
    assert told.startswith("It has ended with exit status -9: it is started again (its log: ")
    assert told.endswith("it.before.log) ...")
    assert "\n" not in told
    assert ready.startswith("It is ready after")
    assert trial.tidied == 1
    assert (trial.log.parent / "it.before.log").exists()


def test_what_its_watch_condemns_is_ended_and_started_again(trial: Trial) -> None:
    first = trial.process
    watch = FakeWatch.made[-1]
    watch.verdict = "has transcribed nothing for 32 s"
    trial.part.tend()
    assert_all_end([first])
    assert watch.is_closed
    assert trial.process.pid != first.pid
    assert trial.reports[1].startswith("It has transcribed nothing for 32 s: it is started again")


def test_what_ends_too_often_is_given_up_with_the_reason_and_its_log(trial: Trial) -> None:
    trial.die()
    trial.part.tend()
    trial.die()
    begin = time.monotonic()
    trial.part.tend()
    assert time.monotonic() - begin >= 1
    trial.die()
    with pytest.raises(ServerError) as given_up:
        trial.part.tend()
    first, said = str(given_up.value).splitlines()
    assert "It has ended with exit status -9, and has been started again 2 times in 10" in first
    assert said.strip() == "serves"


@pytest.mark.parametrize(("code", "why"), [(ENDS, "exit status 1"), (NEVER_READY, "not ready")])
def test_a_start_that_fails_counts(code: str, why: str, trial: Trial) -> None:
    trial.die()
    trial.part.command = trial.running(code)
    trial.part.is_ready = lambda: False
    trial.part.start_timeout_s = 0.5
    trial.part.tend()
    trial.part.tend()
    assert why in trial.reports[2]
    with pytest.raises(ServerError, match=f"{why}.*, and has been started again 2 times"):
        trial.part.tend()


def test_stopping_ends_the_watch_too(trial: Trial) -> None:
    process = trial.process
    trial.part.stop()
    assert_all_end([process])
    assert FakeWatch.made[-1].is_closed
    assert trial.tidied == 1
