"""What the gateway counts as it happens, for Prometheus.

It knows no session, socket or Triton: others tell it what has happened. `gateway.gauges` reads what
need not be counted, `gateway.exposition` serves both. Rules:

1. No label says who a client is, what was said, or which key was shown: labels are protocols,
   close codes and reasons, a few dozen values in all, and known beforehand.
2. Whatever is told once for each hop costs no look-up of a label and allocates nothing that stays.
3. Delays are those that admission goes by (`gateway.admission`): from the hop to its answer, of
   streams that keep to real time.
"""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from gateway.closing import CloseCode
from gateway.messages import Frame
from gateway.refusal import RefusalType
from pipeline.audio import samples_to_s

DELAY_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10)
"""From a final that was ready before its utterance's end to an engine that is as good as hanging;
dense where words are late enough to be noticed, and with both limits of admission's default, 2 s,
and of docker compose's latency mode, 1 s, as bounds."""
RECOVERY_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 60)
"""From another Triton that is there already to the longest wait for a restart."""
PROTOCOLS = ("websocket", "deepgram", "realtime", "twilio", "file")
"""Ways in."""
BAD_REQUEST = "bad_request"
"""Why a client of another protocol is refused who asks for what cannot be served."""
_REASONS = (BAD_REQUEST, *(kind.wire_name for kind in RefusalType if kind.status != 404))
"""Nobody who asks for a path that does not exist has asked for a session."""


class Owing(Protocol):
    """A session's hops that Triton has not answered."""

    @property
    def samples(self) -> int:
        """Their audio."""


class Metrics:
    """The counts of one gateway, in a registry of its own."""

    def __init__(self, protocols: Iterable[str] = PROTOCOLS) -> None:
        # Else every series has a second one, with its time of birth.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._streams = self._gauge("streams", "Sessions that have a place.", "protocol")
        self._sessions = self._counter("sessions", "Sessions that were let in.", "protocol")
        self._ends = self._counter("session_ends", "Sessions that ended, by close code.", "code")
        self._refusals = self._counter("refusals", "Requests that got no session.", "reason")
        self._audio_s = self._counter("audio_seconds", "Audio of clients, replays apart.")
        self._hops = self._counter("hops", "Requests to Triton.")
        self._hop_errors = self._counter("hop_errors", "Hops that Triton answered with an error.")
        self._transcripts = self._counter("transcripts", "Transcripts told to clients.", "kind")
        self._flags = self._counter(
            "hallucination_flags", "Finals told with possible_hallucination."
        )
        self._losses = self._counter("triton_losses", "Streams that lost their Triton.")
        self._replays = self._counter("replays", "Times that unsettled audio was sent again.")
        self._replayed_s = self._counter("replayed_audio_seconds", "Audio sent again.")
        self._recovery = self._histogram(
            "recovery_seconds", "From the loss of a Triton to the replay.", RECOVERY_BUCKETS_S
        )
        self._partial_delay, self._final_delay = (
            self._histogram(f"{kind}_delay_seconds", f"From a hop to its {kind}.", DELAY_BUCKETS_S)
            for kind in ("partial", "final")
        )
        self._partials, self._finals = (
            self._transcripts.labels(kind) for kind in ("partial", "final")
        )
        self.owed: set[Owing] = set()
        """Of the sessions that there are."""
        self._begin_at_zero(protocols)

    @property
    def audio_in_flight_s(self) -> float:
        """Audio that Triton owes answers for."""
        return sum(samples_to_s(session.samples) for session in self.owed)

    def began(self, protocol: str) -> None:
        """A session has been let in."""
        self._sessions.labels(protocol).inc()
        self._streams.labels(protocol).inc()

    def left(self, protocol: str) -> None:
        """A session's place is free again."""
        self._streams.labels(protocol).dec()

    def ended(self, code: int | None) -> None:
        """A session that was served is over. None: it was cut off by the server's end."""
        self._ends.labels("none" if code is None else str(int(code))).inc()

    def refused(self, reason: str) -> None:
        """A request has got no session; `reason` is a refusal's type, or `BAD_REQUEST`."""
        self._refusals.labels(reason).inc()

    def audio(self, audio_s: float) -> None:
        """So much audio has come from a client."""
        self._audio_s.inc(audio_s)

    def hop_sent(self) -> None:
        """A hop is on its way, perhaps for the second time."""
        self._hops.inc()

    def hop_failed(self) -> None:
        """Triton has answered a hop with an error."""
        self._hop_errors.inc()

    def answered(self, is_final: bool, delay_s: float) -> None:
        """A window has been answered so long after its hop."""
        (self._final_delay if is_final else self._partial_delay).observe(delay_s)

    def told(self, frame: Frame) -> None:
        """A client has been sent a frame."""
        if frame["type"] != "transcription":
            return
        (self._finals if frame["is_final"] else self._partials).inc()
        if frame["is_final"] and any(
            segment.get("possible_hallucination") for segment in frame["segments"]
        ):
            self._flags.inc()

    def lost(self) -> None:
        """A session has lost its Triton."""
        self._losses.inc()

    def replayed(self, audio_s: float) -> None:
        """Unsettled audio is sent again."""
        self._replays.inc()
        self._replayed_s.inc(audio_s)

    def recovered(self, after_s: float) -> None:
        """A session that had lost its Triton goes on."""
        self._recovery.observe(after_s)

    def _begin_at_zero(self, protocols: Iterable[str]) -> None:
        """Have every label there from the start: a rate over what appears later starts too late."""
        for protocol in protocols:
            self._sessions.labels(protocol)
            self._streams.labels(protocol)
        for reason in _REASONS:
            self._refusals.labels(reason)
        for code in CloseCode:
            self._ends.labels(str(int(code)))

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, labels, namespace="whisper", registry=self.registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(name, says, labels, namespace="whisper", registry=self.registry)

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, says, namespace="whisper", registry=self.registry, buckets=buckets)
