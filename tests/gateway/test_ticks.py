"""Moments that sessions share."""

import asyncio

import pytest

from gateway.hops import FEWEST_WITH_TICKS, SHORTEST_WITH_TICKS_MS
from gateway.ticks import Portion, Ticks
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton, text_of
from tests.gateway.support import END_AUDIO, Server, finals, receive_all, tone


async def test_who_joins_is_called_once_at_the_next_of_the_moments() -> None:
    loop, ticks = asyncio.get_running_loop(), Ticks()
    called: list[tuple[str, int]] = []

    def note(who: str) -> None:
        called.append((who, round(loop.time() * 1000)))

    def first() -> None:
        note("first")

    joined = loop.time() * 1000
    ticks.join(first, 20)
    ticks.join(first, 20)
    ticks.join(lambda: note("second"), 20)
    ticks.join(lambda: note("other"), 50)
    await asyncio.sleep(0.1)
    assert sorted(who for who, _ in called) == ["first", "other", "second"]
    at = dict(called)
    assert joined - 1 <= at["first"]
    assert at["first"] // 20 >= joined // 20 + 1
    assert at["other"] // 50 >= joined // 50 + 1


async def test_who_is_called_may_join_again() -> None:
    ticks, calls = Ticks(), []

    def again() -> None:
        calls.append(1)
        if len(calls) < 3:
            ticks.join(again, 5)

    ticks.join(again, 5)
    async with asyncio.timeout(5):
        while len(calls) < 3:
            await asyncio.sleep(0.001)


def test_a_portion_may_be_counted_otherwise() -> None:
    portion = Portion(at_tick=10, at_once=30, tick_ms=64)
    assert portion.through(lambda samples: 2 * samples) == Portion(20, 60, 64)


async def test_hops_of_many_streams_are_sent_together(
    serve: Serve, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[int] = []
    tick = Ticks._tick

    def counting(self: Ticks, at_ms: int) -> None:
        ticks.append(at_ms)
        tick(self, at_ms)

    monkeypatch.setattr(Ticks, "_tick", counting)

    async def talk(server: Server, seed: int) -> None:
        audio = tone(32 * 512, seed).tobytes()
        async with server.connect() as client:
            await client.send("{}")
            for start in range(0, len(audio), 1024):
                await asyncio.sleep(0.032)
                await client.send(audio[start : start + 1024])
            await client.send(END_AUDIO)
            (final,) = finals(await receive_all(client))
        assert final["transcript"] == text_of(audio)

    streams = FEWEST_WITH_TICKS + 4
    async with serve(hop_ms=SHORTEST_WITH_TICKS_MS, burst_streams=streams) as server:
        async with asyncio.TaskGroup() as talking:
            for seed in range(streams):
                talking.create_task(talk(server, seed))
        await server.leaves_nothing(triton)
    hops = [hop for hop in triton.hops if hop.samples]
    assert len(hops) >= 3 * len(ticks) > 0
