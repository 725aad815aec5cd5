"""The Triton client against a real gRPC server."""

import asyncio

import numpy as np
import pytest

from gateway.closing import EngineUnavailable
from gateway.sequence import Hop, Sequencer
from gateway.triton import Triton
from pipeline.options import StreamOptions
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import HOP_SAMPLES, tone


@pytest.fixture
def sequencer() -> Sequencer:
    return Sequencer(StreamOptions())


def hops(sequencer: Sequencer, count: int) -> list[Hop]:
    return [sequencer.audio(tone(HOP_SAMPLES, seed)) for seed in range(count)]


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


async def test_an_errored_hop_is_answered_with_its_error(
    triton: FakeTriton, sequencer: Sequencer
) -> None:
    triton.error = lambda hop: f"hop {hop.index} is bad"
    client = Triton(triton.address)
    stream = client.open_stream()
    await stream.send(sequencer.audio(tone(10)))
    answer = await stream.receive()
    assert (answer.hop, answer.error) == (0, "hop 0 is bad")
    await stream.close()
    await client.close()


async def test_a_broken_stream_stays_broken(triton: FakeTriton, sequencer: Sequencer) -> None:
    triton.breaks_at = 0
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
    with pytest.raises(EngineUnavailable):
        await stream.send(sequencer.audio(tone(10)))
    with pytest.raises(EngineUnavailable):
        await stream.receive()
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
    await stream.send(sequencer.audio(np.zeros(0, np.int16)))
    await stream.receive()
    assert triton.hops[0].sequence_id == 2**63 - 1
    await stream.close()
    await client.close()
