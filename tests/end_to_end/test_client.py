"""The typed client against the whole server, through a network that breaks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.client import Options, Reconnect, Session, Transcription, transcribe
from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from scripts.server import Server
from tests.end_to_end.recordings import DASHWOOD, GREGSON, JFK, audio, errors_in, silence
from tests.end_to_end.sessions import no_stream_is_left
from tests.gateway.client.cutting_proxy import CuttingProxy

NAMES = (GREGSON, DASHWOOD, JFK)
RECORDING = b"".join(audio(name) + silence(1.2) for name in NAMES)
PACKET_BYTES = SAMPLE_RATE // 10 * SAMPLE_BYTES
SPEED = 4
QUICKLY = Reconnect(least_delay_s=0.05, most_delay_s=0.1)


async def paced() -> AsyncIterator[bytes]:
    for start in range(0, len(RECORDING), PACKET_BYTES):
        yield RECORDING[start : start + PACKET_BYTES]
        await asyncio.sleep(PACKET_BYTES / SAMPLE_BYTES / SAMPLE_RATE / SPEED)


async def test_it_hears_with_words_and_partials(server: Server) -> None:
    options = Options(language="en", words=True, partials=True, timing=True)
    told = [said async for said in transcribe(server.settings.url, paced(), options)]
    finals = [said for said in told if said.is_final]
    assert errors_in(" ".join(said.transcript for said in finals), *NAMES).errors == 0
    assert any(not said.is_final for said in told)
    for said in finals:
        words = [word.word for segment in said.segments for word in segment.word_timestamps]
        assert " ".join(words) == said.transcript
        assert said.timing_info is not None


@pytest.mark.parametrize("cuts_s", [(6.0,), (2.0, 5.0, 6.0)])
async def test_a_network_that_breaks_changes_neither_words_nor_times(
    server: Server, cuts_s: tuple[float, ...]
) -> None:
    options = Options(language="en", words=True)
    unbroken = [said async for said in transcribe(server.settings.url, paced(), options)]
    host, port = server.settings.address.split(":")
    cuts = [round(seconds * SAMPLE_RATE * SAMPLE_BYTES) for seconds in cuts_s]
    async with CuttingProxy(host, int(port), cuts) as network:
        url = f"ws://{network.address}/v1/websocket"
        async with Session(url, options, reconnect=QUICKLY) as session:
            sending = asyncio.create_task(session.send_all(paced()))
            told = [message async for message in session]
            await sending
    assert session.reconnections == len(cuts)
    assert [said.transcript for said in told if isinstance(said, Transcription)] == [
        said.transcript for said in unbroken
    ]
    for ours, theirs in zip(told, unbroken, strict=True):
        assert isinstance(ours, Transcription)
        assert ours.transcription_num == theirs.transcription_num
        assert abs((ours.start_s or 0) - (theirs.start_s or 0)) < 0.1
        assert abs((ours.end_s or 0) - (theirs.end_s or 0)) < 0.1
    assert await no_stream_is_left(server)
