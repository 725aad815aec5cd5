"""How sessions end when something goes wrong: the error, the close code, and nothing left."""

import asyncio
import contextlib
import json
import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.downlink import MAX_ERRORS_IN_A_ROW
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton, text_of
from tests.gateway.support import (
    END_AUDIO,
    HOP_MS,
    HOP_SAMPLES,
    Server,
    errors,
    finals,
    receive_all,
    send_all,
    silence,
    speech,
    tone,
    transcribe,
)

PARTIALS = '{"streaming_params": {"enable_partial_transcripts": true}}'

BAD_STARTS: list[tuple[str | bytes, str]] = [
    ("{broken", "malformed JSON"),
    ("[]", "JSON object"),
    (b"\0\0", "audio has come before the metadata"),
    (END_AUDIO, "it must come first"),
    ('{"streaming_params": {"encoding": "opus"}}', "streaming_params.encoding"),
    ('{"streaming_params": {"sample_rate": 96000}}', "streaming_params.sample_rate"),
    ('{"vad_params": {"pad": 1}}', "vad_params.pad: unknown field"),
    ('{"streaming_diarization_config": {"enable": true}}', "not supported"),
]


@pytest.mark.parametrize(("first", "error"), BAD_STARTS)
async def test_a_bad_start_is_told_and_closed_and_disturbs_nobody(
    server: Server, first: str | bytes, error: str
) -> None:
    other = asyncio.create_task(transcribe(server, speech(1, 2).tobytes()))
    async with server.connect() as client:
        await client.send(first)
        frames = await receive_all(client)
    assert client.close_code == 1008
    assert len(frames) == 1
    assert error in errors(frames)[0]
    assert len(finals(await other)) == 2


async def test_no_metadata_in_time_is_told_and_closed(serve: Serve) -> None:
    async with serve(metadata_timeout_s=0.05) as server, server.connect() as client:
        frames = await receive_all(client)
        assert client.close_code == 1008
        assert "no metadata has come within 0.05 s" in errors(frames)[0]


@pytest.mark.parametrize("size", [10_001, 3_000_000])
async def test_a_message_too_large_is_told_and_closed(
    serve: Serve, triton: FakeTriton, size: int
) -> None:
    async with serve(max_message_bytes=10_000) as server:
        other = asyncio.create_task(transcribe(server, speech(1).tobytes()))
        async with server.connect() as client:
            await client.send("{}")
            await client.send(tone(HOP_SAMPLES).tobytes())
            await client.send(bytes(size))
            frames = await receive_all(client)
        assert client.close_code == 1009
        assert "10000 bytes at most" in errors(frames)[0]
        assert len(finals(await other)) == 1
        await server.leaves_nothing(triton)


async def test_the_largest_message_is_taken(serve: Serve) -> None:
    async with serve(max_message_bytes=10_000) as server:
        audio = tone(5_000).tobytes()
        (final,) = finals(await transcribe(server, audio, packet_bytes=10_000))
        assert final["transcript"] == text_of(audio)


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a Triton that was lost tried again at once."""
    monkeypatch.setattr("gateway.uplink.FIRST_PAUSE_S", 0.01)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the waits for a Triton that hangs and for a client that does not answer."""
    monkeypatch.setattr("gateway.connection.LOOK_S", 0.02)
    monkeypatch.setattr("gateway.connection.CLOSE_TIMEOUT_S", 0.05)
    monkeypatch.setattr("gateway.uplink.DISCARD_TIMEOUT_S", 0.05)
    monkeypatch.setattr("gateway.session.STOP_TIMEOUT_S", 0.05)


async def raw_client(server: Server, metadata: str = "{}") -> Any:
    """A client whose TCP connection can be cut."""
    client = await server.connect()
    await client.send(metadata)
    return client


async def test_a_client_that_vanishes_leaves_nothing(server: Server, triton: FakeTriton) -> None:
    client = await raw_client(server)
    await send_all(client, tone(3 * HOP_SAMPLES).tobytes())
    async with asyncio.timeout(5):
        while len(triton.hops) < 3:
            await asyncio.sleep(0.005)
    client.transport.abort()
    await server.leaves_nothing(triton)
    assert triton.hops[-1].end
    assert triton.hops[-1].parameters["discard"] is True


async def test_a_client_that_just_closes_leaves_nothing(server: Server, triton: FakeTriton) -> None:
    async with server.connect() as client:
        await client.send("{}")
        await send_all(client, tone(3 * HOP_SAMPLES).tobytes())
    await server.leaves_nothing(triton)
    assert triton.hops[-1].parameters.get("discard") is True


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_vanishes_while_triton_hangs_leaves_no_task(
    server: Server, triton: FakeTriton
) -> None:
    triton.silent = True
    client = await raw_client(server)
    await send_all(client, tone(3 * HOP_SAMPLES).tobytes())
    async with asyncio.timeout(5):
        while len(triton.hops) < 3:
            await asyncio.sleep(0.005)
    client.transport.abort()
    await server.leaves_nothing(triton)


@pytest.mark.usefixtures("impatient")
async def test_a_client_without_a_sign_of_life_is_gone(serve: Serve, triton: FakeTriton) -> None:
    async with serve(ping_s=0.05) as server:
        client = await raw_client(server)
        await client.send(tone(HOP_SAMPLES).tobytes())
        client.transport.pause_reading()  # pings arrive and get no pong
        await server.leaves_nothing(triton)
        client.transport.abort()


async def test_a_quiet_client_that_answers_pings_stays(serve: Serve) -> None:
    async with serve(ping_s=0.02) as server, server.connect() as client:
        await client.send("{}")
        await asyncio.sleep(0.2)
        await client.send(END_AUDIO)
        assert len(await receive_all(client)) == 2
        assert client.close_code == 1000


async def test_a_client_that_pings_is_answered(server: Server) -> None:
    async with server.connect() as client, asyncio.timeout(2):
        await (await client.ping(b"hello"))


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_does_not_read_is_dropped_and_others_go_on(
    serve: Serve, triton: FakeTriton, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with serve(send_timeout_s=0.1) as server:
        client = await raw_client(server, PARTIALS)
        client.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
        )
        client.transport.pause_reading()
        triton.padding = "x" * 1_000_000
        await send_all(client, tone(20 * HOP_SAMPLES).tobytes())
        async with asyncio.timeout(5):
            while "ends: code 1013" not in caplog.text:
                await asyncio.sleep(0.005)
        triton.padding = ""
        assert len(finals(await transcribe(server, speech(1).tobytes()))) == 1
        await server.leaves_nothing(triton)
        client.transport.abort()


async def test_a_slow_reader_that_comes_back_is_told_1013(serve: Serve, triton: FakeTriton) -> None:
    triton.padding = "x" * 1_000_000
    async with serve(send_timeout_s=0.1) as server:
        async with server.connect(max_size=None) as client:
            client.transport.pause_reading()
            await client.send(PARTIALS)
            await send_all(client, tone(20 * HOP_SAMPLES).tobytes())
            await asyncio.sleep(0.5)
            client.transport.resume_reading()
            frames = await receive_all(client)
        assert client.close_code == 1013
        assert "has read nothing for 0.1 s" in errors(frames)[0]
        await server.leaves_nothing(triton)


@pytest.mark.usefixtures("impatient")
async def test_reading_stops_while_too_many_hops_are_unanswered(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.silent = True
    async with serve(max_audio_in_flight_s=4 * HOP_MS / 1000) as server:
        client = await raw_client(server)
        await client.send(tone(20 * HOP_SAMPLES).tobytes())
        await asyncio.sleep(0.1)
        assert len(triton.hops) == 4
        client.transport.abort()  # seen although nobody reads
        await server.leaves_nothing(triton)
        assert len(triton.hops) == 5  # the END


async def test_no_triton_is_waited_for_and_then_told_and_closed(
    serve: Serve, triton: FakeTriton
) -> None:
    await triton.stop()
    async with serve(recovery_timeout_s=0.3) as server, server.connect() as client:
        await client.send("{}")
        frames = await receive_all(client)
        assert client.close_code == 1011
        assert "engine is unavailable" in errors(frames)[0]


async def test_audio_that_no_triton_survives_is_told_and_closed(
    server: Server, triton: FakeTriton
) -> None:
    triton.breaks_at = range(2, 1000)
    async with server.connect() as client:
        await client.send("{}")
        await send_all(client, tone(9 * HOP_SAMPLES).tobytes())
        frames = await receive_all(client)
    assert client.close_code == 1011
    assert "engine is unavailable" in errors(frames)[0]
    triton.sequences.clear()  # this Triton has lost them itself


@pytest.mark.usefixtures("impatient")
async def test_a_triton_that_answers_nothing_is_told_and_closed(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.silent = True
    async with serve(answer_timeout_s=0.1) as server, server.connect() as client:
        await client.send("{}")
        await client.send(tone(HOP_SAMPLES).tobytes())
        frames = await receive_all(client)
        assert client.close_code == 1011
        assert "engine is unavailable" in errors(frames)[0]


async def test_an_engine_that_only_fails_is_unavailable(server: Server, triton: FakeTriton) -> None:
    triton.error = lambda hop: None if hop.end else "out of order"
    triton.sequences[0] = None  # type: ignore[assignment]
    async with server.connect() as client:
        await client.send("{}")
        await send_all(client, tone(60 * HOP_SAMPLES).tobytes())
        frames = await receive_all(client)
    assert client.close_code == 1011
    assert len(errors(frames)) == MAX_ERRORS_IN_A_ROW
    triton.sequences.clear()


async def test_an_utterance_left_open_is_flushed_and_the_clock_goes_on(
    serve: Serve, triton: FakeTriton
) -> None:
    async with serve(idle_flush_s=0.05) as server, server.connect() as client:
        await client.send("{}")
        first, second = tone(HOP_SAMPLES + 88, 1), tone(2 * HOP_SAMPLES, 2)
        await client.send(first.tobytes())
        final = json.loads(await client.recv())
        assert (final["transcript"], final["is_final"]) == (text_of(first.tobytes()), True)
        assert triton.sequences == {}
        await client.send(second.tobytes())
        await client.send(END_AUDIO)
        (later,) = finals(await receive_all(client))
    assert (later["transcript"], later["transcription_num"]) == (text_of(second.tobytes()), 1)
    starts = [json.loads(hop.parameters["options"]) for hop in triton.hops if hop.start]
    assert starts == [{}, {"start_sample": HOP_SAMPLES + 88}]
    assert later["segments"][0]["end_time"] == round((3 * HOP_SAMPLES + 88) / 16_000, 3)


async def test_silence_alone_closes_only_after_the_idle_limit(serve: Serve) -> None:
    async with serve(idle_timeout_s=0.1, idle_flush_s=0.05) as server:
        async with server.connect() as client:
            await client.send("{}")
            await client.send(speech(1).tobytes())
            frames = await receive_all(client)
        assert client.close_code == 1000
        assert len(finals(frames)) == 1


async def test_shutdown_flushes_open_utterances_and_closes_1012(
    serve: Serve, triton: FakeTriton
) -> None:
    async with serve() as server:
        fresh = await server.connect()  # has not even sent its metadata
        talking = await raw_client(server)
        await talking.send(tone(HOP_SAMPLES + 5).tobytes())
        while not triton.hops:
            await asyncio.sleep(0.005)
    (final,) = finals(await receive_all(talking))
    assert final["transcript"] == text_of(tone(HOP_SAMPLES + 5).tobytes())
    assert talking.close_code == 1012
    assert await receive_all(fresh) == []
    assert fresh.close_code == 1012
    assert triton.sequences == {}


@pytest.mark.usefixtures("impatient")
async def test_shutdown_does_not_wait_for_an_engine_that_hangs(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.silent = True
    async with serve() as server:
        client = await raw_client(server)
        await client.send(silence(HOP_SAMPLES).tobytes())
        while not triton.hops:
            await asyncio.sleep(0.005)
    await receive_all(client)
    assert client.close_code == 1012


@pytest.fixture
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has END wait for the answers to the hops before it as long as anything lets it."""
    monkeypatch.setattr("gateway.uplink.ANSWERS_TIMEOUT_S", 60)


async def test_an_engine_that_is_late_does_not_keep_the_end_back(
    server: Server, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.uplink.ANSWERS_TIMEOUT_S", 0.02)
    triton.delay_s = lambda hop: 0.5 if hop.index == 1 else 0
    audio = tone(2 * HOP_SAMPLES).tobytes()
    (final,) = finals(await transcribe(server, audio, json.loads(PARTIALS)))
    assert final["transcript"] == text_of(audio)
    assert [hop.parameters.get("feedback") for hop in triton.hops] == ["", None, "feedback 0"]


@pytest.mark.usefixtures("patient_end")
async def test_a_server_that_stops_does_not_wait_for_answers_before_the_end(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0 if hop.end else 1
    audio = tone(HOP_SAMPLES).tobytes()
    async with serve() as server:
        ending, talking = await raw_client(server), await raw_client(server)
        await send_all(ending, audio)
        await ending.send(END_AUDIO)
        await send_all(talking, audio)
        while len(triton.hops) < 2:
            await asyncio.sleep(0.005)
        assert not any(hop.end for hop in triton.hops)
        stopping = asyncio.create_task(server.gateway.stop())
        async with asyncio.timeout(0.5):
            while not all(hop.end for hop in triton.hops[2:]) or len(triton.hops) < 4:
                await asyncio.sleep(0.005)
        await stopping
    for client in (ending, talking):
        assert [f["transcript"] for f in finals(await receive_all(client))] == [text_of(audio)]


@pytest.mark.usefixtures("patient_end")
async def test_a_client_that_vanishes_while_the_end_waits_leaves_nothing(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0 if hop.end else 30
    client = await raw_client(server)
    await send_all(client, tone(HOP_SAMPLES).tobytes())
    await client.send(END_AUDIO)
    assert json.loads(await client.recv())["type"] == "end_audio"
    client.transport.abort()
    await server.leaves_nothing(triton)
    assert triton.hops[-1].parameters["discard"] is True


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_goes_on_during_the_shutdown_is_told_no_error(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.silent = True

    async def go_on(client: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.send(tone(HOP_SAMPLES).tobytes())
                await asyncio.sleep(0.002)

    async with serve() as server:
        client = await raw_client(server)
        talking = asyncio.create_task(go_on(client))
        while not triton.hops:
            await asyncio.sleep(0.005)
    frames = await receive_all(client)
    await talking
    assert errors(frames) == []
    assert client.close_code == 1012
