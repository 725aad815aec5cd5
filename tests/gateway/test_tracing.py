"""Traces, as a collector receives them."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from gateway.otel import SERVICE, OpenTelemetry
from gateway.tracing import Off, TracingUnavailable, Window, tracing_to
from tests.otlp import Collector, collector

TRACE, PARENT = "ab" * 16, "cd" * 8
TRACEPARENT = {"Traceparent": f"00-{TRACE}-{PARENT}-01"}
UNSAMPLED = {"Traceparent": f"00-{TRACE}-{PARENT}-00"}


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as taking:
        yield taking


def window(hop: int = 7, took_s: float = 0.25) -> Window:
    now = time.monotonic()
    return Window(hop, True, 2, "triton:8001", now - took_s, now)


def test_a_window_is_a_span_in_its_sessions(collected: Collector) -> None:
    tracing = tracing_to(collected.endpoint)
    with tracing.session("1f2e3d4c", "websocket", {}):
        tracing.window(window())
        tracing.event("triton lost", why="it has ended")
    tracing.close()
    (session,), (of_window,) = collected.named("session"), collected.named("window")
    assert session.attributes == {"session.id": "1f2e3d4c", "whisper.protocol": "websocket"}
    assert session.events == ("triton lost",)
    assert session.resource["service.name"] == SERVICE
    assert (session.parent, of_window.parent) == ("", session.id)
    assert of_window.trace == session.trace
    assert of_window.end_s - of_window.start_s == pytest.approx(0.25, abs=1e-4)
    assert abs(of_window.end_s - time.time()) < 5
    assert of_window.attributes == {
        "whisper.hop": 7,
        "whisper.is_final": True,
        "whisper.utterance": 2,
        "server.address": "triton:8001",
    }


def test_a_session_is_a_part_of_the_trace_that_its_client_names(collected: Collector) -> None:
    tracing = tracing_to(collected.endpoint)
    with tracing.session("1f2e3d4c", "websocket", TRACEPARENT):
        ((name, context),) = tracing.metadata()
    tracing.close()
    (session,) = collected.spans
    assert (session.trace, session.parent) == (TRACE, PARENT)
    assert (name, context) == ("traceparent", f"00-{TRACE}-{session.id}-01")


def test_triton_is_told_of_no_trace_where_none_is_kept(collected: Collector) -> None:
    tracing = tracing_to(collected.endpoint)
    with tracing.session("1f2e3d4c", "websocket", UNSAMPLED):
        assert tracing.metadata() == ()
    assert tracing.metadata() == ()
    tracing.close()
    assert collected.spans == []


async def test_tasks_of_sessions_at_the_same_time_keep_to_their_own(collected: Collector) -> None:
    tracing = tracing_to(collected.endpoint)

    async def answer(hop: int) -> None:
        await asyncio.sleep(0)
        tracing.window(window(hop))

    async def serve(session_id: str, hop: int) -> None:
        with tracing.session(session_id, "websocket", {}):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(answer(hop))

    await asyncio.gather(serve("one", 1), serve("two", 2))
    tracing.close()
    session_of = {span.id: span.attributes["session.id"] for span in collected.named("session")}
    hop_of = {session_of[s.parent]: s.attributes["whisper.hop"] for s in collected.named("window")}
    assert hop_of == {"one": 1, "two": 2}


def test_operators_name_the_service_and_the_sampler_by_opentelemetrys_own_variables(
    collected: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "captions")
    tracing = OpenTelemetry(collected.endpoint)
    with tracing.session("1f2e3d4c", "file", {}):
        pass
    tracing.close()
    assert [span.resource["service.name"] for span in collected.spans] == ["captions"]
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    unsampled = OpenTelemetry(collected.endpoint)
    with unsampled.session("1f2e3d4c", "file", TRACEPARENT):
        assert unsampled.metadata() == ()
    unsampled.close()
    assert len(collected.spans) == 1


def test_a_collector_that_is_away_delays_the_end_by_two_seconds_at_most() -> None:
    tracing = tracing_to("http://127.0.0.1:9/v1/traces")
    with tracing.session("1f2e3d4c", "websocket", {}):
        pass
    begin = time.monotonic()
    tracing.close()
    assert time.monotonic() - begin < 3


def test_without_an_endpoint_there_are_no_traces() -> None:
    tracing = tracing_to("")
    assert isinstance(tracing, Off)
    with tracing.session("1f2e3d4c", "websocket", TRACEPARENT):
        tracing.window(window())
        assert tracing.metadata() == ()
    tracing.close()


def test_a_gateway_without_traces_imports_nothing_of_opentelemetry() -> None:
    code = "import sys, gateway.server; print([m for m in sys.modules if 'opentelemetry' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_where_opentelemetry_is_missing_it_is_said_how_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "gateway.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(TracingUnavailable) as raised:
        tracing_to("http://collector:4318/v1/traces")
    assert "pip install 'streaming-whisper[tracing]'" in str(raised.value)
    assert "\n" not in str(raised.value)
