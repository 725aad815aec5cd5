"""Children end when they are told to, and with the process that started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts.child import Child, tail
from tests.processes import LIMIT_S, assert_all_end, until

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(grandchild.pid, flush=True)
time.sleep(60)
"""
PARENT = """
import os, sys, time
from pathlib import Path
from scripts.child import Child
child = Child(["sleep", "60"], os.environ, Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(60)
"""


def process_in(log: Path) -> psutil.Process:
    """The process whose id is all the log says, once it says it."""
    until(lambda: bool(tail(log)))
    return psutil.Process(int(tail(log)[0]))


def child_of(code: str, log: Path) -> Child:
    return Child([sys.executable, "-c", code], os.environ, log)


def test_output_of_both_kinds_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs/child.log"
    child = child_of("import sys; print('out'); print('err', file=sys.stderr)", log)
    until(lambda: child.status is not None)
    assert sorted(tail(log)) == ["err", "out"]
    child.stop(LIMIT_S)


def test_the_tail_is_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert tail(log, 2) == ["line 98", "line 99"]


def test_the_exit_status_is_the_programs_own(tmp_path: Path) -> None:
    child = child_of("raise SystemExit(3)", tmp_path / "log")
    until(lambda: child.status is not None)
    assert child.status == 3
    child.stop(LIMIT_S)


def test_a_child_that_ends_when_asked_is_not_killed(tmp_path: Path) -> None:
    child = Child(["sleep", "60"], os.environ, tmp_path / "log")
    until(lambda: psutil.Process(child.pid).name() == "sleep")
    child.stop(LIMIT_S)
    assert child.status == -signal.SIGTERM


def test_without_a_log_its_output_is_this_processs(capfd: pytest.CaptureFixture[str]) -> None:
    child = Child(["sh", "-c", "echo out; echo err >&2"], os.environ)
    assert child.wait(LIMIT_S) == 0
    child.stop(LIMIT_S)
    assert capfd.readouterr() == ("out\n", "err\n")


def test_waiting_for_one_that_runs_on_is_over_in_time(tmp_path: Path) -> None:
    child = Child(["sleep", "60"], os.environ, tmp_path / "log")
    assert child.wait(0.05) is None
    child.kill()
    assert child.status == -signal.SIGKILL


def test_a_signal_is_passed_on(tmp_path: Path) -> None:
    child = Child(["sleep", "60"], os.environ, tmp_path / "log")
    until(lambda: psutil.Process(child.pid).name() == "sleep")
    child.send_signal(signal.SIGINT)
    assert child.wait(LIMIT_S) == -signal.SIGINT
    child.send_signal(signal.SIGINT)  # to nobody


def test_a_stubborn_child_is_killed_with_its_own_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = child_of(STUBBORN, log)
    grandchild = process_in(log)
    child.stop(grace_s=0.1)
    assert child.status == -signal.SIGKILL
    assert_all_end([grandchild])


def test_children_of_a_child_that_has_crashed_are_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = child_of(STUBBORN, log)
    grandchild = process_in(log)
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: child.status is not None)
    child.stop(LIMIT_S)
    assert_all_end([grandchild])


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.name() == "sleep")
        parent.kill()
    assert_all_end([child])
