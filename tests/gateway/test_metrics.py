"""What the metrics say of whole sessions."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from timeit import timeit
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from gateway.dialects.entrances import entrances
from gateway.dialects.twilio.calls import Calls
from gateway.metrics import DELAY_BUCKETS_S, PROTOCOLS, Metrics
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import HOP_SAMPLES, Server, finals, speech, transcribe

UTTERANCES = 3
AUDIO = speech(*range(UTTERANCES)).tobytes()
PARTIALS: dict[str, Any] = {"streaming_params": {"enable_partial_transcripts": True}}
HOP_COST_S = 0.002
"""The least that a hop costs the server's CPUs, by docs/architecture.md."""


@dataclass(frozen=True)
class Reading:
    """The metrics at one moment."""

    registry: CollectorRegistry

    def __call__(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(f"whisper_{name}", labels)
        assert value is not None, (name, labels)
        return value


def reading(server: Server) -> Reading:
    return Reading(server.gateway.telemetry.metrics.registry)


async def test_a_session_is_counted_from_its_beginning_to_its_end(server: Server) -> None:
    read = reading(server)
    assert read("sessions_total", protocol="websocket") == 0
    async with server.connect() as client:
        await client.send("{}")
        await client.send('{"type": "health_check"}')
        await client.recv()
        assert read("sessions_total", protocol="websocket") == 1
        assert read("streams", protocol="websocket") == 1
        assert read("streams", protocol="deepgram") == 0
    await server.leaves_nothing(FakeTriton())
    assert read("streams", protocol="websocket") == 0
    assert read("session_ends_total", code="1000") == 1


async def test_audio_hops_and_transcripts_are_counted(server: Server) -> None:
    read = reading(server)
    frames = await transcribe(server, AUDIO, PARTIALS)
    told = len(finals(frames))
    assert told == UTTERANCES
    assert read("audio_seconds_total") == pytest.approx(len(AUDIO) / 2 / 16_000)
    assert read("hops_total") >= len(AUDIO) / 2 / HOP_SAMPLES + 1  # and END
    assert read("transcripts_total", kind="final") == told
    partials = [frame for frame in frames if frame.get("is_final") is False]
    assert read("transcripts_total", kind="partial") == len(partials) > 0
    assert read("hallucination_flags_total") == 0
    assert read("hop_errors_total") == 0
    assert read("audio_in_flight_seconds") == 0


async def test_delays_run_from_the_hop_to_its_answer(serve: Serve, triton: FakeTriton) -> None:
    triton.delay_s = lambda hop: 0.15 if hop.index == 3 else 0
    async with serve() as server:
        await transcribe(server, speech(1).tobytes())
        read = reading(server)
        assert read("final_delay_seconds_count") == 1
        assert 0.15 < read("final_delay_seconds_sum") < 1
        assert read("final_delay_seconds_bucket", le="0.15") == 0
        assert read("partial_delay_seconds_count") == 0


async def test_finals_that_may_be_made_up_are_counted() -> None:
    metrics = Metrics()
    segments = [{"possible_hallucination": False}, {"possible_hallucination": True}]
    for is_final in (True, False):
        metrics.told({"type": "transcription", "is_final": is_final, "segments": segments})
    metrics.told({"type": "transcription", "is_final": True, "segments": segments[:1]})
    metrics.told({"type": "error", "message": "a part of the audio is lost"})
    read = Reading(metrics.registry)
    assert read("hallucination_flags_total") == 1
    assert read("transcripts_total", kind="final") == 2
    assert read("transcripts_total", kind="partial") == 1


async def test_refusals_are_counted_by_their_reason(serve: Serve) -> None:
    async with serve(max_streams=1, api_keys=("good",)) as server, aiohttp.ClientSession() as http:
        read = reading(server)

        async def status(path: str, key: str, method: str = "GET") -> int:
            headers = {"Authorization": f"Bearer {key}"}
            url = f"http://{server.address}{path}"
            async with http.request(method, url, headers=headers) as response:
                return response.status

        assert await status("/websocket", "bad") == HTTPStatus.UNAUTHORIZED
        assert await status("/websocket", "good") == HTTPStatus.UPGRADE_REQUIRED
        assert await status("/v1/listen?model=nova&encoding=mp3", "good") == HTTPStatus.BAD_REQUEST
        async with server.connect(additional_headers={"Authorization": "Bearer good"}):
            assert await status("/websocket", "good") == HTTPStatus.SERVICE_UNAVAILABLE
            path = "/v1/audio/transcriptions"
            assert await status(path, "good", "POST") == HTTPStatus.SERVICE_UNAVAILABLE
        assert await status("/nowhere", "good") == HTTPStatus.NOT_FOUND
        refused = {
            sample.labels["reason"]: sample.value
            for family in read.registry.collect()
            for sample in family.samples
            if sample.name == "whisper_refusals_total" and sample.value
        }
    assert refused == {
        "unauthorized": 1,
        "upgrade_required": 1,
        "bad_request": 1,
        "too_many_streams": 2,
    }


async def test_a_lost_triton_and_what_is_sent_again_are_counted(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.breaks_at = [5]
    async with FakeTriton() as other, serve(triton=f"{triton.address},{other.address}") as server:
        await transcribe(server, AUDIO)
        read = reading(server)
        assert read("triton_losses_total") == 1
        assert read("replays_total") == 1
        assert 0 < read("replayed_audio_seconds_total") <= len(AUDIO) / 2 / 16_000
        assert read("audio_seconds_total") == pytest.approx(len(AUDIO) / 2 / 16_000)
        assert read("recovery_seconds_count") == 1


async def test_failed_hops_are_counted(serve: Serve, triton: FakeTriton) -> None:
    triton.error = lambda hop: "out of memory" if hop.index == 2 else None
    async with serve(recovery_timeout_s=2) as server:
        await transcribe(server, AUDIO)
        assert reading(server)("hop_errors_total") >= 1


async def test_each_triton_is_told_with_its_streams(serve: Serve, triton: FakeTriton) -> None:
    async with FakeTriton(ready=False) as other:
        addresses = (triton.address, other.address)
        async with serve(triton=",".join(addresses)) as server:
            read = reading(server)
            async with asyncio.timeout(5):
                while read("triton_up", triton=other.address):
                    await asyncio.sleep(0.01)
            async with server.connect() as client:
                await client.send("{}")
                await client.send('{"type": "health_check"}')
                await client.recv()
                assert read("triton_up", triton=triton.address) == 1
                assert [read("triton_streams", triton=address) for address in addresses] == [1, 0]


async def test_what_is_not_known_is_left_out(server: Server) -> None:
    registry = server.gateway.telemetry.metrics.registry
    assert registry.get_sample_value("whisper_final_delay_recent_seconds") is None
    await transcribe(server, AUDIO)
    assert registry.get_sample_value("whisper_final_delay_recent_seconds") is not None


async def test_the_room_that_is_left_is_told(serve: Serve) -> None:
    async with serve(max_streams=3, burst_streams=2) as server:
        read = reading(server)
        assert read("max_streams") == 3
        assert read("free_streams") == server.gateway.door.free_streams() > 0
        assert read("draining") == 0
        await server.gateway.stop()
        assert (read("draining"), read("free_streams")) == (1, 0)


def test_every_series_there_can_be_is_there_from_the_start() -> None:
    samples = {
        (sample.name, *sample.labels.values())
        for family in Metrics().registry.collect()
        for sample in family.samples
    }
    assert {("whisper_streams", protocol) for protocol in PROTOCOLS} <= samples
    assert ("whisper_refusals_total", "overloaded") in samples
    assert ("whisper_session_ends_total", "1011") in samples
    assert not [name for name, *_ in samples if name.endswith("_created")]


def test_every_protocol_is_known_beforehand() -> None:
    names = [entrance.name for entrance in entrances(Calls())]
    assert {"websocket", "file", *names} == set(PROTOCOLS)


def test_limits_of_admission_are_bounds_of_the_histograms() -> None:
    assert {1, 2} <= set(DELAY_BUCKETS_S)
    assert (DELAY_BUCKETS_S[0], DELAY_BUCKETS_S[-1]) == (0.01, 10)


def test_measuring_costs_next_to_nothing() -> None:
    """About 3 us for a hop that has a final, which takes the server 2 ms; with room for a machine
    that has other things to do."""
    metrics = Metrics()
    frame = {"type": "transcription", "is_final": True, "segments": []}

    def a_hop_with_a_final() -> None:
        metrics.audio(0.128)
        metrics.hop_sent()
        metrics.answered(is_final=True, delay_s=0.2)
        metrics.told(frame)

    runs = 2000
    best_s = min(timeit(a_hop_with_a_final, number=runs) for _ in range(5)) / runs
    assert best_s < HOP_COST_S / 50
