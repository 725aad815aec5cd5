"""`scripts/serve.py` as a person runs it: the real thing, from the command line."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest

from scripts import shared_memory
from scripts.triton_server import ROOT
from tests.processes import assert_all_end
from tests.serving import serving_environment

END_LIMIT_S = 5
KENNEDY = "ask what you can do for your country"


@contextmanager
def serving(*arguments: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The script in a process of its own, which is killed should a test fail."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/serve.py"), *arguments],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def output_of(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout
    return process.stdout


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """What it prints up to the line that has this text."""
    lines = []
    for line in output_of(process):
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def is_running(process: psutil.Process, program: str) -> bool:
    return any(Path(argument).name == program for argument in process.cmdline())


def left_in_shared_memory(process: subprocess.Popen[str]) -> list[str]:
    regions = shared_memory.FOLDER.glob(f"streaming_whisper_{process.pid}_*")
    return [region.name for region in regions]


def assert_ends(process: subprocess.Popen[str], number: signal.Signals, status: int) -> None:
    started = descendants(process)
    process.send_signal(number)
    assert process.wait(END_LIMIT_S) == status
    assert_all_end(started)
    assert not left_in_shared_memory(process)


def test_a_demo_shows_the_recording_and_ends_well() -> None:
    with serving("--demo", environment=serving_environment()) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert KENNEDY in output.lower()
    assert not left_in_shared_memory(process)


def test_a_signal_while_it_serves_ends_everything_within_5_s() -> None:
    environment = serving_environment()
    with serving(environment=environment) as process:
        lines = lines_until(process, "Serving at")
        assert KENNEDY in "".join(lines).lower()
        assert f"ws://127.0.0.1:{environment['GATEWAY_PORT']}/v1/websocket" in lines[-1]
        assert_ends(process, signal.SIGTERM, status=0)


def test_what_dies_is_started_again_and_a_line_says_so() -> None:
    with serving(environment=serving_environment()) as process:
        lines_until(process, "Serving at")
        for name, program in (("Triton", "tritonserver"), ("The gateway", "gateway")):
            (victim,) = [each for each in descendants(process) if is_running(each, program)]
            victim.kill()
            why = lines_until(process, "is started again")[-1]
            assert why.startswith(f"{name} has ended with exit status -9: it is started again")
            (ready,) = lines_until(process, "is ready after")
            assert ready.startswith(name)
        assert_ends(process, signal.SIGTERM, status=0)


def test_a_signal_while_triton_is_started_again_ends_everything_within_5_s() -> None:
    with serving(environment=serving_environment()) as process:
        lines_until(process, "Serving at")
        (triton,) = [each for each in descendants(process) if is_running(each, "tritonserver")]
        triton.kill()
        lines_until(process, "is started again")
        time.sleep(1)  # into the loading of the stages
        assert_ends(process, signal.SIGINT, status=0)


@pytest.mark.parametrize("moment", ["Triton is starting", "Streaming"])
def test_a_signal_before_it_serves_leaves_nothing(moment: str) -> None:
    with serving(environment=serving_environment()) as process:
        lines_until(process, moment)
        time.sleep(1)  # into the loading of the stages, or into the recording
        assert_ends(process, signal.SIGINT, status=0)


def test_a_demo_that_is_interrupted_has_proved_nothing() -> None:
    with serving("--demo", environment=serving_environment()) as process:
        lines_until(process, "Triton is starting")
        assert_ends(process, signal.SIGTERM, status=1)


def test_nothing_survives_a_killed_supervisor() -> None:
    with serving(environment=serving_environment()) as process:
        lines_until(process, "Triton is ready")
        started = descendants(process)
        process.kill()
    # Triton and the gateway die at once, and the stages when they miss Triton.
    assert_all_end(started, limit_s=15)


def test_a_port_in_use_is_one_line_and_exit_1() -> None:
    environment = serving_environment()
    with (
        socket.create_server(("127.0.0.1", int(environment["TRITON_METRICS_PORT"]))),
        serving(environment=environment) as process,
    ):
        output, _ = process.communicate()
    assert process.returncode == 1
    assert output.startswith("error: port ")
    assert "TRITON_METRICS_PORT" in output
    assert output.count("\n") == 1
