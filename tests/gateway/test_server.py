"""Routes, health, and who may upgrade."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from gateway.admission import ENOUGH
from gateway.tritons import PROBE_INTERVAL_S
from pipeline.audio import SAMPLE_RATE, ms_to_samples
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import END_AUDIO, HOP_SAMPLES, Server, receive_all, send_all, tone

PARTIALS = '{"streaming_params": {"enable_partial_transcripts": true}}'


async def get(server: Server, path: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://{server.address}{path}") as response,
    ):
        return response.status, await response.json()


async def refusal(server: Server, **options: Any) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as raised:
        async with server.connect(**options):
            pass
    return raised.value


@pytest.mark.parametrize(
    "path",
    [
        "/environments/production/websocket",
        "/environments/staging/websocket",
        "/deployment/abc123/websocket",
        "/development/websocket",
        "/websocket",
        "/v1/websocket",
    ],
)
async def test_every_path_leads_to_a_session(server: Server, path: str) -> None:
    async with server.connect(path) as client:
        await client.send("{}")
        await client.send(END_AUDIO)
        assert len(await receive_all(client)) == 2
    assert client.close_code == 1000


async def test_other_paths_are_not_found(server: Server) -> None:
    assert (await refusal(server, path="/ws")).response.status_code == 404
    _, body = await get(server, "/ws")
    assert body["type"] == "not_found"


@pytest.mark.parametrize("path", ["/ws", "/page/", "/environments//websocket", "/" + "x" * 2000])
async def test_an_unknown_path_is_told_which_there_are(server: Server, path: str) -> None:
    status, body = await get(server, path)
    assert status == 404
    assert "/v1/websocket" in body["error"]
    assert len(body["error"]) < 400


@pytest.mark.parametrize("scheme", ["Api-Key", "Bearer"])
async def test_a_known_key_opens_the_socket(serve: Serve, scheme: str) -> None:
    async with serve(api_keys=("one", "two")) as server:
        headers = {"Authorization": f"{scheme} two"}
        async with server.connect(additional_headers=headers) as client:
            await client.send("{}")
            await client.send(END_AUDIO)
            assert len(await receive_all(client)) == 2


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Api-Key three"}])
async def test_an_unknown_key_gets_401_and_no_socket(serve: Serve, headers: dict[str, str]) -> None:
    async with serve(api_keys=("one",)) as server:
        refused = await refusal(server, additional_headers=headers)
        assert refused.response.status_code == 401
        body = json.loads(refused.response.body or b"")
        assert "Authorization: Api-Key KEY" in body["error"]
        assert body["type"] == "unauthorized"
        assert "retry_after_s" not in body


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        (["streaming-whisper", "api-key.ZG9vci1rZXk"], "streaming-whisper"),
        (["api-key.ZG9vci1rZXk", "streaming-whisper"], "streaming-whisper"),
        (["token", "door-key"], "token"),
        (["realtime", "openai-insecure-api-key.door-key"], "realtime"),
        (["api-key.ZG9vci1rZXk"], None),
    ],
)
async def test_a_key_among_the_subprotocols_opens_the_socket_and_is_neither_answered_nor_logged(
    serve: Serve, offered: list[str], answered: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serve(api_keys=("door-key",)) as server,
        server.connect(subprotocols=offered) as client,
    ):
        assert client.subprotocol == answered
        await client.send("{}")
        await client.send(END_AUDIO)
        assert len(await receive_all(client)) == 2
    assert "door-key" not in caplog.text
    assert "ZG9vci1rZXk" not in caplog.text


async def test_an_unknown_key_among_the_subprotocols_is_refused(serve: Serve) -> None:
    async with serve(api_keys=("door-key",)) as server:
        refused = await refusal(server, subprotocols=["streaming-whisper", "api-key.dHdv"])
        assert refused.response.status_code == 401


async def test_one_stream_too_many_is_refused_and_the_others_go_on(serve: Serve) -> None:
    async with serve(max_streams=1) as server:
        async with server.connect() as client:
            refused = await refusal(server)
            assert refused.response.status_code == 503
            body = json.loads(refused.response.body or b"")
            assert body["retry_after_s"] == int(refused.response.headers["Retry-After"]) > 0
            assert body["type"] == "too_many_streams"
            assert "all 1 streams" in body["error"] == body["body"]["message"]
            await client.send("{}")
            await client.send(END_AUDIO)
            assert len(await receive_all(client)) == 2
        async with asyncio.timeout(5):
            while server.gateway.sessions:
                await asyncio.sleep(0.005)
        async with server.connect():
            pass


async def test_a_server_whose_words_come_late_refuses_new_streams_and_serves_the_others(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.delay_s = lambda _: 0.1
    async with serve(max_partial_delay_s=0.05) as server:
        async with server.connect() as client, server.connect():
            await client.send(PARTIALS)
            await send_all(client, tone(ENOUGH * HOP_SAMPLES).tobytes())
            for _ in range(ENOUGH):
                await client.recv()
            refused = await refusal(server)
            assert refused.response.status_code == 503
            body = json.loads(refused.response.body or b"")
            assert body["type"] == "overloaded"
            assert body["retry_after_s"] == int(refused.response.headers["Retry-After"])
            _, health = await get(server, "/healthz")
            assert 0.1 <= health["partial_delay_s"] < 1
            await client.send(END_AUDIO)
            assert len(await receive_all(client)) == 3
            assert client.close_code == 1000
        await server.leaves_nothing(triton)


async def test_a_server_whose_engine_hangs_refuses_new_streams(
    serve: Serve, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.uplink.DISCARD_TIMEOUT_S", 0.05)
    triton.silent = True
    async with serve(max_final_delay_s=0.05) as server, AsyncExitStack() as clients:
        for _ in range(ENOUGH):
            client = await clients.enter_async_context(server.connect())
            await client.send("{}")
            await client.send(tone(HOP_SAMPLES).tobytes())
        async with asyncio.timeout(5):
            while len(triton.hops) < ENOUGH:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.06)
        refused = await refusal(server)
        assert json.loads(refused.response.body or b"")["type"] == "overloaded"


async def test_a_server_that_stops_says_so(serve: Serve, triton: FakeTriton) -> None:
    triton.delay_s = lambda _: 0.3
    async with serve() as server, server.connect() as client:
        await client.send("{}")
        await client.send(tone(HOP_SAMPLES).tobytes())
        while not triton.hops:
            await asyncio.sleep(0.005)
        stopping = asyncio.create_task(server.gateway.stop())
        refused = await refusal(server)
        assert json.loads(refused.response.body or b"")["type"] == "stopping"
        await stopping


async def test_hops_grow_with_the_number_of_streams(serve: Serve, triton: FakeTriton) -> None:
    async with serve(hop_ms=None, burst_streams=32) as server, AsyncExitStack() as clients:
        talking = await clients.enter_async_context(server.connect())
        await talking.send("{}")
        audio = tone(ms_to_samples(256))
        for round_, others in enumerate((0, 2, 2, 16), start=1):
            for _ in range(others):
                await clients.enter_async_context(server.connect())
            await talking.send(audio.tobytes())
            async with asyncio.timeout(5):
                while sum(hop.samples for hop in triton.hops) < round_ * len(audio):
                    await asyncio.sleep(0.005)
        await talking.send(END_AUDIO)
        await receive_all(talking)
    hops_ms = [1000 * hop.samples // SAMPLE_RATE for hop in triton.hops]
    assert hops_ms == [32] * 8 + [64] * 4 + [128] * 2 + [256] + [0]


async def test_connections_on_which_nobody_speaks_make_no_hop_longer(
    serve: Serve, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.admission.SETTLING_S", 0.05)
    async with serve(hop_ms=None) as server, AsyncExitStack() as clients:
        for _ in range(10):
            await clients.enter_async_context(server.connect())
        await asyncio.sleep(0.1)
        talking = await clients.enter_async_context(server.connect())
        await talking.send("{}")
        await talking.send(tone(HOP_SAMPLES).tobytes())
        await talking.send(END_AUDIO)
        await receive_all(talking)
    assert [hop.samples for hop in triton.hops] == [HOP_SAMPLES, 0]


async def test_a_plain_request_is_told_to_upgrade(server: Server) -> None:
    status, body = await get(server, "/websocket")
    assert status == 426
    assert "websocket" in body["error"]
    assert body["type"] == "upgrade_required"


async def test_a_plain_request_learns_why_an_upgrade_would_be_refused(serve: Serve) -> None:
    async with serve(max_streams=1) as server, server.connect():
        status, body = await get(server, "/websocket")
        assert (status, body["type"]) == (503, "too_many_streams")


@pytest.mark.parametrize("path", ["/v1/websocket", "/v1/realtime", "/v1/twilio"])
async def test_compression_is_offered_and_never_agreed(server: Server, path: str) -> None:
    """A few bytes could unpack to many, and audio hardly shrinks."""
    async with server.connect(path, compression="deflate") as client:
        offered = client.request and client.request.headers["Sec-WebSocket-Extensions"]
        assert "permessage-deflate" in (offered or "")
        assert client.protocol.extensions == []


async def test_the_process_is_alive_without_triton(server: Server, triton: FakeTriton) -> None:
    await triton.stop()
    delays = {"partial_delay_s": None, "final_delay_s": None}
    free = server.settings.burst_streams
    health = {"status": "ok", "streams": 0, "free_streams": free, **delays}
    assert await get(server, "/healthz") == (200, health)


async def test_ready_when_triton_and_the_ensemble_are(server: Server) -> None:
    assert await get(server, "/readyz") == (200, {"ready": True})


async def test_not_ready_says_why(serve: Serve, triton: FakeTriton) -> None:
    triton.loaded = False
    async with serve() as server:
        status, body = await get(server, "/readyz")
        assert status == 503
        assert body == {"ready": False, "reason": "the model streaming_whisper is not loaded"}


async def test_readiness_follows_triton(server: Server, triton: FakeTriton) -> None:
    for is_loaded, wanted in ((False, 503), (True, 200)):
        triton.loaded = is_loaded
        async with asyncio.timeout(5):
            while (await get(server, "/readyz"))[0] != wanted:
                await asyncio.sleep(0.05)


async def test_whoever_asks_for_readiness_has_nobody_else_asked(
    server: Server, triton: FakeTriton
) -> None:
    """Else anybody could keep Triton busy with questions."""
    assert (await get(server, "/readyz"))[0] == 200
    before, began = triton.asked, time.monotonic()
    answers = await asyncio.gather(*(get(server, "/readyz") for _ in range(200)))
    assert {status for status, _ in answers} == {200}
    assert triton.asked - before <= (time.monotonic() - began) / PROBE_INTERVAL_S + 1


async def test_a_triton_that_hangs_keeps_nobody_from_hearing_that_another_is_ready(
    serve: Serve, triton: FakeTriton
) -> None:
    async with FakeTriton() as hanging:
        hanging.hangs_s = 60
        async with serve(triton=f"{hanging.address},{triton.address}") as server:
            async with asyncio.timeout(1):
                assert (await get(server, "/readyz"))[0] == 200
