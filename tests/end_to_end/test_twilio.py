"""A recorded call as Twilio's Media Streams send it, to its transcripts."""

import asyncio
from collections.abc import Iterable

import pytest

from scripts.server import Server
from tests.contract import assert_promised
from tests.end_to_end.recordings import DASHWOOD, JFK, JFK_FINALS, errors_in, mulaw
from tests.end_to_end.sessions import Frame, Talk, foreign, no_stream_is_left
from tests.gateway.dialects.twilio_session import CALL_SID, SAMPLE_RATE, STREAM_SID, call

MEDIA_S = 0.02
SPEED = 8
AUDIO = mulaw(JFK, SAMPLE_RATE)


def url(server: Server, path: str = "/v1/twilio") -> str:
    return f"ws://{server.settings.address}{path}"


async def play(talking: Talk, messages: Iterable[str], speed: float = SPEED) -> None:
    for message in messages:
        await talking.send(message)
        await asyncio.sleep(MEDIA_S / speed)


def of(frames: list[Frame], event: str) -> list[Frame]:
    return [frame for frame in frames if frame["event"] == event]


def finals(frames: list[Frame]) -> list[Frame]:
    told = [event["transcription"] for event in of(frames, "transcription")]
    for transcription in told:
        assert_promised(transcription)
    return [frame for frame in told if frame["is_final"]]


def text(frames: list[Frame]) -> str:
    return " ".join(final["transcript"] for final in finals(frames))


async def test_an_application_that_passes_a_call_on_gets_its_transcripts_back(
    server: Server,
) -> None:
    async with foreign(url(server)) as talking, asyncio.TaskGroup() as tasks:
        received = tasks.create_task(talking.receive_all())
        await play(talking, call(AUDIO, {"enable_partial_transcripts": "true"}))
    session = received.result()
    assert session.close_code == 1000
    assert errors_in(text(session.frames), JFK).rate_percent < 15
    assert len(of(session.frames, "transcription")) > len(finals(session.frames)) == JFK_FINALS
    assert {event["track"] for event in of(session.frames, "transcription")} == {"inbound"}
    assert session.frames[-1] == {
        "event": "finished",
        "streamSid": STREAM_SID,
        "callSid": CALL_SID,
    }
    assert await no_stream_is_left(server)


@pytest.mark.parametrize("call_name", [CALL_SID, STREAM_SID])
async def test_twilio_itself_is_sent_nothing_and_hangs_up_and_its_listeners_lose_nothing(
    server: Server, call_name: str
) -> None:
    signed = {"X-Twilio-Signature": "no key is asked for"}
    async with foreign(url(server, f"/v1/twilio/calls/{call_name}")) as listening:
        async with foreign(url(server), additional_headers=signed) as twilio:
            await play(twilio, call(mulaw(DASHWOOD, SAMPLE_RATE)), speed=4 * SPEED)
        session = await listening.receive_all()
    assert twilio.session.frames == []
    assert session.close_code == 1000
    assert [frame["event"] for frame in session.frames] == ["transcription", "finished"]
    assert errors_in(text(session.frames), DASHWOOD).errors <= 1
    assert await no_stream_is_left(server)


async def test_a_call_that_breaks_off_gets_its_last_final(server: Server) -> None:
    messages = list(call(mulaw(DASHWOOD, SAMPLE_RATE)))[:-1]  # without the stop
    async with foreign(url(server, f"/v1/twilio/calls/{CALL_SID}")) as listening:
        signed = {"X-Twilio-Signature": "x"}
        async with foreign(url(server), additional_headers=signed) as twilio:
            await play(twilio, messages, speed=4 * SPEED)
            twilio.client.transport.abort()
        session = await listening.receive_all()
    assert errors_in(text(session.frames), DASHWOOD).errors <= 1
    assert session.close_code == 1000


async def test_a_bad_start_is_told_and_closed(server: Server) -> None:
    async with foreign(url(server)) as talking:
        opening = list(call(b"", {"audio_language": "xx"}))[:2]
        await play(talking, opening)
        session = await talking.receive_all()
    assert session.close_code == 1008
    (error,) = session.frames
    assert error["error"]["message"].startswith("customParameters.audio_language: found")
