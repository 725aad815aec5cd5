"""The Triton client against a real gRPC server."""

import asyncio
import socket
import time

import pytest

from gateway.closing import EngineUnavailable
from gateway.sequence import Hop, Sequencer
from gateway.triton import Answer, Triton
from pipeline.options import StreamOptions
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import HOP_SAMPLES, tone


@pytest.fixture
def sequencer() -> Sequencer:
    return Sequencer(StreamOptions())


def hops(sequencer: Sequencer, count: int) -> list[Hop]:
    return [sequencer.audio(tone(HOP_SAMPLES, seed).tobytes()) for seed in range(count)]


@pytest.mark.parametrize(
    ("ready", "loaded", "reason"),
    [(True, True, None), (False, True, "is not ready"), (True, False, "is not loaded")],
)
async def test_it_says_why_triton_is_not_ready(
    triton: FakeTriton, ready: bool, loaded: bool, reason: str | None
) -> None:
    triton.ready, triton.loaded = ready, loaded
    client = Triton(triton.address)
    found = await client.why_not_ready()
    assert found is None if reason is None else reason in (found or "")
    await client.close()


async def test_it_says_when_triton_cannot_be_reached(triton: FakeTriton) -> None:
    await triton.stop()
    client = Triton(triton.address)
    assert "cannot be reached" in (await client.why_not_ready() or "")
    await client.close()


async def test_each_hop_gets_its_answer(triton: FakeTriton, sequencer: Sequencer) -> None:
    client = Triton(triton.address)
    stream = client.open_stream()
    for hop in [*hops(sequencer, 2), sequencer.end()]:
        await stream.send(hop)
    answers = {answer.hop: answer for answer in [await stream.receive() for _ in range(3)]}
    assert [answers[i].transcript is None for i in range(3)] == [True, True, False]
    assert answers[2].feedback == "feedback 2"
    await stream.close()
    await client.close()


async def test_an_answer_is_heard_when_it_arrives_and_kept_until_it_is_received(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    client = Triton(triton.address)
    heard: asyncio.Queue[Answer] = asyncio.Queue()
    stream = client.open_stream(heard.put_nowait)
    for hop in [*hops(sequencer, 1), sequencer.end()]:
        await stream.send(hop)
    arrived = [await asyncio.wait_for(heard.get(), 1) for _ in range(2)]
    assert arrived == [await stream.receive() for _ in range(2)]
    assert arrived[0].arrived_at <= arrived[1].arrived_at <= time.monotonic()
    await stream.close()
    await client.close()


async def test_an_answer_that_cannot_be_read_breaks_the_stream(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    triton.garbled = True
    client = Triton(triton.address)
    stream = client.open_stream()
    for hop in [*hops(sequencer, 1), sequencer.end()]:
        await stream.send(hop)
    await stream.receive()
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        await stream.receive()
    await stream.close()
    await client.close()


async def test_a_sender_waits_while_triton_takes_no_more(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    await triton.stop()
    client = Triton(triton.address)
    stream = client.open_stream()
    sending = [asyncio.create_task(stream.send(hop)) for hop in hops(sequencer, 4)]
    await asyncio.sleep(0)
    assert sum(task.done() for task in sending) == 1
    await stream.close()
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    await client.close()


async def test_a_stream_that_is_closed_writes_its_end_first(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    client = Triton(triton.address)
    stream = client.open_stream()
    await stream.send(sequencer.audio(tone(10).tobytes()))
    await stream.receive()
    await stream.send(sequencer.end())
    await stream.close()
    async with asyncio.timeout(5):
        while triton.sequences:
            await asyncio.sleep(0.005)
    await client.close()


async def test_a_stream_that_nobody_takes_hops_from_is_closed_all_the_same(
    triton: FakeTriton, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.triton.WRITE_TIMEOUT_S", 0.05)
    await triton.stop()
    with socket.create_server(("127.0.0.1", triton.port)):  # takes connections and says nothing
        client = Triton(triton.address)
        stream = client.open_stream()
        await stream.send(sequencer.audio(tone(10).tobytes()))
        await asyncio.wait_for(stream.close(), 1)
        await client.close()


async def test_an_errored_hop_is_answered_with_its_error(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    triton.error = lambda hop: f"hop {hop.index} is bad"
    client = Triton(triton.address)
    stream = client.open_stream()
    await stream.send(sequencer.audio(tone(10).tobytes()))
    answer = await stream.receive()
    assert (answer.hop, answer.error) == (0, "hop 0 is bad")
    await stream.close()
    await client.close()


async def test_a_broken_stream_stays_broken(triton: FakeTriton, sequencer: Sequencer) -> None:
    triton.breaks_at = [0]
    client = Triton(triton.address)
    stream = client.open_stream()
    first, second = hops(sequencer, 2)
    await stream.send(first)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="lost its mind"):
            await stream.receive()
    with pytest.raises(EngineUnavailable):
        await stream.send(second)
    await stream.close()
    await client.close()


async def test_no_triton_shows_with_the_first_use(triton: FakeTriton, sequencer: Sequencer) -> None:
    await triton.stop()
    client = Triton(triton.address)
    stream = client.open_stream()
    first, second = hops(sequencer, 2)
    await stream.send(first)
    with pytest.raises(EngineUnavailable):
        await stream.receive()
    with pytest.raises(EngineUnavailable):
        await stream.send(second)
    await stream.close()
    await client.close()


async def test_a_triton_that_comes_back_serves_new_streams(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    client = Triton(triton.address)
    assert await client.why_not_ready() is None
    await triton.stop()
    assert await client.why_not_ready() is not None
    await triton.start()
    async with asyncio.timeout(5):
        while await client.why_not_ready() is not None:
            await asyncio.sleep(0.05)
    await client.close()


async def test_cancelling_a_sender_does_not_break_the_stream(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    client = Triton(triton.address)
    stream = client.open_stream()
    first, second = hops(sequencer, 2)
    sending = asyncio.create_task(stream.send(first))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await stream.send(second)
    assert {(await stream.receive()).hop, (await stream.receive()).hop} == {0, 1}
    await stream.close()
    await client.close()


async def test_ids_of_63_bits_arrive_whole(triton: FakeTriton) -> None:
    sequencer = Sequencer(StreamOptions(), lambda: 2**63 - 1)
    client = Triton(triton.address)
    stream = client.open_stream()
    await stream.send(sequencer.audio(b""))
    await stream.receive()
    assert triton.hops[0].sequence_id == 2**63 - 1
    await stream.close()
    await client.close()


async def test_a_hop_that_asks_how_to_go_on_is_told_so_and_nothing_else(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    client = Triton(triton.address)
    stream = client.open_stream()
    for hop in [sequencer.audio(bytes(20 * 2 * HOP_SAMPLES)), sequencer.ask()]:
        await stream.send(hop)
    audio, asked = await stream.receive(), await stream.receive()
    assert audio.resume is None
    assert asked.resume is not None
    assert asked.resume["listen_from"] == 20 * HOP_SAMPLES
    assert (asked.transcript, asked.feedback, asked.error) == (None, None, None)
    await stream.close()
    await client.close()
