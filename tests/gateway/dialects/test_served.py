"""The dialects in a running gateway: keys, refusals, ends, and what a client has coming to it.

What is recognised is a toy's business here, see `tests.gateway.fake_triton`.
"""

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.dialects.twilio.entrance import signature
from tests.gateway.conftest import Serve
from tests.gateway.dialects.twilio_session import CALL_SID, connected, media, start, stop
from tests.gateway.fake_triton import FakeTriton, text_of
from tests.gateway.support import HOP_SAMPLES, Server, receive_all, speech, tone

KEY = "door-key"
DEEPGRAM = "/v1/listen?encoding=linear16&sample_rate=16000"
REALTIME = "/v1/realtime?intent=transcription"
TWILIO = "/v1/twilio"
CALL = f"/v1/twilio/calls/{CALL_SID}"
CLOSE_STREAM = '{"type": "CloseStream"}'


async def refused(server: Server, path: str, **options: Any) -> tuple[int, Any]:
    """Status and body."""
    with pytest.raises(InvalidStatus) as raised:
        async with server.connect(path, **options):
            pass
    response = raised.value.response
    return response.status_code, json.loads(response.body or b"")


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (DEEPGRAM, {"additional_headers": {"Authorization": f"Token {KEY}"}}),
        (DEEPGRAM, {"additional_headers": {"Authorization": f"Bearer {KEY}"}}),
        (DEEPGRAM, {"subprotocols": ["token", KEY]}),
        (REALTIME, {"additional_headers": {"Authorization": f"Bearer {KEY}"}}),
        (REALTIME, {"subprotocols": ["realtime", f"openai-insecure-api-key.{KEY}"]}),
        (TWILIO, {"additional_headers": {"Authorization": f"Bearer {KEY}"}}),
        (CALL, {"additional_headers": {"Authorization": f"Api-Key {KEY}"}}),
    ],
)
async def test_a_known_key_opens_every_door_in_its_protocol_s_own_form(
    serve: Serve, path: str, options: dict[str, Any]
) -> None:
    async with serve(api_keys=(KEY,)) as server, server.connect(path, **options) as client:
        assert client.subprotocol in (None, "token", "realtime")


async def test_twilio_shows_its_key_by_signing_with_it(serve: Serve) -> None:
    async with serve(api_keys=("other", KEY)) as server:
        signed = signature(f"wss://{server.address}{TWILIO}", KEY).decode()
        async with server.connect(TWILIO, additional_headers={"X-Twilio-Signature": signed}):
            pass
        wrong = signature(f"wss://{server.address}{TWILIO}", "else").decode()
        status, _ = await refused(server, TWILIO, additional_headers={"X-Twilio-Signature": wrong})
        assert status == 401
        status, _ = await refused(server, CALL, additional_headers={"X-Twilio-Signature": signed})
        assert status == 401


async def test_without_a_key_each_door_is_shut_in_its_protocol_s_shape(serve: Serve) -> None:
    async with serve(api_keys=(KEY,)) as server:
        status, body = await refused(server, DEEPGRAM)
        assert (status, body["err_code"]) == (401, "INVALID_AUTH")
        status, body = await refused(server, REALTIME)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        for path in (TWILIO, CALL):
            status, body = await refused(server, path)
            assert (status, body["type"]) == (401, "unauthorized")


async def test_a_full_server_refuses_each_in_its_protocol_s_shape_but_no_listener(
    serve: Serve,
) -> None:
    async with serve(max_streams=1) as server, server.connect(DEEPGRAM):
        status, body = await refused(server, DEEPGRAM)
        assert (status, body["err_code"]) == (429, "TOO_MANY_REQUESTS")
        status, body = await refused(server, REALTIME)
        assert (status, body["error"]["code"]) == (503, "too_many_streams")
        status, body = await refused(server, TWILIO)
        assert (status, body["type"]) == (503, "too_many_streams")
        async with server.connect(CALL):
            pass


def append(audio: bytes) -> str:
    data = base64.b64encode(audio).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": data})


async def receive(client: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of this type."""
    while True:
        message: dict[str, Any] = json.loads(await client.recv())
        if kind in (message.get("type"), message.get("event")):
            return message


async def test_a_stream_of_deepgram_s_is_a_session_from_start_to_end(
    server: Server, triton: FakeTriton
) -> None:
    async with server.connect(DEEPGRAM) as client:
        await client.send(speech(1, 2).tobytes())
        await client.send(CLOSE_STREAM)
        *results, summary = await receive_all(client)
    assert client.close_code == 1000
    assert [r["channel"]["alternatives"][0]["transcript"] for r in results] == [
        text_of(tone(3 * HOP_SAMPLES, seed).tobytes()) for seed in (1, 2)
    ]
    assert summary["duration"] == len(speech(1, 2)) / 16_000
    await server.leaves_nothing(triton)


async def test_an_open_utterance_gets_its_final_when_the_server_stops(
    serve: Serve, triton: FakeTriton
) -> None:
    audio = tone(HOP_SAMPLES + 5).tobytes()
    async with serve() as server:
        client = await server.connect(DEEPGRAM)
        await client.send(audio)
        while not triton.hops:
            await asyncio.sleep(0.005)
    (result,) = await receive_all(client)
    assert result["channel"]["alternatives"][0]["transcript"] == text_of(audio)
    assert client.close_code == 1012


async def test_keep_alive_keeps_a_silent_stream_and_its_end_has_deepgram_s_code(
    serve: Serve,
) -> None:
    async with serve(idle_timeout_s=0.3) as server, server.connect(DEEPGRAM) as client:
        for _ in range(8):
            await client.send('{"type": "KeepAlive"}')
            await asyncio.sleep(0.1)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(2):
                await client.recv()
        assert client.close_code == 1011
        assert (client.close_reason or "").startswith("NET-0001")


async def test_an_engine_that_is_not_there_is_told_in_each_protocol(
    serve: Serve, triton: FakeTriton
) -> None:
    await triton.stop()
    async with serve(recovery_timeout_s=0.2) as server:
        async with server.connect(DEEPGRAM) as deepgram:
            await deepgram.send(tone(HOP_SAMPLES).tobytes())
            assert await receive_all(deepgram) == []
        assert (deepgram.close_code, (deepgram.close_reason or "")[:8]) == (1011, "NET-0000")
        async with server.connect(REALTIME) as realtime:
            await realtime.send(append(tone(HOP_SAMPLES).tobytes()))
            *_, error = await receive_all(realtime)
        assert (realtime.close_code, error["error"]["type"]) == (1011, "server_error")
        async with server.connect(TWILIO) as twilio:
            await twilio.send(json.dumps(start()))
            await twilio.send(json.dumps(media(bytes(160))))
            *_, error = await receive_all(twilio)
        assert (twilio.close_code, error["event"]) == (1011, "error")


async def test_a_commit_waits_for_nothing_behind_it_and_what_is_behind_it_for_the_commit(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0.2 if hop.end else 0
    parts = {"turn_detection": None, "format": {"type": "audio/pcm", "rate": 16_000}}
    manual = {"type": "transcription", "audio": {"input": parts}}
    first, second = (tone(8 * HOP_SAMPLES, seed).tobytes() for seed in (1, 2))
    async with server.connect(REALTIME) as client:
        await client.send(json.dumps({"type": "session.update", "session": manual}))
        for audio in (first, second):
            await client.send(append(audio))
            await client.send('{"type": "input_audio_buffer.commit"}')
        done = "conversation.item.input_audio_transcription.completed"
        transcripts = [(await receive(client, done))["transcript"] for _ in range(2)]
    assert transcripts == [text_of(first), text_of(second)]
    await server.leaves_nothing(triton)


async def test_a_realtime_client_that_vanishes_leaves_nothing(
    server: Server, triton: FakeTriton
) -> None:
    client = await server.connect(REALTIME)
    await client.send(append(tone(4 * HOP_SAMPLES).tobytes()))
    while not triton.hops:
        await asyncio.sleep(0.005)
    client.transport.abort()
    await server.leaves_nothing(triton)


TWILIO_ITSELF = {"X-Twilio-Signature": "no key is asked for"}


async def test_a_call_s_listeners_hear_its_end_after_twilio_has_hung_up(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0.2 if hop.end else 0
    async with server.connect(CALL) as first, server.connect(CALL) as second:
        async with server.connect(TWILIO, additional_headers=TWILIO_ITSELF) as twilio:
            for message in (start(), media(b"\x01" * 800), stop()):
                await twilio.send(json.dumps(message))
        heard = await receive_all(first)
        assert [event["event"] for event in heard] == ["transcription", "finished"]
        assert await receive_all(second) == heard
    assert first.close_code == second.close_code == 1000
    await server.leaves_nothing(triton)


async def test_twilio_that_hangs_up_before_it_has_begun_leaves_nothing(
    server: Server, triton: FakeTriton
) -> None:
    async with server.connect(TWILIO, additional_headers=TWILIO_ITSELF) as twilio:
        await twilio.send(json.dumps(connected()))
    await server.leaves_nothing(triton)


async def test_twilio_that_is_silent_for_too_long_is_closed_as_any_client(serve: Serve) -> None:
    async with (
        serve(idle_timeout_s=0.1, idle_flush_s=0.05) as server,
        server.connect(TWILIO, additional_headers=TWILIO_ITSELF) as twilio,
    ):
        await twilio.send(json.dumps(start()))
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(2):
                await twilio.recv()
        assert twilio.close_code == 1000


async def test_a_listener_can_ask_for_nothing_and_goes_when_the_server_does(
    serve: Serve,
) -> None:
    async with serve() as server:
        listener = await server.connect(CALL)
        await listener.send("hello")
        assert json.loads(await listener.recv())["type"] == "error"
    assert await receive_all(listener) == []
    assert listener.close_code == 1012


async def test_a_listener_who_leaves_is_forgotten(server: Server, triton: FakeTriton) -> None:
    async with server.connect(CALL):
        pass
    vanishing = await server.connect(CALL)
    vanishing.transport.abort()
    await server.leaves_nothing(triton)


async def test_a_plain_request_is_told_to_upgrade_in_each_protocol(server: Server) -> None:
    async with aiohttp.ClientSession() as http:
        keys = {DEEPGRAM: "err_msg", REALTIME: "error", TWILIO: "error", CALL: "error"}
        for path, key in keys.items():
            async with http.get(f"http://{server.address}{path}") as response:
                assert response.status == 426
                assert response.headers["Upgrade"] == "websocket"
                assert "websocket" in str((await response.json())[key])
