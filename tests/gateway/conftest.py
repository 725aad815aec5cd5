"""A gateway on a free port in front of a fake Triton, and a check that sessions leave nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import uvloop
from aiohttp import web

from gateway.running import make_runner
from gateway.server import GATEWAY, create_app
from gateway.settings import Settings
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import HOP_MS, Server

Serve = Callable[..., AbstractAsyncContextManager[Server]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def triton() -> AsyncIterator[FakeTriton]:
    async with FakeTriton() as fake:
        yield fake


@pytest.fixture
def serve(triton: FakeTriton) -> Serve:
    """A gateway with settings of the test's own."""

    @asynccontextmanager
    async def _serve(**settings: Any) -> AsyncIterator[Server]:
        defaults: dict[str, Any] = {"port": 0, "triton": triton.address, "hop_ms": HOP_MS}
        chosen = Settings(**(defaults | settings))
        app = create_app(chosen)
        runner = make_runner(app)
        await runner.setup()
        await web.TCPSite(runner, chosen.host, chosen.port).start()
        try:
            yield Server(chosen, app[GATEWAY], runner)
        finally:
            await app[GATEWAY].stop()
            await runner.cleanup()

    return _serve


@pytest.fixture
async def server(serve: Serve, triton: FakeTriton) -> AsyncIterator[Server]:
    """A gateway with the usual settings; after the test nothing of a session may be left."""
    async with serve() as running:
        yield running
        await running.leaves_nothing(triton)
