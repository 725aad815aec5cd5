"""What signals make of `python -m gateway`, and with what it does not start."""

import asyncio
import contextlib
import resource
import signal
import ssl
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from gateway.running import FILES_OF_THE_PROCESS
from tests.gateway.fake_triton import FakeTriton, text_of
from tests.gateway.support import HOP_SAMPLES, finals, receive_all, tone
from tests.gateway.test_main import start, stderr_of

TLS = Path(__file__).parents[1] / "data/tls"


@dataclass
class Running:
    """A gateway in a process of its own."""

    process: Process
    port: int = 0
    log: list[str] = field(default_factory=list)
    """What it has said and nobody has waited for yet."""

    def connect(self, key: str | None = None, **options: Any) -> connect:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        scheme = "wss" if "ssl" in options else "ws"
        url = f"{scheme}://127.0.0.1:{self.port}/websocket"
        return connect(url, additional_headers=headers, **options)

    async def says(self, text: str) -> str:
        """Wait for a line of its log."""
        async with asyncio.timeout(20):
            while True:
                while self.log:
                    if text in (line := self.log.pop(0)):
                        return line
                await asyncio.sleep(0.005)

    async def listen(self) -> None:
        """Keep its log flowing: a full pipe would hold it up."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode())

    async def ends(self, within_s: float) -> int | None:
        async with asyncio.timeout(within_s):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def running(triton: FakeTriton, **settings: object) -> AsyncIterator[Running]:
    process = await start(GATEWAY_PORT=0, GATEWAY_TRITON=triton.address, **settings)
    gateway = Running(process)
    listening = asyncio.create_task(gateway.listen())
    try:
        line = await gateway.says("listening on")
        address = line.partition("listening on ")[2].split()[0].rstrip(",")
        gateway.port = int(address.rpartition(":")[2])
        yield gateway
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


async def speaking(client: ClientConnection) -> None:
    """Live audio for as long as the connection is open."""
    with contextlib.suppress(Exception):
        while True:
            await client.send(tone(HOP_SAMPLES).tobytes())
            await asyncio.sleep(0.03)


async def test_sigterm_drains_and_ends_with_exit_0(triton: FakeTriton) -> None:
    async with running(triton, GATEWAY_DRAIN_S=2) as gateway:
        async with gateway.connect() as live, gateway.connect() as idle:
            await live.send("{}")
            talking = asyncio.create_task(speaking(live))
            await asyncio.sleep(0.1)
            gateway.process.send_signal(signal.SIGTERM)
            await gateway.says("draining")
            assert await receive_all(idle) == []
            assert idle.close_code == 1012
            with pytest.raises(InvalidStatus):
                await gateway.connect()
            began_at = asyncio.get_running_loop().time()
            assert len(finals(await receive_all(live))) == 1
            assert live.close_code == 1012
            assert asyncio.get_running_loop().time() - began_at > 1
            await talking
        assert await gateway.ends(within_s=5) == 0


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGTERM, signal.SIGINT]]
)
async def test_ctrl_c_or_a_second_signal_ends_it_at_once_with_the_last_finals(
    triton: FakeTriton, signals: list[signal.Signals]
) -> None:
    async with running(triton, GATEWAY_DRAIN_S=60) as gateway, gateway.connect() as live:
        audio = tone(HOP_SAMPLES).tobytes()
        await live.send("{}")
        await live.send(audio)
        while not triton.hops:
            await asyncio.sleep(0.005)
        for number in signals:
            gateway.process.send_signal(number)
            await asyncio.sleep(0.05)
        (final,) = finals(await receive_all(live))
        assert final["transcript"] == text_of(audio)
        assert live.close_code == 1012
        assert await gateway.ends(within_s=4) == 0


def der(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((TLS / f"{name}.pem").read_text())


async def certificate_of(gateway: Running, key: str) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False  # nobody trusts the tests' certificates
    context.verify_mode = ssl.CERT_NONE
    async with gateway.connect(key, ssl=context) as client:
        found: bytes = client.transport.get_extra_info("ssl_object").getpeercert(True)
    return found


async def test_sighup_reads_keys_and_certificate_again_and_bad_ones_change_nothing(
    triton: FakeTriton, tmp_path: Path
) -> None:
    keys, certificate, key = (tmp_path / name for name in ("keys", "cert.pem", "cert.key"))
    keys.write_text("first-secret\n")
    certificate.write_bytes((TLS / "one.pem").read_bytes())
    key.write_bytes((TLS / "one.key").read_bytes())
    settings = {
        "GATEWAY_API_KEYS_FILE": keys,
        "GATEWAY_TLS_CERTIFICATE": certificate,
        "GATEWAY_TLS_KEY": key,
    }
    async with running(triton, **settings) as gateway:
        assert await certificate_of(gateway, "first-secret") == der("one")
        keys.write_text("first-secret\nsecond-secret\n")
        certificate.write_bytes((TLS / "two.pem").read_bytes())
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.says("the certificate stays as it was")  # its key is the first one's
        assert await certificate_of(gateway, "second-secret") == der("one")
        key.write_bytes((TLS / "two.key").read_bytes())
        keys.write_text("a b c")
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.says("the keys stay as they were")
        await gateway.says("the certificate has been read")
        assert await certificate_of(gateway, "second-secret") == der("two")


async def test_with_tls_nothing_else_is_spoken(triton: FakeTriton) -> None:
    settings = {"GATEWAY_TLS_CERTIFICATE": TLS / "one.pem", "GATEWAY_TLS_KEY": TLS / "one.key"}
    async with running(triton, **settings) as gateway:
        with pytest.raises(Exception, match="did not receive a valid HTTP response"):
            await gateway.connect()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"GATEWAY_HOST": "0.0.0.0"}, "others can reach 0.0.0.0, and there are no keys"),
        ({"GATEWAY_API_KEYS_FILE": "/no/such/file"}, "/no/such/file cannot be read"),
        ({"GATEWAY_TLS_CERTIFICATE": TLS / "one.pem"}, "GATEWAY_TLS_KEY need each other"),
        (
            {"GATEWAY_TLS_CERTIFICATE": TLS / "one.pem", "GATEWAY_TLS_KEY": TLS / "two.key"},
            "are no certificate and its key: key values mismatch",
        ),
        (
            {"GATEWAY_TLS_CERTIFICATE": TLS / "one.pem", "GATEWAY_TLS_KEY": TLS / "locked.key"},
            "has a passphrase",
        ),
        (
            {"GATEWAY_TLS_CERTIFICATE": "/no/such/file", "GATEWAY_TLS_KEY": TLS / "one.key"},
            "/no/such/file cannot be read",
        ),
    ],
)
async def test_what_makes_no_sense_is_one_line_and_exit_2(
    settings: dict[str, object], problem: str
) -> None:
    process = await start(GATEWAY_PORT=0, **settings)
    text = await stderr_of(process)
    assert problem in text
    assert text.count("\n") == 1
    assert process.returncode == 2


async def test_a_limit_of_open_files_that_is_too_low_is_told() -> None:
    process = await asyncio.create_subprocess_shell(
        f"ulimit -n 200; GATEWAY_PORT=0 GATEWAY_MAX_STREAMS=1000 exec {sys.executable} -m gateway",
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    line = (await process.stderr.readline()).decode()
    assert "GATEWAY_MAX_STREAMS=1000 needs 1128 open files, and this process may have 200" in line
    process.terminate()
    await process.communicate()


async def test_a_soft_limit_of_open_files_is_raised() -> None:
    process = await asyncio.create_subprocess_shell(
        f"ulimit -Sn 200; GATEWAY_PORT=0 GATEWAY_MAX_STREAMS=300 exec {sys.executable} -m gateway",
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    assert b"listening on" in await process.stderr.readline()
    soft, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    assert soft == 2 * 300 + FILES_OF_THE_PROCESS
    process.terminate()
    await process.communicate()
