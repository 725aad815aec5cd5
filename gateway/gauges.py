"""What Prometheus is told of the present state: nothing here is counted, all is read when asked.

It knows nobody's insides: a `State` is made of numbers, by whoever has them. A value that is not
known (nobody has spoken for ten seconds, so there is no delay) is left out, not made up.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class TritonState:
    """One Triton, as the gateway sees it."""

    address: str
    is_well: bool
    """Whether new streams go there."""
    streams: int
    """Streams of this gateway that are open there."""


@dataclass(frozen=True, slots=True)
class State:
    """One gateway at one moment."""

    max_streams: int
    free_streams: int | None
    """How many more would be served well, by the gateway's estimate."""
    is_draining: bool
    is_overloaded: bool
    partial_delay_s: float | None
    """The median of the last seconds; see `gateway.admission`."""
    final_delay_s: float | None
    """The 90th percentile."""
    audio_in_flight_s: float
    """Audio that Triton has not answered for, of all sessions."""
    tritons: tuple[TritonState, ...]


class Gauges(Collector):
    """Asks for the state whenever the metrics are read."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: the registry would ask for the state to learn the names."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        state = self._state()
        for name, says, value in _values(state):
            if value is not None:
                yield GaugeMetricFamily(f"whisper_{name}", says, value=value)
        yield _by_triton(
            "triton_up", "Whether new streams go there.", state, lambda triton: triton.is_well
        )
        yield _by_triton(
            "triton_streams", "Streams open there.", state, lambda triton: triton.streams
        )


def _values(state: State) -> Iterator[tuple[str, str, float | None]]:
    yield "max_streams", "Sessions that may have a place.", state.max_streams
    yield "free_streams", "How many more would be served well, estimated.", state.free_streams
    yield "draining", "Whether no new session is let in since the server stops.", state.is_draining
    yield "overloaded", "Whether none is let in since words come late.", state.is_overloaded
    yield "partial_delay_recent_seconds", "Median of the last 10 s.", state.partial_delay_s
    yield "final_delay_recent_seconds", "90th percentile of the last 10 s.", state.final_delay_s
    yield "audio_in_flight_seconds", "Audio Triton owes answers for.", state.audio_in_flight_s


def _by_triton(
    name: str, says: str, state: State, value: Callable[[TritonState], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"whisper_{name}", says, labels=["triton"])
    for triton in state.tritons:
        family.add_metric([triton.address], value(triton))
    return family
