"""Traces by OpenTelemetry's SDK: the only module that imports it. `gateway.tracing` says what.

How many are kept, what the service is called and further headers for the collector are
OpenTelemetry's own variables (`OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, ...), which its SDK
reads. Spans are sent by a thread of its own, in batches; those of a collector that cannot be
reached are dropped.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.tracing import Metadata, Window

SERVICE = "streaming-whisper-gateway"
FLUSH_TIMEOUT_S = 2.0
EXPORT_TIMEOUT_S = 5.0
"""For one batch, with all attempts: a collector that hangs delays nobody but its own thread."""


class OpenTelemetry:
    """Sends spans to a collector."""

    def __init__(self, endpoint: str) -> None:
        named = Resource({SERVICE_NAME: SERVICE}).merge(OTELResourceDetector().detect())
        # Not at the interpreter's exit, where a collector that is away would hold it up.
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("gateway")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def session(self, session_id: str, protocol: str, headers: Mapping[str, str]) -> Iterator[None]:
        """See `Tracing`."""
        parent = self._propagator.extract({name.lower(): text for name, text in headers.items()})
        attributes = {"session.id": session_id, "whisper.protocol": protocol}
        with self._tracer.start_as_current_span(
            "session", parent, SpanKind.SERVER, attributes, record_exception=False
        ):
            yield

    def metadata(self) -> Metadata:
        """See `Tracing`. Nothing for a session that is not sampled: Triton traces every hop of a
        stream that has a context, whatever it says of sampling."""
        if not trace.get_current_span().get_span_context().trace_flags.sampled:
            return ()
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return tuple(carrier.items())

    def window(self, window: Window) -> None:
        """See `Tracing`."""
        to_unix_s = time.time() - time.monotonic()
        span = self._tracer.start_span(
            "window",
            kind=SpanKind.CLIENT,
            start_time=_nanoseconds(window.sent_at + to_unix_s),
            attributes={
                "whisper.hop": window.hop,
                "whisper.is_final": window.is_final,
                "whisper.utterance": window.utterance,
                "server.address": window.triton,
            },
        )
        span.end(_nanoseconds(window.arrived_at + to_unix_s))

    def event(self, name: str, **attributes: str | int | float) -> None:
        """See `Tracing`."""
        trace.get_current_span().add_event(name, attributes)

    def close(self) -> None:
        """See `Tracing`."""
        # It takes a limit and does not keep to it: it goes on until the exporter has given up.
        flush = Thread(target=self._provider.force_flush, name="traces-flush", daemon=True)
        flush.start()
        flush.join(FLUSH_TIMEOUT_S)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
