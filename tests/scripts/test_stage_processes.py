"""Processes of stages are found among a process's children, and their ends are noticed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.stage_processes import StageProcess, stage_processes
from tests.processes import has_ended, until

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child with a stage's command line, whose name is as awkward as names can be."""
    program = tmp_path / "a) R (stub"
    program.symlink_to(sys.executable)
    command = [str(program), "-c", SLEEP, "/models/silero_vad/1/model.py", "more"]
    with subprocess.Popen(command) as process:
        try:
            until(lambda: any(each.pid == process.pid for each in stage_processes(os.getpid())))
            yield process
        finally:
            process.kill()


def found(process: subprocess.Popen[bytes]) -> StageProcess:
    return next(each for each in stage_processes(os.getpid()) if each.pid == process.pid)


def test_a_stage_is_found_by_its_command_line(stage: subprocess.Popen[bytes]) -> None:
    assert found(stage).name == "silero_vad"
    assert not found(stage).has_ended


def test_other_children_and_other_peoples_stages_are_none(
    stage: subprocess.Popen[bytes],
) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP]) as other:
        assert other.pid not in [each.pid for each in stage_processes(os.getpid())]
        other.kill()
    assert stage_processes(os.getppid()) == []


def test_a_worker_of_tensorrt_llm_is_watched_too(tmp_path: Path) -> None:
    program = tmp_path / "trtllmExecutorWorker"
    program.symlink_to(sys.executable)
    with subprocess.Popen([str(program), "-c", SLEEP]) as worker:
        until(lambda: "trtllmExecutorWorker" in [e.name for e in stage_processes(os.getpid())])
        worker.kill()


def test_one_that_was_killed_has_ended_though_nobody_has_taken_note(
    stage: subprocess.Popen[bytes],
) -> None:
    seen = found(stage)
    os.kill(stage.pid, signal.SIGKILL)
    until(lambda: seen.has_ended)
    assert stage.returncode is None  # a zombie
    stage.wait()
    assert seen.has_ended


def test_one_that_had_ended_before_anybody_looked_is_found_all_the_same(tmp_path: Path) -> None:
    program = tmp_path / "triton_python_backend_stub"
    program.symlink_to(sys.executable)
    with subprocess.Popen([str(program), "-c", "", "/models/whisper/1/model.py"]) as stub:
        until(lambda: has_ended(psutil.Process(stub.pid)))
        seen = found(stub)
        assert seen.name == program.name
        assert seen.has_ended


def test_one_that_is_stopped_has_not_ended(stage: subprocess.Popen[bytes]) -> None:
    seen = found(stage)
    os.kill(stage.pid, signal.SIGSTOP)
    assert not seen.has_ended


def test_a_later_process_of_the_same_number_is_another(stage: subprocess.Popen[bytes]) -> None:
    seen = found(stage)
    assert StageProcess(seen.name, seen.pid, seen.started - 1).has_ended
