"""Every query of the dashboard and every alert, asked of a real Prometheus that has read a real
gateway and Triton while somebody spoke.
"""

import asyncio
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from scripts.server import Server
from tests.build.promql import INTERVAL
from tests.build.test_monitoring import ALERTS, MONITORING, QUERIES
from tests.end_to_end.prometheus import Prometheus, program, prometheus
from tests.end_to_end.recordings import JFK, audio
from tests.end_to_end.sessions import END_AUDIO
from tests.serving import SETTINGS

PACKET_S = 0.1
READINGS_S = 3
"""Behind the last word: enough for the last counts to be read."""
ONLY_WITH_A_GPU = {query for query in QUERIES.values() if "nv_gpu_" in query}


@pytest.fixture(scope="module")
def gateway(server: Server) -> Iterator[tuple[str, str]]:
    """A gateway with metrics, in front of the server's Triton: its address and theirs."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(SETTINGS)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway"],
        env={
            **inherited,
            "GATEWAY_PORT": "0",
            "GATEWAY_METRICS_PORT": "0",
            "GATEWAY_TRITON": server.settings.gateway.triton,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    found: dict[str, str] = {}
    while len(found) < 2:
        line = process.stderr.readline()
        assert line, "the gateway has ended"
        for said in re.finditer(r"(listening|metrics) on (?:http://)?([\d.]+:\d+)", line):
            found[said[1]] = said[2]
    try:
        yield found["listening"], found["metrics"]
    finally:
        process.terminate()
        process.communicate()


async def speak(address: str) -> None:
    """A session in real time, with partials."""
    async with connect(f"ws://{address}/v1/websocket") as client:
        await client.send('{"streaming_params": {"enable_partial_transcripts": true}}')
        step = int(PACKET_S * SAMPLE_RATE) * SAMPLE_BYTES
        said = audio(JFK)
        for start in range(0, len(said), step):
            await client.send(said[start : start + step])
            await asyncio.sleep(PACKET_S)
        await client.send(END_AUDIO)
        async for _ in client:
            pass


@pytest.fixture(scope="module")
def watching(
    server: Server, gateway: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus, once somebody has spoken."""
    address, metrics = gateway
    targets = {"gateway": metrics, "triton": f"127.0.0.1:{server.settings.metrics_port}"}
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets, interval_s=1) as running:

        async def both() -> None:
            await asyncio.gather(speak(address), speak(address))
            await asyncio.sleep(READINGS_S)

        asyncio.run(both())
        yield running


def test_gateway_and_triton_are_read(watching: Prometheus) -> None:
    assert watching.targets() == {"gateway": "up", "triton": "up"}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_panel_has_data(query: str, watching: Prometheus) -> None:
    found = watching.query(query.replace(INTERVAL, "1m"))
    values = [float(series["value"][1]) for series in found]
    assert bool(values) is (query not in ONLY_WITH_A_GPU)
    assert not [value for value in values if math.isnan(value)]


def test_what_the_panels_show_is_what_was_said(watching: Prometheus) -> None:
    def one(query: str) -> float:
        (series,) = watching.query(query)
        return float(series["value"][1])

    heard_s = 2 * len(audio(JFK)) / SAMPLE_BYTES / SAMPLE_RATE
    assert one("sum(whisper_audio_seconds_total)") == pytest.approx(heard_s)
    assert one('whisper_sessions_total{protocol="websocket"}') == 2
    assert one('whisper_session_ends_total{code="1000"}') == 2
    assert one('whisper_transcripts_total{kind="final"}') == one(
        "whisper_final_delay_seconds_count"
    )
    hops = one("whisper_hops_total")
    assert one('nv_inference_request_success{model="streaming_whisper"}') >= hops
    assert 0 < one(QUERIES["Finals, 90th percentile A"].replace(INTERVAL, "1m")) < 10


def test_every_alert_is_watched_for_and_none_is_raised(watching: Prometheus) -> None:
    alerts = watching.alerts()
    assert set(alerts) == {alert["alert"] for alert in ALERTS}
    assert {name for name, rule in alerts.items() if rule["health"] != "ok"} == set()
    assert {name for name, rule in alerts.items() if rule["state"] == "firing"} == set()


@pytest.mark.parametrize("arguments", [("config", "prometheus.yml"), ("rules", "alerts.yml")])
def test_promtool_finds_nothing(arguments: tuple[str, str]) -> None:
    kind, name = arguments
    command = [program("promtool"), "check", kind, str(MONITORING / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_are_raised_when_they_should_be() -> None:
    command = [program("promtool"), "test", "rules", str(Path(__file__).with_name("alerts.yml"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
