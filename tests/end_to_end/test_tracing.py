"""One trace from the client's request through the gateway into every stage of a real Triton."""

import asyncio
from collections.abc import Iterator

import pytest

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from scripts.server import Server, Settings
from tests.end_to_end.recordings import JFK, audio
from tests.end_to_end.sessions import END_AUDIO, talk_at
from tests.otlp import Collector, Span, collector
from tests.serving import serving_environment

TRACE, PARENT = "ab" * 16, "cd" * 8
UNTRACED = "ef" * 16
STAGES = ("silero_vad", "log_mel", "whisper", "transcript")
AUDIO_S = 4
LIMIT_S = 20
"""Triton sends its spans every five seconds."""


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """What is told of two sessions, of which one is to be traced, once it is all there."""
    with collector() as taking:
        environment = serving_environment(
            {"GATEWAY_OTLP_ENDPOINT": taking.endpoint, "TRITON_OTLP_ENDPOINT": taking.endpoint}
        )
        settings = Settings.from_environment(environment)
        logs = tmp_path_factory.mktemp("logs")
        with Server(settings, environment=environment, logs=logs) as server:
            asyncio.run(_speak(server, f"00-{UNTRACED}-{PARENT}-00"))
            asyncio.run(_speak(server, f"00-{TRACE}-{PARENT}-01"))
            asyncio.run(_until_all_is_told(taking))
        yield taking


async def _speak(server: Server, traceparent: str) -> None:
    """In real time: hops of one stream that overlap are what Triton's traces may not survive."""
    headers = {"traceparent": traceparent}
    async with talk_at(server.settings.url, "{}", additional_headers=headers) as talk:
        await talk.send_audio(audio(JFK)[: AUDIO_S * SAMPLE_RATE * SAMPLE_BYTES], speed=1)
        await talk.send(END_AUDIO)
        await talk.receive_all()


async def _until_all_is_told(taking: Collector) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not (taking.named("session") and taking.named("transcript")):
            await asyncio.sleep(0.1)


def by_id(collected: Collector) -> dict[str, Span]:
    return {span.id: span for span in collected.spans}


def test_one_trace_holds_the_session_and_all_that_triton_did_for_it(collected: Collector) -> None:
    assert {span.trace for span in collected.spans} == {TRACE}
    (session,) = collected.named("session")
    assert session.parent == PARENT
    assert {span.parent for span in collected.named("window")} == {session.id}
    requests = collected.named("InferRequest")
    assert {span.parent for span in requests} == {session.id}


def test_each_window_went_through_every_stage(collected: Collector) -> None:
    spans = by_id(collected)
    windows = {str(window.attributes["whisper.hop"]) for window in collected.named("window")}
    assert windows
    for stage in STAGES:
        of_stage = collected.named(stage)
        hops = {span.attributes["triton.request_id"] for span in of_stage}
        assert windows <= hops, stage
        assert {spans[span.parent].name for span in of_stage} == {"streaming_whisper"}


def test_a_window_takes_as_long_as_tritons_part_of_it_at_least(collected: Collector) -> None:
    for window in collected.named("window"):
        hop = str(window.attributes["whisper.hop"])
        for span in collected.spans:
            if span.attributes.get("triton.request_id") == hop:
                assert window.start_s - 0.05 <= span.start_s
                assert span.end_s <= window.end_s + 0.05


def test_nothing_that_was_said_is_in_a_trace(collected: Collector) -> None:
    told = str(collected.spans).lower()
    assert not [word for word in ("americans", "country", "fellow") if word in told]
