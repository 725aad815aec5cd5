"""A Triton is lost under live sessions: no word is lost, none comes twice, numbers go on."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.peer import Incoming
from gateway.session import Session
from gateway.ticks import ANYTHING, Portion
from gateway.uplink import MAX_ATTEMPTS, MAX_LOSSES
from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, ms_to_samples
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton, SeenHop
from tests.gateway.memory_peer import MemoryPeer
from tests.gateway.support import (
    END_AUDIO,
    HOP_SAMPLES,
    Server,
    errors,
    finals,
    receive_all,
    send_all,
    speech,
    transcribe,
)

UTTERANCES = 5
AUDIO = speech(*range(UTTERANCES)).tobytes()
HOPS = len(AUDIO) // 2 // HOP_SAMPLES
PARTIALS: dict[str, Any] = {"streaming_params": {"enable_partial_transcripts": True}}

Frame = dict[str, Any]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the only Triton is tried again."""
    monkeypatch.setattr("gateway.uplink.FIRST_PAUSE_S", 0.01)


@pytest.fixture
async def other() -> AsyncIterator[FakeTriton]:
    async with FakeTriton() as fake:
        yield fake


@pytest.fixture
async def both(serve: Serve, triton: FakeTriton, other: FakeTriton) -> AsyncIterator[Server]:
    """A gateway in front of two Tritons."""
    addresses = f"{triton.address}, {other.address}"
    async with serve(triton=addresses, recovery_timeout_s=5) as server:
        yield server


@pytest.fixture
async def undisturbed(serve: Serve) -> list[Frame]:
    """The finals of a session that nothing happens to."""
    async with serve() as server:
        return told(await transcribe(server, AUDIO))


def told(frames: list[Frame]) -> list[Frame]:
    """What the client is told for good."""
    return [
        {"num": frame["transcription_num"], "text": frame["transcript"], "at": frame["segments"]}
        for frame in finals(frames)
    ]


def assert_partials_lead_to_their_finals(frames: list[Frame]) -> None:
    """Numbers rise without a gap, and no partial follows its final."""
    ended = -1
    for frame in frames:
        if frame["type"] == "transcription":
            assert frame["transcription_num"] == ended + 1
            ended += frame["is_final"]


@pytest.mark.parametrize("breaks_at", range(HOPS + 1))
async def test_a_triton_that_breaks_off_at_any_hop_costs_no_word(
    breaks_at: int, both: Server, triton: FakeTriton, other: FakeTriton, undisturbed: list[Frame]
) -> None:
    """The last one is END."""
    triton.breaks_at = other.breaks_at = [breaks_at]
    frames = await transcribe(both, AUDIO, PARTIALS)
    assert errors(frames) == []
    assert told(frames) == undisturbed
    assert_partials_lead_to_their_finals(frames)
    assert len(triton.hops) > 0
    assert len(other.hops) > 0


@pytest.mark.parametrize("breaks_at", [range(3, 6), [2, 7, 12], [HOPS, HOPS + 3]])
async def test_even_one_loss_after_the_other_costs_no_word(
    breaks_at: Any, both: Server, triton: FakeTriton, other: FakeTriton, undisturbed: list[Frame]
) -> None:
    triton.breaks_at = other.breaks_at = breaks_at
    frames = await transcribe(both, AUDIO, PARTIALS)
    assert errors(frames) == []
    assert told(frames) == undisturbed
    assert_partials_lead_to_their_finals(frames)


async def test_answers_that_overtake_each_other_are_not_lost_with_their_triton(
    both: Server, triton: FakeTriton, other: FakeTriton, undisturbed: list[Frame]
) -> None:
    """A later final is there when the break comes, and an earlier one is not."""
    triton.delay_s = other.delay_s = lambda hop: 0.3 if hop.index == 3 else 0
    triton.breaks_at = other.breaks_at = [9]
    frames = await transcribe(both, AUDIO, PARTIALS)
    assert told(frames) == undisturbed
    assert_partials_lead_to_their_finals(frames)


async def test_many_sessions_survive_the_end_of_their_triton(
    both: Server, triton: FakeTriton, undisturbed: list[Frame]
) -> None:
    async def talk() -> list[Frame]:
        async with both.connect() as client:
            await client.send(json.dumps(PARTIALS))
            half = len(AUDIO) // 2
            await send_all(client, AUDIO[:half])
            await stopped.wait()
            await send_all(client, AUDIO[half:])
            await client.send(END_AUDIO)
            return await receive_all(client)

    stopped = asyncio.Event()
    talks = [asyncio.create_task(talk()) for _ in range(8)]
    while len(triton.hops) < 8 * 4:
        await asyncio.sleep(0.01)
    await triton.stop()
    stopped.set()
    for frames in await asyncio.gather(*talks):
        assert told(frames) == undisturbed
        assert_partials_lead_to_their_finals(frames)


async def test_streams_go_to_the_triton_that_has_the_fewest(
    both: Server, triton: FakeTriton, other: FakeTriton
) -> None:
    async with contextlib.AsyncExitStack() as clients:
        for count in range(1, 7):
            client = await clients.enter_async_context(both.connect())
            await client.send("{}")
            await client.send(bytes(2 * HOP_SAMPLES))
            while len(triton.sequences) + len(other.sequences) < count:
                await asyncio.sleep(0.005)
            assert abs(len(triton.sequences) - len(other.sequences)) <= 1


async def test_the_only_triton_is_waited_for_until_it_is_back(
    serve: Serve, triton: FakeTriton, undisturbed: list[Frame]
) -> None:
    async with serve(recovery_timeout_s=20) as server, server.connect() as client:
        await client.send(json.dumps(PARTIALS))
        await send_all(client, AUDIO[: len(AUDIO) // 2])
        while len(triton.hops) < 4:
            await asyncio.sleep(0.005)
        await triton.stop()
        triton.sequences.clear()
        await send_all(client, AUDIO[len(AUDIO) // 2 :])
        await client.send(END_AUDIO)
        await asyncio.sleep(0.3)
        await triton.start()
        frames = await receive_all(client)
        assert client.close_code == 1000
    assert told(frames) == undisturbed
    assert_partials_lead_to_their_finals(frames)


async def test_a_triton_that_hangs_is_given_up(
    serve: Serve, triton: FakeTriton, other: FakeTriton, undisturbed: list[Frame]
) -> None:
    """Its connection stays open, but it answers no hop and does not say that it lives."""
    addresses = f"{triton.address},{other.address}"
    async with serve(triton=addresses, hang_timeout_s=0.3) as server, server.connect() as client:
        await client.send(json.dumps(PARTIALS))
        await send_all(client, AUDIO[: len(AUDIO) // 2])
        while not (triton.hops or other.hops):
            await asyncio.sleep(0.005)
        hung = triton if triton.hops else other
        hung.silent, hung.hangs_s = True, 60
        await send_all(client, AUDIO[len(AUDIO) // 2 :])
        await client.send(END_AUDIO)
        frames = await receive_all(client)
        assert client.close_code == 1000
    assert told(frames) == undisturbed


async def test_a_window_that_is_stuck_in_an_engine_which_serves_others_is_sent_again(
    serve: Serve, triton: FakeTriton, undisturbed: list[Frame]
) -> None:
    triton.hops.clear()
    triton.delay_s = lambda hop: 1e6 if hop.index == 6 else 0
    async with serve(answer_timeout_s=0.3) as server:
        assert told(await transcribe(server, AUDIO, PARTIALS)) == undisturbed
    assert sum(hop.start for hop in triton.hops) == 2


async def test_a_hop_that_fails_once_is_sent_again(
    server: Server, triton: FakeTriton, undisturbed: list[Frame]
) -> None:
    def error(hop: SeenHop) -> str | None:
        return "out of memory" if hop.index == 5 else None

    triton.error = error
    frames = await transcribe(server, AUDIO, PARTIALS)
    assert errors(frames) == []
    assert told(frames) == undisturbed


async def test_a_replay_says_where_listening_goes_on_and_what_language_was_found(
    server: Server, triton: FakeTriton
) -> None:
    triton.breaks_at = [2 * 4 + 1]  # in the third utterance
    settled = 2 * 4 * HOP_SAMPLES
    async with server.connect() as client:
        await client.send("{}")
        await client.send(AUDIO[: settled * SAMPLE_BYTES])
        assert len(finals([json.loads(await client.recv()) for _ in range(2)])) == 2
        await client.send(AUDIO[settled * SAMPLE_BYTES :])
        await client.send(END_AUDIO)
        await receive_all(client)
    starts = [hop for hop in triton.hops if hop.start]
    options = [json.loads(hop.parameters.get("options", "{}")) for hop in starts]
    assert options[1]["listen_from"] == options[1]["settled_until"] == settled
    assert options[1].get("start_sample", 0) <= settled
    triton.sequences.clear()  # the one that was open when it broke off


SILENT_S = 90
RARE = speech(1).tobytes() + bytes(SILENT_S * SAMPLE_RATE * SAMPLE_BYTES) + speech(2).tobytes()
"""Two utterances, and minutes go by between them."""
LONG_HOP_MS = 256
LONG_HOPS = len(RARE) // ms_to_samples(LONG_HOP_MS) // SAMPLE_BYTES


async def transcribe_rare(serve: Serve, *tritons: FakeTriton) -> list[Frame]:
    addresses = ",".join(triton.address for triton in tritons)
    async with serve(triton=addresses, hop_ms=LONG_HOP_MS) as server:
        frames = await transcribe(server, RARE, packet_bytes=2**16)
        assert errors(frames) == []
        return told(frames)


@pytest.mark.parametrize("breaks_at", [LONG_HOPS // 2, LONG_HOPS - 8, LONG_HOPS])
async def test_in_a_long_silence_nothing_is_forgotten_either(
    breaks_at: int, serve: Serve, triton: FakeTriton, other: FakeTriton
) -> None:
    """What was heard before the last utterance is as if no Triton had been lost."""
    undisturbed = await transcribe_rare(serve, triton)
    triton.breaks_at = other.breaks_at = [breaks_at]
    triton.hops.clear()
    assert await transcribe_rare(serve, triton, other) == undisturbed
    again = sum(hop.samples for hop in triton.hops + other.hops) - len(RARE) // SAMPLE_BYTES
    assert 0 < again < 25 * SAMPLE_RATE


async def test_a_triton_that_does_not_say_how_to_go_on_loses_no_word_either(
    serve: Serve, triton: FakeTriton, other: FakeTriton
) -> None:
    """It may be older than the gateway."""
    undisturbed = await transcribe_rare(serve, triton)
    triton.tells_nothing = other.tells_nothing = True
    triton.breaks_at = other.breaks_at = [LONG_HOPS - 2]
    found = await transcribe_rare(serve, triton, other)
    assert [each["text"] for each in found] == [each["text"] for each in undisturbed]


class SlowPeer(MemoryPeer):
    """Takes its time over the first final, and says one thing after the other."""

    def __init__(self, *messages: Incoming) -> None:
        super().__init__(*messages)
        self.may_go_on = asyncio.Event()

    async def receive(self, until: float, wanted: Portion = ANYTHING) -> Incoming | None:
        await asyncio.sleep(0.005)
        return await super().receive(until)

    async def send(self, frame: Frame) -> None:
        await super().send(frame)
        if frame.get("is_final"):
            await self.may_go_on.wait()


async def test_a_final_that_is_on_its_way_to_a_slow_client_does_not_come_again(
    both: Server, triton: FakeTriton, other: FakeTriton, undisturbed: list[Frame]
) -> None:
    size = 2 * HOP_SAMPLES
    packets = [AUDIO[start : start + size] for start in range(0, len(AUDIO), size)]
    peer = SlowPeer("{}", *packets, END_AUDIO)
    triton.breaks_at = other.breaks_at = [9]
    session = asyncio.create_task(Session(peer, both.gateway.shared).run())
    while not (triton.hops and other.hops):
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    assert len(finals(peer.frames)) == 1
    peer.may_go_on.set()
    await session
    assert told(peer.frames) == undisturbed


async def test_what_a_dead_stage_fails_at_is_tried_again_and_again_before_a_client_is_told(
    server: Server, triton: FakeTriton, undisturbed: list[Frame]
) -> None:
    """The only Triton says that it is ready, until somebody starts it again."""

    def error(hop: SeenHop) -> str | None:
        starts = sum(seen.start for seen in triton.hops)
        return "Stub process 'whisper_0_0' is not healthy." if starts <= MAX_ATTEMPTS else None

    triton.error = error
    frames = await transcribe(server, AUDIO, PARTIALS)
    assert errors(frames) == []
    assert told(frames) == undisturbed


async def test_the_only_triton_is_tried_again_after_ever_longer_pauses(
    server: Server, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried_at: list[float] = []

    def error(hop: SeenHop) -> str | None:
        if hop.start:
            tried_at.append(asyncio.get_running_loop().time())
        return "out of memory" if len(tried_at) <= MAX_ATTEMPTS else None

    monkeypatch.setattr("gateway.uplink.FIRST_PAUSE_S", 0.05)
    triton.error = error
    await transcribe(server, AUDIO)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried_at)]
    assert len(pauses) == MAX_ATTEMPTS
    assert all(pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True))


async def test_new_streams_avoid_a_triton_that_has_just_failed(
    both: Server, triton: FakeTriton, other: FakeTriton, undisturbed: list[Frame]
) -> None:
    """It calls itself ready, and has the fewest streams."""
    triton.error = lambda _: "not healthy"
    triton.hops.clear()
    while not triton.hops:
        assert told(await transcribe(both, AUDIO)) == undisturbed
    seen = len(triton.hops)
    for _ in range(3):
        assert told(await transcribe(both, AUDIO)) == undisturbed
    assert len(triton.hops) == seen


async def test_losses_do_not_add_up_once_their_audio_has_been_heard(
    both: Server, triton: FakeTriton, other: FakeTriton, undisturbed: list[Frame]
) -> None:
    breaks = range(3, 3 + 7 * (MAX_LOSSES + 2), 7)
    triton.breaks_at = other.breaks_at = breaks
    async with both.connect() as client:
        await client.send("{}")
        for start in range(0, len(AUDIO), 512):
            await client.send(AUDIO[start : start + 512])
            await asyncio.sleep(0.01)
        await client.send(END_AUDIO)
        frames = await receive_all(client)
    assert told(frames) == undisturbed
    assert sum(hop.index in breaks for hop in triton.hops + other.hops) > MAX_LOSSES


async def test_a_session_that_loses_triton_too_often_is_given_up(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.breaks_at = range(1, 10_000)
    async with serve() as server, server.connect() as client:
        await client.send("{}")
        await client.send(AUDIO)
        await receive_all(client)
        assert client.close_code == 1011
    assert sum(hop.start for hop in triton.hops) == MAX_LOSSES


async def test_a_client_that_leaves_during_the_wait_leaves_nothing(
    serve: Serve, triton: FakeTriton
) -> None:
    async with serve(recovery_timeout_s=60) as server:
        async with server.connect() as client:
            await client.send("{}")
            await client.send(AUDIO[: 4 * HOP_SAMPLES])
            while not triton.hops:
                await asyncio.sleep(0.005)
            await triton.stop()
            triton.sequences.clear()
        await server.leaves_nothing(triton)
