"""Who is let in over HTTP: keys of a file and their limits, pages of other sites, and bursts."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import (
    END_AUDIO,
    HOP_SAMPLES,
    Server,
    errors,
    finals,
    receive_all,
    send_all,
    speech,
    tone,
)
from tests.gateway.test_server import get, refusal

PATHS = ("/websocket", "/v1/listen?encoding=linear16&sample_rate=16000", "/v1/realtime")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text("door-secret alice max_streams=2\nother-secret\n")
    return file


def bearer(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


def body_of(refused: InvalidStatus) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(refused.response.body or b"")
    return body


async def until_sessions(server: Server, count: int) -> None:
    async with asyncio.timeout(5):
        while len(server.gateway.sessions) != count:
            await asyncio.sleep(0.005)


async def test_a_key_has_no_more_streams_than_its_limit_and_others_have_theirs(
    serve: Serve, keys: Path
) -> None:
    async with serve(api_keys_file=keys) as server, AsyncExitStack() as clients:
        first = await clients.enter_async_context(server.connect(**bearer("door-secret")))
        await clients.enter_async_context(server.connect(**bearer("door-secret")))
        refused = await refusal(server, **bearer("door-secret"))
        assert refused.response.status_code == 503
        assert refused.response.headers["Retry-After"]
        assert body_of(refused)["type"] == "too_many_streams_of_key"
        assert "all 2 streams of this key" in body_of(refused)["error"]
        for _ in range(3):
            await clients.enter_async_context(server.connect(**bearer("other-secret")))
        await first.close()
        await until_sessions(server, 4)
        await clients.enter_async_context(server.connect(**bearer("door-secret")))


def forwarded(*addresses: str) -> dict[str, Any]:
    return {"additional_headers": [("X-Forwarded-For", address) for address in addresses]}


async def test_an_address_has_no_more_streams_than_its_limit(serve: Serve) -> None:
    async with serve(max_streams_per_address=2) as server, AsyncExitStack() as clients:
        first = await clients.enter_async_context(server.connect())
        await clients.enter_async_context(server.connect("/v1/realtime"))
        refused = await refusal(server, **forwarded("203.0.113.7"))  # which nobody has asked for
        assert refused.response.status_code == 503
        assert refused.response.headers["Retry-After"]
        assert body_of(refused)["type"] == "too_many_streams_of_address"
        assert "all 2 streams of this address" in body_of(refused)["error"]
        await first.close()
        await until_sessions(server, 1)
        await clients.enter_async_context(server.connect())


async def test_behind_a_proxy_each_client_has_the_limit_and_cannot_forge_its_address(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway")
    async with (
        serve(max_streams_per_address=1, proxies=1) as server,
        server.connect(**forwarded("203.0.113.7")) as one,
        server.connect(**forwarded("203.0.113.8")),
    ):
        refused = await refusal(server, **forwarded("198.51.100.9", "203.0.113.7"))
        assert body_of(refused)["type"] == "too_many_streams_of_address"
        await one.send("{}")
        await one.send(speech(1).tobytes())
        await one.send(END_AUDIO)
        assert len(finals(await receive_all(one))) == 1
    assert "the session starts: 203.0.113.7 with" in caplog.text
    assert "203.0.113.7 is refused" in caplog.text


async def test_a_key_that_is_gone_opens_nothing_and_its_streams_go_on(
    serve: Serve, keys: Path
) -> None:
    async with (
        serve(api_keys_file=keys) as server,
        server.connect(**bearer("door-secret")) as client,
    ):
        await client.send("{}")
        await asyncio.to_thread(keys.write_text, "other-secret\n")
        server.gateway.door.keys.reload()
        assert (await refusal(server, **bearer("door-secret"))).response.status_code == 401
        await client.send(speech(1).tobytes())
        await client.send(END_AUDIO)
        assert len(finals(await receive_all(client))) == 1


async def test_the_log_names_the_key_and_never_shows_it(
    serve: Serve, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "gateway")
    caplog.set_level("DEBUG", "aiohttp")
    async with serve(api_keys_file=keys) as server:
        async with server.connect(**bearer("door-secret")):
            pass
        await refusal(server, **bearer("a-wrong-secret"))
    assert "with alice" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_of_another_site_is_refused_whatever_it_speaks(
    server: Server, path: str
) -> None:
    refused = await refusal(server, path=path, origin="https://evil.example")
    assert refused.response.status_code == 403
    assert "GATEWAY_ALLOWED_ORIGINS" in (refused.response.body or b"").decode()


@pytest.mark.parametrize("path", PATHS)
async def test_its_own_page_and_programs_are_let_in(server: Server, path: str) -> None:
    for origin in (f"http://{server.address}", None):
        async with server.connect(path, origin=origin):
            pass


async def test_pages_that_the_operator_names_are_let_in(serve: Serve) -> None:
    async with serve(allowed_origins=("https://captions.example",)) as server:
        async with server.connect(origin="https://captions.example"):
            pass
        refused = await refusal(server, origin="https://evil.example")
        assert body_of(refused)["type"] == "forbidden_origin"


async def test_a_key_is_asked_for_before_the_origin(serve: Serve) -> None:
    async with serve(api_keys=("key",)) as server:
        refused = await refusal(server, origin="https://evil.example")
        assert refused.response.status_code == 401


async def test_of_a_burst_as_many_are_let_in_as_the_operator_says(serve: Serve) -> None:
    async with serve(burst_streams=3) as server, AsyncExitStack() as clients:

        async def come() -> str:
            try:
                await clients.enter_async_context(server.connect())
            except InvalidStatus as refused:
                return str(body_of(refused)["type"])
            return "let in"

        came = await asyncio.gather(*(come() for _ in range(10)))
        assert sorted(came) == ["let in"] * 3 + ["overloaded"] * 7
        _, health = await get(server, "/healthz")
        assert (health["streams"], health["free_streams"]) == (3, 0)


async def test_those_that_have_settled_make_room_for_as_many_more(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.admission.SETTLING_S", 0.2)
    async with serve(burst_streams=2) as server, AsyncExitStack() as clients:
        for _ in range(2):
            client = await clients.enter_async_context(server.connect())
            await client.send('{"streaming_params": {"enable_partial_transcripts": true}}')
            for _ in range(10):
                await client.send(tone(HOP_SAMPLES).tobytes())
                await asyncio.sleep(0.03)
        for _ in range(2):
            await clients.enter_async_context(server.connect())
        assert body_of(await refusal(server))["type"] == "overloaded"


async def test_who_was_let_in_and_begins_when_the_server_is_full_is_told_1013(
    serve: Serve, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.admission.SETTLING_S", 0.1)
    async with serve(burst_streams=1) as server, server.connect() as waiting:
        await asyncio.sleep(0.1)
        async with server.connect() as early:
            await early.send("{}")
            await send_all(early, tone(4 * HOP_SAMPLES).tobytes())
            while not triton.hops:
                await asyncio.sleep(0.005)
            await waiting.send("{}")
            frames = await receive_all(waiting)
            assert waiting.close_code == 1013
            assert "try again later" in errors(frames)[0]
            await early.send(END_AUDIO)
            assert len(finals(await receive_all(early))) == 1


async def test_who_was_let_in_and_begins_when_there_is_room_is_served(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.admission.SETTLING_S", 0.05)
    async with serve(burst_streams=1) as server, server.connect() as late:
        await asyncio.sleep(0.1)
        await late.send("{}")
        await late.send(speech(1).tobytes())
        await late.send(END_AUDIO)
        assert len(finals(await receive_all(late))) == 1
