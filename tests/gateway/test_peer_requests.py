"""What only peers within the gateway ask of a session: flush, and go on with other options."""

import asyncio
import json
from typing import Any

import pytest

from gateway.messages import FLUSHED, Alive, Configure, Flush
from gateway.peer import Incoming
from gateway.session import Session
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton, text_of
from tests.gateway.memory_peer import MemoryPeer
from tests.gateway.support import END_AUDIO, HOP_SAMPLES, Server, speech, tone

PARTIALS = json.dumps({"streaming_params": {"enable_partial_transcripts": True}})
MULAW = json.dumps({"streaming_params": {"encoding": "pcm_mulaw", "sample_rate": 8000}})


async def told(server: Server, *messages: Incoming) -> list[dict[str, Any]]:
    """The frames of a session that ends regularly, without those about `end_audio`."""
    peer = MemoryPeer(*messages, END_AUDIO)
    end = await Session(peer, server.gateway.shared).run()
    assert peer.end is end
    assert end.code == 1000
    return [frame for frame in peer.frames if frame["type"] != "end_audio"]


def said(frames: list[dict[str, Any]]) -> list[str]:
    """Texts of finals, and `-` for the end of a flush."""
    return ["-" if frame == FLUSHED else frame["transcript"] for frame in frames]


async def test_a_flush_ends_the_utterance_and_the_next_one_has_the_next_number(
    server: Server,
) -> None:
    first, second = (tone(HOP_SAMPLES + 7, seed).tobytes() for seed in (1, 2))
    frames = await told(server, "{}", first, Flush(), second)
    assert said(frames) == [text_of(first), "-", text_of(second)]
    finals = [frame for frame in frames if frame != FLUSHED]
    assert [final["transcription_num"] for final in finals] == [0, 1]


async def test_a_flush_is_told_behind_all_that_was_said_before_it_and_before_all_behind(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0.1 if hop.index % 3 == 0 else 0
    audio = speech(1, 2).tobytes()
    frames = await told(server, PARTIALS, audio, Flush(), audio)
    flushed_at = frames.index(FLUSHED)
    numbers = [frame.get("transcription_num") for frame in frames]
    assert set(numbers[:flushed_at]) == {0, 1}
    assert set(numbers[flushed_at + 1 :]) == {2, 3}


async def test_every_flush_is_told_even_if_nothing_was_said(server: Server) -> None:
    assert await told(server, "{}", Flush(), Flush()) == [FLUSHED, FLUSHED]


async def test_other_options_count_for_the_audio_behind_them(
    server: Server, triton: FakeTriton
) -> None:
    first, second = tone(HOP_SAMPLES).tobytes(), bytes(range(256)) * 2
    frames = await told(server, PARTIALS, first, Configure(MULAW), second)
    assert [frame["is_final"] for frame in frames] == [False, True, True]
    options = [json.loads(hop.parameters["options"]) for hop in triton.hops if hop.start]
    assert options == [{"partials": True}, {"start_sample": HOP_SAMPLES}]
    assert sum(hop.samples for hop in triton.hops) == HOP_SAMPLES + 2 * len(second)


@pytest.mark.parametrize("message", [Flush(), Configure("{}")])
async def test_they_are_no_first_message(server: Server, message: Incoming) -> None:
    peer = MemoryPeer(message)
    end = await Session(peer, server.gateway.shared).run()
    assert end.code == 1008
    assert end.error is not None
    assert "JSON" in end.error


async def test_a_server_that_stops_does_not_wait_for_a_flush(
    server: Server, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.session.STOP_TIMEOUT_S", 0.05)
    monkeypatch.setattr("gateway.uplink.DISCARD_TIMEOUT_S", 0.05)
    triton.silent = True
    session = Session(MemoryPeer("{}", tone(HOP_SAMPLES).tobytes(), Flush()), server.gateway.shared)
    running = asyncio.create_task(session.run())
    while not triton.hops:
        await asyncio.sleep(0.005)
    await server.gateway.stop()
    assert (await running).code == 1012
    triton.sequences.clear()


async def test_a_flush_that_discards_drops_the_open_utterance_and_the_clock_goes_on(
    server: Server, triton: FakeTriton
) -> None:
    first, second = (tone(HOP_SAMPLES + 7, seed).tobytes() for seed in (1, 2))
    frames = await told(server, "{}", first, Flush(discard=True), second)
    assert said(frames) == ["-", text_of(second)]
    assert [hop.parameters.get("discard") for hop in triton.hops if hop.end] == [True, None]
    starts = [json.loads(hop.parameters["options"]) for hop in triton.hops if hop.start]
    assert starts == [{}, {"start_sample": HOP_SAMPLES + 7}]


async def test_signs_of_life_may_come_before_the_metadata_and_ask_for_nothing(
    server: Server,
) -> None:
    audio = tone(HOP_SAMPLES).tobytes()
    frames = await told(server, Alive(), "{}", Alive(), audio, Alive())
    assert said(frames) == [text_of(audio)]


async def test_signs_of_life_do_not_count_as_metadata(serve: Serve) -> None:
    async with serve(metadata_timeout_s=0.05) as server:
        peer = MemoryPeer(Alive(), Alive())
        end = await Session(peer, server.gateway.shared).run()
    assert end.code == 1008
    assert end.error is not None
    assert "no metadata" in end.error
