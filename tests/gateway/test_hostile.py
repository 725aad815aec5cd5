"""Clients that break the protocol, send nonsense, or nothing, over real sockets."""

import asyncio
import contextlib
import json
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from gateway.pieces import PIECE_BYTES, PIECES
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.generated import metadata, packet, text
from tests.gateway.raw_client import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Raw,
    close_code,
    connect,
    frame,
    upgrade,
)
from tests.gateway.support import (
    HOP_SAMPLES,
    Server,
    errors,
    finals,
    receive_all,
    speech,
    tone,
    transcribe,
)
from tests.gateway.test_signals import Running, running

METADATA = frame(TEXT, b"{}")
BREACHES: list[tuple[str, bytes, int]] = [
    ("a reserved bit", frame(BINARY, b"ab", rsv=1), 1002),
    ("compressed, which was not agreed", frame(TEXT, b"\x00\x00", rsv=4), 1002),
    ("an opcode that there is not", frame(3, b"ab"), 1002),
    ("a control opcode that there is not", frame(11), 1002),
    ("a ping in pieces", frame(PING, b"a", fin=False), 1002),
    ("a ping that is too long", frame(PING, bytes(126)), 1002),
    ("the end of a message that has not begun", frame(0, b"a"), 1002),
    ("a message within a message", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    ("a close of one byte", frame(CLOSE, b"\x03"), 1002),
    ("a close with a code that there is not", frame(CLOSE, b"\x03\xed"), 1002),
    ("a text that is no UTF-8", frame(TEXT, b"\xff\xfe"), 1007),
    ("a message of 2**63 bytes", bytes([0x82, 0xFF]) + b"\x7f" + b"\xff" * 7 + bytes(4), 1009),
    (
        "a message in pieces that is too large",
        frame(BINARY, b"a", fin=False) + frame(0, bytes(60_000), fin=False) * 200,
        1009,
    ),
    (
        "a message in pieces without end",
        frame(TEXT, b"a", fin=False) + frame(0, fin=False) * 99,
        1008,
    ),
    (
        "pieces of a byte, with pings between them",
        frame(BINARY, b"a", fin=False) + (frame(PING) + frame(0, b"a", fin=False)) * 99,
        1008,
    ),
]


def open_files() -> int:
    return psutil.Process(os.getpid()).num_fds()


async def until_files(count: int) -> None:
    async with asyncio.timeout(5):
        while open_files() > count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("what", "sent", "code"), BREACHES, ids=[what for what, *_ in BREACHES])
async def test_a_breach_of_the_protocol_is_closed_with_its_code_and_disturbs_nobody(
    server: Server, triton: FakeTriton, what: str, sent: bytes, code: int
) -> None:
    other = asyncio.create_task(transcribe(server, speech(1, 2).tobytes()))
    raw = await upgrade(server.address)
    await raw.send(METADATA + sent)
    assert close_code(await raw.rest()) == code
    assert len(finals(await other)) == 2


async def test_messages_in_pieces_are_heard_as_others_are(server: Server) -> None:
    audio = speech(*range(40), hops=20).tobytes()
    assert len(audio) > 500 * PIECE_BYTES
    halves = audio[:100], audio[100:]
    async with server.connect() as client:
        await client.send("{}")
        for half, size in zip(halves, (2, PIECE_BYTES), strict=True):
            await client.send(half[at : at + size] for at in range(0, len(half), size))
        await client.send(json.dumps({"type": "end_audio"}))
        frames = await receive_all(client)
        assert client.close_code == 1000
    whole = await transcribe(server, audio)
    assert [each["transcript"] for each in finals(frames)] == [
        each["transcript"] for each in finals(whole)
    ]


@pytest.fixture
async def open_server(serve: Serve, triton: FakeTriton) -> AsyncIterator[Server]:
    """One that takes as many sessions as come, and in the end has none left, and no socket."""
    async with serve(burst_streams=1000, max_streams=1000) as running:
        await transcribe(running, b"")
        files = open_files()
        yield running
        await running.leaves_nothing(triton)
        await until_files(files)


async def side_by_side(one: Callable[[int], Awaitable[None]], count: int) -> None:
    for start in range(0, count, 12):
        await asyncio.gather(*(one(number) for number in range(start, start + 12)))


async def test_garbage_behind_the_handshake_brings_nobody_down_and_leaves_nothing(
    open_server: Server,
) -> None:
    chance = random.Random(7)

    async def one(number: int) -> None:
        raw = await upgrade(open_server.address)
        if number % 3:
            await raw.send(METADATA)
        for _ in range(chance.randrange(4)):
            await raw.send(chance.randbytes(chance.choice((1, 2, 10, 300, 5000))))
        if number % 2:
            raw.leave()
        else:
            raw.writer.write_eof()
            await raw.rest()

    await side_by_side(one, 600)
    assert len(finals(await transcribe(open_server, speech(1).tobytes()))) == 1


async def test_generated_clients_over_sockets_get_no_1011_and_leave_nothing(
    open_server: Server,
) -> None:
    codes = dict[int | None, int]()

    async def one(seed: int) -> None:
        chance = random.Random(seed)
        async with open_server.connect() as client:
            steps = [metadata(chance), *(_said(chance) for _ in range(chance.randrange(12)))]
            with contextlib.suppress(ConnectionClosed):
                for step in steps:
                    await client.send(step)
            if chance.random() < 0.3:
                client.transport.abort()
                return
            if chance.random() < 0.5:
                await client.close()
                return
            with contextlib.suppress(ConnectionClosed):
                await client.send(json.dumps({"type": "end_audio"}))
            await receive_all(client)
        codes[client.close_code] = codes.get(client.close_code, 0) + 1

    await side_by_side(one, 360)
    assert set(codes) == {1000, 1008}
    assert codes[1000] > 50


def _said(chance: random.Random) -> str | bytes:
    return text(chance) if chance.random() < 0.2 else packet(chance)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /web", b"GET /websocket HTTP/1.1\r\nHost: x\r\nX-A: ", b"\x16\x03\x01\x02"]
)
async def test_half_a_handshake_is_not_waited_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("gateway.running.NO_REQUEST_S", 0.3)
    async with serve() as server:
        raw = await connect(server.address)
        await raw.send(sent)
        await raw.rest(within_s=2)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 10_000 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 1_000_000,
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
    ids=range(7),
)
async def test_headers_that_are_too_large_or_none_are_refused_and_not_logged(
    server: Server, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    raw = await connect(server.address)
    await raw.send(sent)
    told = await raw.rest()  # nothing, where the rest that nobody reads resets the connection
    assert not told or b" 400 " in told.partition(b"\r\n")[0]
    assert caplog.text == ""


async def test_pings_that_nobody_takes_the_answers_to_end_the_session(
    serve: Serve, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pace.MESSAGES_PER_S", 1e6)
    async with serve(send_timeout_s=0.2) as server:
        for site in server.runner.sites:  # accepted sockets have the buffer of the listening one
            for listening in site._server.sockets:  # type: ignore[union-attr]
                with socket.socket(fileno=os.dup(listening.fileno())) as same:
                    same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        raw = await upgrade(server.address)
        raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
        flooding = asyncio.create_task(_flood(raw, frame(PING, bytes(125)) * 1000))
        async with asyncio.timeout(20):
            while server.gateway.sessions:
                await asyncio.sleep(0.05)
            await flooding
        raw.leave()
        await server.leaves_nothing(triton)


FLOODS = {
    "packets of one byte": frame(BINARY, b"\0") * 2000,
    "empty packets": frame(BINARY) * 2000,
    "pings": frame(PING) * 2000,
    "health checks": frame(TEXT, b'{"type": "health_check"}') * 500,
    "long texts": frame(TEXT, b"[" * 60_000) * 4,
    "messages in pieces": (frame(BINARY, fin=False) + frame(0, fin=False) * (PIECES - 2) + frame(0))
    * 30,
}
"""What comes again and again."""


async def test_floods_do_not_hold_up_others(triton: FakeTriton) -> None:
    async with running(triton, GATEWAY_HOP_MS=32) as gateway:
        quiet_s = await _round_trips(gateway, 1)
        for name, block in FLOODS.items():
            raw = await upgrade(f"127.0.0.1:{gateway.port}")
            await raw.send(METADATA)
            flooding = [asyncio.create_task(work) for work in (_flood(raw, block), raw.rest(60))]
            flooded_s = await _round_trips(gateway, 1)
            for task in flooding:
                task.cancel()
            await asyncio.gather(*flooding, return_exceptions=True)
            raw.leave()
            assert flooded_s < max(0.5, 10 * quiet_s), name


async def _flood(raw: Raw, block: bytes) -> None:
    while not raw.writer.is_closing():
        await raw.send(block)


async def _round_trips(gateway: Running, seconds: float) -> float:
    """The 90th percentile of the time from a hop to its partial."""
    times = []
    async with gateway.connect() as client:
        await client.send('{"streaming_params": {"enable_partial_transcripts": true}}')
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            await client.send(tone(HOP_SAMPLES).tobytes())
            await client.recv()
            times.append(time.monotonic() - began)
            await asyncio.sleep(0.03)
    return sorted(times)[int(0.9 * len(times))]


async def test_audio_far_ahead_of_real_time_is_slowed_down_and_kept_nowhere(
    serve: Serve, triton: FakeTriton
) -> None:
    """Ten minutes as fast as they go: what is in memory is what may be in flight."""
    triton.delay_s = lambda _: 0.002
    process = psutil.Process()
    async with serve(hop_ms=None) as server, server.connect() as client:
        await client.send("{}")
        audio = speech(*range(8), hops=20).tobytes()
        reading = asyncio.create_task(receive_all(client))
        sizes = []
        for _ in range(120):
            await client.send(audio)
            sizes.append(process.memory_info().rss)
        await client.send(json.dumps({"type": "end_audio"}))
        frames = await reading
        assert len(finals(frames)) == 120 * 8
        assert errors(frames) == []
        assert sizes[-1] - sizes[20] < 30e6
