"""The embedded Triton on its own, as its container runs it."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from scripts import serve_embedded, shared_memory, triton_server, triton_watch
from scripts.preflight import free_port
from scripts.stage_processes import stage_processes
from tests.processes import has_ended, until

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 60


@contextmanager
def embedded(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The script as a process of its own."""
    command = [sys.executable, str(ROOT / "scripts/serve_embedded.py")]
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def regions(owner: int) -> list[Path]:
    """Shared memory of Tritons that this process has started."""
    return list(shared_memory.FOLDER.glob(f"{shared_memory.PREFIX}_{owner}_*"))


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture
def environment() -> dict[str, str]:
    names = ("TRITON_GRPC_PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")
    inherited = {name: value for name, value in os.environ.items() if name != "WHISPER_MODEL"}
    return {**inherited, **{name: str(free_port()) for name in names}}


def test_it_is_ready_where_it_was_told_to_listen_and_ends_when_told(
    environment: dict[str, str],
) -> None:
    http_port, grpc_port = (int(environment[f"TRITON_{kind}_PORT"]) for kind in ("HTTP", "GRPC"))
    with embedded(environment) as process:
        until(lambda: answers(http_port, "/v2/health/ready"), START_LIMIT_S)
        assert triton_server.is_ready(f"127.0.0.1:{grpc_port}")
        assert answers(int(environment["TRITON_METRICS_PORT"]), "/metrics")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_ends_with_a_line_when_one_of_its_stages_does(environment: dict[str, str]) -> None:
    """Then whatever has started the container starts it again."""
    http_port = int(environment["TRITON_HTTP_PORT"])
    with embedded(environment) as process:
        until(lambda: answers(http_port, "/v2/health/ready"), START_LIMIT_S)
        (triton,) = psutil.Process(process.pid).children()
        stages = {stage.name: stage.pid for stage in stage_processes(triton.pid)}
        assert set(stages) == {"silero_vad", "log_mel", "whisper", "transcript"}
        until(lambda: bool(regions(process.pid)))
        time.sleep(2 * triton_watch.POLL_S)  # until the watch has seen that it is ready
        os.kill(stages["log_mel"], signal.SIGKILL)
        assert process.wait(30) == 1
        assert process.stderr
        last = process.stderr.read().decode().splitlines()[-1]
        assert last == "Triton has lost the process of its stage log_mel: it is ended"
        assert has_ended(triton)
        assert regions(process.pid) == []


def test_missing_weights_are_one_line(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve_embedded.main({**environment, "WHISPER_MODEL": "/nowhere"}) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("serve_embedded.py: the weights of WHISPER_MODEL=/nowhere are not in")
    assert line.endswith("python build/fetch_weights.py")


def test_a_port_that_is_none_is_one_line(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve_embedded.main({**environment, "TRITON_GRPC_PORT": "http"}) == 1
    assert "TRITON_GRPC_PORT='http' cannot be used" in capsys.readouterr().err
