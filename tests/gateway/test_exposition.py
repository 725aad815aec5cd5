"""The metrics' own address: what it says, to whom, and what the process does about it."""

import asyncio
import re
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from gateway.exposition import PATH, create_metrics_app
from gateway.metrics import Metrics
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import Server
from tests.gateway.test_main import start, stderr_of

KEY = "a-key-of-nobodys"


async def test_prometheus_reads_its_own_format() -> None:
    metrics = Metrics()
    metrics.refused("overloaded")
    async with TestClient(TestServer(create_metrics_app(metrics.registry))) as client:
        response = await client.get(PATH)
        assert response.content_type == "text/plain"
        families = {
            family.name: family for family in text_string_to_metric_families(await response.text())
        }
    samples = families["whisper_refusals"].samples
    assert {s.labels["reason"]: s.value for s in samples}["overloaded"] == 1
    assert {"whisper_streams", "whisper_final_delay_seconds", "process_cpu_seconds"} <= set(
        families
    )


async def test_who_asks_for_open_metrics_gets_them_and_compressed() -> None:
    async with TestClient(TestServer(create_metrics_app(Metrics().registry))) as client:
        headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
        response = await client.get(PATH, headers=headers)
        assert response.content_type == "application/openmetrics-text"
        assert response.headers["Content-Encoding"] in ("gzip", "deflate")
        assert (await response.text()).endswith("# EOF\n")


async def test_clients_port_tells_nothing_of_it(server: Server) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{server.address}{PATH}") as response,
    ):
        assert response.status == 404
        assert "whisper_" not in await response.text()


@asynccontextmanager
async def process(**settings: object) -> AsyncIterator[tuple[Process, str]]:
    """A gateway with metrics, and their URL."""
    async with FakeTriton() as triton:
        running = await start(
            GATEWAY_PORT=0, GATEWAY_METRICS_PORT=0, GATEWAY_TRITON=triton.address, **settings
        )
        assert running.stderr is not None
        line = ""
        while not (found := re.search(r"metrics on (http://\S+?)\"?[,}\n]", line)):
            line = (await running.stderr.readline()).decode()
            assert line
        yield running, found[1]
        running.terminate()
        await stderr_of(running)
        assert running.returncode == 0


async def test_the_process_serves_them_without_a_key_and_shows_none() -> None:
    async with process(GATEWAY_API_KEYS=KEY) as (_, url), aiohttp.ClientSession() as http:
        async with http.get(url) as response:
            text = await response.text()
            assert response.status == 200
        assert "whisper_max_streams 64.0" in text
        assert "process_resident_memory_bytes" in text
        assert KEY not in text
        async with http.get(url.removesuffix(PATH) + "/websocket") as response:
            assert response.status == 404


async def test_a_port_that_is_taken_is_one_line_and_exit_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = await start(GATEWAY_PORT=0, GATEWAY_METRICS_PORT=port)
        text = await stderr_of(running)
    assert text.startswith(f"cannot listen on 127.0.0.1:{port} for metrics: ")
    assert text.count("\n") == 1
    assert running.returncode == 1


async def test_a_process_logs_json_if_asked() -> None:
    async with process(GATEWAY_LOG_FORMAT="json") as (running, _):
        assert running.stderr is not None
        line = (await asyncio.wait_for(running.stderr.readline(), 5)).decode()
    assert line.startswith('{"time": "')
    assert '"logger": "gateway.running", "message": "listening on 127.0.0.1:' in line
