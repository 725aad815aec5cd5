"""What a container's health check asks."""

import asyncio
import socket

import pytest

from gateway import probe
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import Server
from tests.gateway.test_signals import TLS, running


async def asked(**settings: object) -> int:
    environment = {f"GATEWAY_{name}": str(value) for name, value in settings.items()}
    return await asyncio.to_thread(probe.main, environment)


async def test_a_gateway_that_is_ready_is_0(server: Server) -> None:
    assert await asked(PORT=server.address.rpartition(":")[2]) == 0


async def test_one_that_listens_on_all_addresses_is_asked_at_this_machine_s(server: Server) -> None:
    port = server.address.rpartition(":")[2]
    assert await asked(PORT=port, HOST="0.0.0.0", ALLOW_ANONYMOUS="true") == 0


async def test_a_gateway_that_is_not_ready_is_1_and_says_why(
    server: Server, triton: FakeTriton, capsys: pytest.CaptureFixture[str]
) -> None:
    triton.loaded = False
    assert await asked(PORT=server.address.rpartition(":")[2]) == 1
    assert "is not loaded" in capsys.readouterr().err


async def test_nobody_there_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert await asked(PORT=port) == 1
    assert "cannot be asked" in capsys.readouterr().err


async def test_a_bad_setting_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert await asked(PORT="http") == 1
    assert "GATEWAY_PORT='http' cannot be used" in capsys.readouterr().err


async def test_one_that_speaks_tls_is_asked_with_tls(triton: FakeTriton) -> None:
    files = {"TLS_CERTIFICATE": TLS / "one.pem", "TLS_KEY": TLS / "one.key"}
    settings = {f"GATEWAY_{name}": value for name, value in files.items()}
    async with running(triton, **settings) as gateway:
        assert await asked(PORT=gateway.port, **files) == 0
        assert await asked(PORT=gateway.port) == 1
