"""Triton and the gateway as one thing: settings, what is refused, and what failures say."""

import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gateway.settings import SettingsError
from scripts import server as server_module
from scripts import shared_memory, triton_server
from scripts.part import ServerError
from scripts.preflight import PreflightError
from scripts.server import Models, Server, Settings
from tests.processes import assert_all_end, until
from tests.serving import serving_environment

BROKEN_CONFIG = 'backend: "python" input [{name: "A" data_type: TYPE_INT16 dims: [-1]}] \
output [{name: "B" data_type: TYPE_INT16 dims: [-1]}]'


@pytest.fixture
def idle_server(tmp_path: Path) -> Server:
    """A server that has not been started."""
    environment = serving_environment()
    settings = Settings.from_environment(environment)
    return Server(settings, environment=environment, logs=tmp_path, report=lambda _: None)


def left_in_shared_memory(server: Server) -> list[Path]:
    prefix = shared_memory.prefix(os.getpid(), server.settings.triton[1])
    return list(shared_memory.FOLDER.glob(f"{prefix}*"))


def descendants() -> set[psutil.Process]:
    """All that this process has started, other servers' processes included."""
    return set(psutil.Process().children(recursive=True))


def has_failed(running: Server) -> bool:
    try:
        running.check_parts()
    except ServerError:
        return True
    return False


def test_without_settings_the_defaults_hold() -> None:
    settings = Settings.from_environment({})
    assert settings.url == "ws://127.0.0.1:8000/v1/websocket"
    assert settings.triton == ("127.0.0.1", 8001)
    assert [port.port for port in settings.ports] == [8000, 8001, 8002]
    assert settings.model == "base"


def test_every_address_can_be_moved() -> None:
    settings = Settings.from_environment(
        {
            "GATEWAY_HOST": "0.0.0.0",
            "GATEWAY_API_KEYS": "a-key-for-everybody",
            "GATEWAY_PORT": "9000",
            "GATEWAY_TRITON": "[::1]:9001",
            "TRITON_METRICS_PORT": "9002",
        }
    )
    assert settings.url == "ws://127.0.0.1:9000/v1/websocket"
    assert settings.triton == ("::1", 9001)
    assert [port.port for port in settings.ports] == [9000, 9001, 9002]


def test_port_0_finds_a_free_port() -> None:
    assert Settings.from_environment({"GATEWAY_PORT": "0"}).gateway.port > 0


@pytest.mark.parametrize("text", ["", "0", "65536", "eight"])
def test_a_metrics_port_that_is_none_is_named(text: str) -> None:
    with pytest.raises(PreflightError, match=r"TRITON_METRICS_PORT=.* from 1 to 65535"):
        Settings.from_environment({"TRITON_METRICS_PORT": text})


def test_the_gateways_own_settings_are_checked_before_anything_starts() -> None:
    with pytest.raises(SettingsError, match="GATEWAY_PORT"):
        Settings.from_environment({"GATEWAY_PORT": "eight"})


def test_a_port_in_use_keeps_everything_from_starting(idle_server: Server, tmp_path: Path) -> None:
    port = idle_server.settings.gateway.port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(PreflightError, match=f"port {port} on 127.0.0.1 is in use.*GATEWAY_PORT"),
    ):
        idle_server.start()
    assert not list(tmp_path.iterdir())


def test_missing_weights_say_how_to_fetch_them(idle_server: Server, tmp_path: Path) -> None:
    idle_server.settings = replace(idle_server.settings, model=str(tmp_path))
    with pytest.raises(PreflightError, match=r"python build/fetch_weights\.py"):
        idle_server.start()


def test_a_stage_that_fails_to_load_is_quoted_and_nothing_is_left(tmp_path: Path) -> None:
    stage = tmp_path / "repository/broken"
    (stage / "1").mkdir(parents=True)
    (stage / "config.pbtxt").write_text(BROKEN_CONFIG)
    (stage / "1/model.py").write_text("import a_module_that_is_missing\n")
    environment = serving_environment()
    broken = Server(
        Settings.from_environment(environment),
        environment=environment,
        logs=tmp_path / "logs",
        models=Models(repository=stage.parent),
        report=lambda _: None,
    )
    with pytest.raises(ServerError, match="No module named 'a_module_that_is_missing'"):
        broken.__enter__()
    assert not left_in_shared_memory(broken)


def test_a_part_that_is_never_ready_is_given_up(
    idle_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "TRITON_START_TIMEOUT_S", 0.1)
    monkeypatch.setattr(triton_server, "is_ready", lambda _: False)
    with pytest.raises(ServerError, match="Triton was not ready after 0 s"):
        idle_server.__enter__()
    assert not left_in_shared_memory(idle_server)


def test_a_part_that_dies_is_reported_and_the_rest_ends_within_5_s(tmp_path: Path) -> None:
    environment = serving_environment()
    settings = Settings.from_environment(environment)
    others = descendants()
    with Server(settings, environment=environment, logs=tmp_path) as running:
        running.check_parts()
        assert left_in_shared_memory(running)
        started = descendants() - others
        gateway = next(process for process in started if "gateway" in process.cmdline())
        gateway.send_signal(signal.SIGKILL)
        until(lambda: has_failed(running))
        with pytest.raises(ServerError, match="The gateway has ended with exit status -9"):
            running.check_parts()
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    assert_all_end(started)
    assert not left_in_shared_memory(running)
