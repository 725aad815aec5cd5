"""`python -m gateway` as a process."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process

from tests.gateway.fake_triton import FakeTriton


async def start(**settings: object) -> Process:
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stderr=PIPE
    )


async def stderr_of(process: Process) -> str:
    _, stderr = await process.communicate()
    return stderr.decode()


async def test_a_bad_setting_is_one_line_and_exit_2() -> None:
    process = await start(GATEWAY_PORT="http")
    assert await stderr_of(process) == (
        "GATEWAY_PORT='http' cannot be used: accepted is an integer from 0 to 65535\n"
    )
    assert process.returncode == 2


async def test_a_port_in_use_is_one_line_and_exit_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start(GATEWAY_PORT=port)
        text = await stderr_of(process)
    assert text.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert text.count("\n") == 1
    assert process.returncode == 1


async def test_sigterm_ends_it_with_exit_0(triton: FakeTriton) -> None:
    process = await start(GATEWAY_PORT=0, GATEWAY_TRITON=triton.address, GATEWAY_PORTS=1)
    assert process.stderr is not None
    assert b"GATEWAY_PORTS is not a setting" in await process.stderr.readline()
    assert b"listening on 127.0.0.1:" in await process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    await stderr_of(process)
    assert process.returncode == 0


async def test_arguments_are_refused_and_help_names_where_the_settings_are() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "--help", stdout=PIPE
    )
    stdout, _ = await process.communicate()
    assert process.returncode == 0
    assert b"docs/architecture.md" in stdout
