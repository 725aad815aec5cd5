"""Traces of sessions, for whoever collects them by OpenTelemetry: what there is to trace.

Off unless an endpoint is set, and then nothing of OpenTelemetry is imported: `gateway.otel` is the
only module that does. A trace has a span for each session and in it one for each window, from the
hop that yielded it to its answer. Triton's own spans join the session's, because the stream to it
carries the context (W3C's `traceparent`). Which session is meant is never passed along: its span
lies in the context that the session's tasks inherit.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

Metadata = tuple[tuple[str, str], ...]
"""Of a gRPC call: names in lower case, and values."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window that has been answered."""

    hop: int
    """Index of the hop that yielded it: Triton's spans have it as their request's id."""
    is_final: bool
    utterance: int
    """In its sequence."""
    triton: str
    sent_at: float
    """Monotonic time in seconds, as the next."""
    arrived_at: float


class Tracing(Protocol):
    """Where spans go."""

    def session(
        self, session_id: str, protocol: str, headers: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        """The span of a session, around all that it does. `headers`: of its request, which may name
        a span that it is a part of."""

    def metadata(self) -> Metadata:
        """For a stream to Triton: the context that its spans join."""

    def window(self, window: Window) -> None:
        """The span of a window of the present session."""

    def event(self, name: str, **attributes: str | int | float) -> None:
        """Something that has happened in the present session."""

    def close(self) -> None:
        """Send what has not been sent, for two seconds at most."""


class Off:
    """No traces."""

    def session(
        self, session_id: str, protocol: str, headers: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def metadata(self) -> Metadata:
        """None."""
        return ()

    def window(self, window: Window) -> None:
        """Nothing."""

    def event(self, name: str, **attributes: str | int | float) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class TracingUnavailable(Exception):  # noqa: N818
    """Traces were asked for and cannot be made; the text says what to do."""


def tracing_to(endpoint: str) -> Tracing:
    """Traces to a collector; an empty endpoint means none.

    Args:
        endpoint: of OTLP over HTTP, such as `http://collector:4318/v1/traces`.

    Raises:
        TracingUnavailable: OpenTelemetry is not installed.
    """
    if not endpoint:
        return Off()
    try:
        from gateway.otel import OpenTelemetry
    except ImportError as error:
        raise TracingUnavailable(
            f"GATEWAY_OTLP_ENDPOINT needs OpenTelemetry ({error}); "
            "pip install 'streaming-whisper[tracing]'"
        ) from None
    return OpenTelemetry(endpoint)
