"""Routes, health, and who may upgrade."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import END_AUDIO, Server, receive_all


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


@pytest.mark.parametrize("path", ["/", "/ws", "/environments//websocket", "/" + "x" * 2000])
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
        assert "Authorization: Api-Key KEY" in json.loads(refused.response.body or b"")["error"]


async def test_one_stream_too_many_is_refused_and_the_others_go_on(serve: Serve) -> None:
    async with serve(max_streams=1) as server:
        async with server.connect() as client:
            refused = await refusal(server)
            assert refused.response.status_code == 503
            assert int(refused.response.headers["Retry-After"]) > 0
            assert "all 1 streams" in json.loads(refused.response.body or b"")["error"]
            await client.send("{}")
            await client.send(END_AUDIO)
            assert len(await receive_all(client)) == 2
        async with asyncio.timeout(5):
            while server.gateway.sessions:
                await asyncio.sleep(0.005)
        async with server.connect():
            pass


async def test_a_plain_request_is_told_to_upgrade(server: Server) -> None:
    status, body = await get(server, "/websocket")
    assert status == 426
    assert "websocket" in body["error"]


async def test_the_process_is_alive_without_triton(server: Server, triton: FakeTriton) -> None:
    await triton.stop()
    assert await get(server, "/healthz") == (200, {"status": "ok", "streams": 0})


async def test_ready_when_triton_and_the_ensemble_are(server: Server) -> None:
    assert await get(server, "/readyz") == (200, {"ready": True})


async def test_not_ready_says_why(server: Server, triton: FakeTriton) -> None:
    triton.loaded = False
    status, body = await get(server, "/readyz")
    assert status == 503
    assert body == {"ready": False, "reason": "the model streaming_whisper is not loaded"}
