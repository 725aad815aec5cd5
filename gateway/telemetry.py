"""Everything by which a gateway is watched from outside, as one thing: its metrics, its traces, and
the session's id in its log. Sessions tell it what happens to them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway import logs
from gateway.in_flight import SentHop
from gateway.metrics import Metrics
from gateway.tracing import Off, Tracing, Window
from gateway.triton import Answer


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Of one gateway."""

    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing = field(default_factory=Off)

    @contextmanager
    def session(self, session_id: str, protocol: str, headers: Mapping[str, str]) -> Iterator[None]:
        """Around all that is done for a session that has been let in."""
        self.metrics.began(protocol)
        try:
            with logs.session(session_id), self.tracing.session(session_id, protocol, headers):
                yield
        finally:
            self.metrics.left(protocol)

    def answered(self, answer: Answer, sent: SentHop | None, triton: str) -> None:
        """Triton has answered a hop. `sent`: the hop, unless its answer is of no use any more."""
        if answer.error is not None:
            self.metrics.hop_failed()
        if answer.transcript is not None and sent is not None:
            is_final, utterance = (
                answer.transcript[key] for key in ("is_final", "transcription_num")
            )
            self.tracing.window(
                Window(answer.hop, is_final, utterance, triton, sent.sent_at, answer.arrived_at)
            )

    def lost(self, why: str) -> None:
        """The present session has lost its Triton."""
        self.metrics.lost()
        self.tracing.event("triton lost", why=why)

    def replayed(self, audio_s: float) -> None:
        """The present session sends unsettled audio again."""
        self.metrics.replayed(audio_s)
        self.tracing.event("audio sent again", seconds=audio_s)
