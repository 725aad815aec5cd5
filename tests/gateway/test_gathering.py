"""Packets that are gathered for a session: nothing is lost, moved or kept for long."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.http_websocket import WebSocketError
from aiohttp.web_ws import WebSocketDataQueue  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import strategies as st

from gateway import gathering
from gateway.gathering import MOST_PACKETS, GatheringReader
from gateway.ticks import ANYTHING, Portion, Ticks
from gateway.uplink import Uplink
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.raw_client import BINARY, CLOSE, PING, TEXT, frame
from tests.gateway.support import HOP_SAMPLES, finals, receive_all, speech


class Reading:
    """A reader and what has come out of it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._queue = WebSocketDataQueue(_Protocol(), 1 << 20, loop=loop)  # type: ignore[arg-type]
        self.reader = GatheringReader(self._queue, 1 << 20, compress=False, decode_text=True)
        self.heard: list[Any] = []
        self.task = asyncio.create_task(self._listen())

    def gather(self, enough: int) -> None:
        """At no tick."""
        self.reader.gather(Portion(enough, enough), Ticks())

    async def _listen(self) -> None:
        while True:
            message = await self._queue.read()
            self.heard.append(message.data)

    async def feed(self, *frames: bytes) -> list[Any]:
        for data in frames:
            self.reader.feed_data(data)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        heard, self.heard = self.heard, []
        return heard


class ManualTicks(Ticks):
    """They come when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.joined: list[int] = []
        self._calls: list[Callable[[], object]] = []

    def join(self, call: Callable[[], object], every_ms: int) -> None:
        self.joined.append(every_ms)
        self._calls.append(call)

    def tick(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            call()


class _Protocol:
    _reading_paused = False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def packet(data: bytes) -> bytes:
    return frame(BINARY, data)


async def test_nothing_is_held_before_it_is_asked_for() -> None:
    reading = Reading()
    assert await reading.feed(packet(b"a"), packet(b"b")) == [b"a", b"b"]


async def test_packets_come_as_one_when_there_are_enough() -> None:
    reading = Reading()
    reading.gather(4)
    assert await reading.feed(packet(b"ab"), packet(b"c")) == []
    assert await reading.feed(packet(b"de")) == [b"abcde"]
    assert reading.reader.gathered() == 2
    assert reading.reader.gathered() == 0
    assert await reading.feed(packet(b"fghi"), packet(b"j")) == [b"fghi"]


async def test_what_is_there_comes_when_less_is_enough() -> None:
    reading = Reading()
    reading.gather(9)
    assert await reading.feed(packet(b"ab")) == []
    reading.gather(2)
    assert await reading.feed() == [b"ab"]


async def test_what_is_enough_for_a_tick_waits_for_it_and_takes_along_what_has_come() -> None:
    reading, ticks = Reading(), ManualTicks()
    reading.reader.gather(Portion(at_tick=2, at_once=9, tick_ms=20), ticks)
    assert await reading.feed(packet(b"a")) == []
    assert ticks.joined == []
    assert await reading.feed(packet(b"b"), packet(b"c")) == []
    assert set(ticks.joined) == {20}
    ticks.tick()
    assert await reading.feed(packet(b"d"), packet(b"efghijklmn")) == [b"abc", b"defghijklmn"]


async def test_a_tick_at_which_there_is_too_little_takes_nothing() -> None:
    reading, ticks = Reading(), ManualTicks()
    reading.reader.gather(Portion(at_tick=2, at_once=9, tick_ms=20), ticks)
    assert await reading.feed(packet(b"ab"), frame(TEXT, b"{}"), packet(b"c")) == [b"ab", "{}"]
    ticks.tick()
    assert await reading.feed(packet(b"d")) == []
    ticks.tick()
    assert await reading.feed() == [b"cd"]


async def test_what_is_held_may_turn_out_to_be_enough_for_a_tick() -> None:
    reading, ticks = Reading(), ManualTicks()
    reading.reader.gather(Portion(8, 9, 20), ticks)
    assert await reading.feed(packet(b"ab")) == []
    ticks.tick()
    reading.reader.gather(Portion(2, 9, 20), ticks)
    assert await reading.feed() == []
    ticks.tick()
    assert await reading.feed() == [b"ab"]
    reading.reader.gather(ANYTHING, ticks)
    assert await reading.feed(packet(b"a"), packet(b"b")) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("other", "data"),
    [
        (frame(TEXT, b"{}"), ["{}"]),
        (frame(PING, b"?"), [b"?"]),
        (frame(CLOSE, b"\x03\xe8"), [1000]),
        (frame(BINARY, b"x", fin=False) + frame(0, b"y"), [b"xy"]),
        (frame(BINARY), [b""]),
    ],
    ids=["text", "ping", "close", "pieces", "empty"],
)
async def test_whatever_else_comes_goes_on_at_once_behind_the_packets_before_it(
    other: bytes, data: list[Any]
) -> None:
    reading = Reading()
    reading.gather(100)
    assert await reading.feed(packet(b"a"), packet(b"b"), other, packet(b"c")) == [b"ab", *data]


async def test_a_packet_within_a_message_is_the_breach_that_it_was() -> None:
    reading = Reading()
    reading.gather(100)
    await reading.feed(frame(BINARY, b"x", fin=False), packet(b"a"))
    assert isinstance(reading.task.exception(), WebSocketError)


async def test_the_end_of_the_connection_brings_what_is_held() -> None:
    reading = Reading()
    reading.gather(100)
    await reading.feed(packet(b"a"))
    reading.reader.feed_eof()
    assert await reading.feed() == [b"a"]


async def test_packets_are_not_held_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "HELD_S", 0.01)
    reading = Reading()
    reading.gather(100)
    await reading.feed(packet(b"a"), packet(b"b"))
    async with asyncio.timeout(5):
        while not reading.heard:
            await asyncio.sleep(0.002)
    assert reading.heard == [b"ab"]


async def test_tiny_packets_are_not_held_without_end() -> None:
    reading = Reading()
    reading.gather(1 << 20)
    assert await reading.feed(packet(b"x") * (MOST_PACKETS - 1)) == []
    assert await reading.feed(packet(b"x")) == [b"x" * MOST_PACKETS]
    assert reading.reader.gathered() == MOST_PACKETS - 1


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=5).map(lambda data: (BINARY, data)),
            st.text("xyz", max_size=3).map(lambda text: (TEXT, text.encode())),
        ),
        max_size=12,
    ),
    st.lists(st.integers(0, 8), min_size=1, max_size=4),
)
def test_order_and_content_are_those_of_what_came(
    frames: list[tuple[int, bytes]], enough: list[int]
) -> None:
    async def heard() -> list[Any]:
        reading, ticks, out = Reading(), Ticks(), []
        for number, (opcode, data) in enumerate(frames):
            least = enough[number % len(enough)]
            reading.reader.gather(Portion(least // 2, least, 1), ticks)
            out += await reading.feed(frame(opcode, data))
        reading.reader.release()
        return out + await reading.feed()

    assert _joined(asyncio.run(heard())) == _joined(
        [data if opcode == BINARY else data.decode() for opcode, data in frames]
    )


def _joined(messages: list[Any]) -> list[Any]:
    """With all packets between two texts as one."""
    out: list[Any] = [b""]
    for message in messages:
        if isinstance(message, str):
            out += [message, b""]
        else:
            out[-1] += message
    return out


async def test_a_session_is_woken_once_for_a_hop(
    serve: Serve, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = Uplink.take

    async def counting(self: Uplink, packet: bytes) -> None:
        taken.append(len(packet))
        await take(self, packet)

    monkeypatch.setattr(Uplink, "take", counting)
    audio = speech(1, 2, hops=8).tobytes()
    size = HOP_SAMPLES * 2 // 4
    async with serve() as server, server.connect() as client:
        await client.send("{}")
        for start in range(0, len(audio), size):
            await client.send(audio[start : start + size])
            await asyncio.sleep(0.002)
        await client.send('{"type": "end_audio"}')
        frames = await receive_all(client)
        await server.leaves_nothing(triton)
    assert len(finals(frames)) == 2
    assert sum(taken) == len(audio)
    assert len(taken) <= len(audio) // size // 2


async def test_a_client_that_pauses_within_a_hop_gets_its_final(
    serve: Serve, triton: FakeTriton
) -> None:
    audio = speech(1, hops=2).tobytes()[: HOP_SAMPLES * 2 * 3 // 2]
    async with serve(idle_flush_s=0.2) as server, server.connect() as client:
        await client.send("{}")
        for start in range(0, len(audio), 64):
            await client.send(audio[start : start + 64])
        final = json.loads(await client.recv())
        assert final["transcript"].startswith(f"{len(audio) // 2} samples")
    await server.leaves_nothing(triton)


async def test_what_is_held_when_the_server_stops_is_heard(
    serve: Serve, triton: FakeTriton
) -> None:
    audio = speech(1, hops=2).tobytes()[: HOP_SAMPLES * 2 * 3 // 2]
    async with serve() as server, server.connect() as client:
        await client.send("{}")
        for start in range(0, len(audio), 64):
            await client.send(audio[start : start + 64])
        await asyncio.sleep(0.1)  # less than packets are held for
        stopping = asyncio.create_task(server.gateway.stop())
        final = json.loads(await client.recv())
        await stopping
    assert final["is_final"]
    assert final["transcript"].startswith(f"{len(audio) // 2} samples")
