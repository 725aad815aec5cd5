"""A collector of OpenTelemetry's traces: takes them by OTLP over HTTP, as protobuf and as JSON.

Gateways send the former and Triton the latter, in which ids are hexadecimal (unlike protobuf's own
JSON, which would have base64).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Span:
    """What was told of a span; ids are hexadecimal."""

    name: str
    trace: str
    id: str
    parent: str
    start_s: float
    end_s: float
    attributes: dict[str, Any]
    events: tuple[str, ...]
    resource: dict[str, Any]


@dataclass
class Collector:
    """Keeps what it is sent."""

    endpoint: str = ""
    spans: list[Span] = field(default_factory=list)

    def named(self, name: str) -> list[Span]:
        """The spans of this name, in the order of their beginning."""
        found = [span for span in self.spans if span.name == name]
        return sorted(found, key=lambda span: span.start_s)

    def take(self, body: bytes, content_type: str) -> None:
        """One request."""
        if content_type == "application/json":
            self.spans += _of_json(json.loads(body))
        else:
            self.spans += _of_request(ExportTraceServiceRequest.FromString(body))


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    taken = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.take(body, self.headers["Content-Type"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        taken.endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()


def _of_json(document: dict[str, Any]) -> Iterator[Span]:
    for of_resource in document["resourceSpans"]:
        for of_scope in of_resource["scopeSpans"]:
            for span in of_scope["spans"]:
                trace, span_id, parent = (
                    span.pop(key, "") for key in ("traceId", "spanId", "parentSpanId")
                )
                message = json_format.ParseDict(span, trace_pb2.Span(), ignore_unknown_fields=True)
                yield _span(message, trace, span_id, parent, of_resource.get("resource", {}))


def _of_request(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for of_resource in request.resource_spans:
        resource = _values(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                yield _span(span, *ids, resource)


def _span(
    span: trace_pb2.Span, trace: str, span_id: str, parent: str, resource: dict[str, Any]
) -> Span:
    return Span(
        span.name,
        trace,
        span_id,
        parent,
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        _values(span.attributes),
        tuple(event.name for event in span.events),
        resource,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {
        attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value"))
        for attribute in attributes
    }
