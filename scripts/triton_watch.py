"""Watches a running Triton, and says why it has to be started again.

Triton calls itself ready when half of it is dead: when the process of a stage has ended, or when
the engine answers nothing any more. A thread of its own looks at the stages' processes and at
Triton's counters every second, and sends a canary when those stand still (`triton_pulse`). It ends
nothing itself: who has started Triton does, when `verdict` says so.
"""

import threading
import time

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from pipeline.contract import ENSEMBLE, TRANSCRIPT_MODEL
from scripts.canary import Canary
from scripts.stage_processes import StageProcess, stage_processes
from scripts.triton_pulse import Counts, Patience, Pulse

POLL_S = 1.0
ANSWER_TIMEOUT_S = 1.0
"""For what Triton counts; a question that it does not answer is no life."""
CLOSE_TIMEOUT_S = 2.0
CHANNEL_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    # By default a client that was refused while Triton loads its models tries again ever later.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


class TritonWatch:
    """The watch over one Triton, from when it is ready."""

    def __init__(self, pid: int, address: str, patience: Patience | None = None) -> None:
        """`pid`: the process that has the stages as children; `address`: of its gRPC."""
        self.verdict: str | None = None
        """Why it has to be started again; None: no reason is known."""
        self._pid = pid
        self._address = address
        self._patience = patience or Patience()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="triton-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more, and leave nothing behind. Takes no time once Triton has ended."""
        self._closed.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        with triton.InferenceServerClient(self._address, channel_args=CHANNEL_OPTIONS) as client:
            while not self._is_ready(client):
                if self._closed.wait(POLL_S):
                    return
            self._watch(client, stage_processes(self._pid))

    def _is_ready(self, client: triton.InferenceServerClient) -> bool:
        try:
            return bool(client.is_server_ready(client_timeout=ANSWER_TIMEOUT_S))
        except InferenceServerException:
            return False

    def _watch(self, client: triton.InferenceServerClient, stages: list[StageProcess]) -> None:
        rounds = _Rounds(self._address, client, self._patience)
        try:
            while self.verdict is None and not self._closed.wait(POLL_S):
                self.verdict = _ended(stages) or rounds.look()
        finally:
            rounds.close()


class _Rounds:
    """One look at Triton after the other."""

    def __init__(
        self, address: str, client: triton.InferenceServerClient, patience: Patience
    ) -> None:
        self._address = address
        self._client = client
        self._pulse = Pulse(patience, time.monotonic())
        self._canary_timeout_s = patience.canary_s
        self._canary: Canary | None = None

    def look(self) -> str | None:
        """The verdict so far."""
        counts = self._counts()
        now = time.monotonic()
        if counts is not None and self._pulse.see(counts, now):
            self.close()
        elif self._canary is not None:
            self._look_at(self._canary, now)
        elif self._pulse.is_canary_due(now):
            self._canary = Canary(self._address)
        return self._pulse.verdict(now)

    def close(self) -> None:
        """Wait for no canary any more."""
        if self._canary is not None:
            self._canary.close()
            self._canary = None

    def _look_at(self, canary: Canary, now: float) -> None:
        canary.listen()
        error = canary.error
        if error is None and canary.age_s > self._canary_timeout_s:
            error = f"no answer within {self._canary_timeout_s:g} s"
        if canary.is_answered:
            self._pulse.live(now)
        elif error is not None:
            self._pulse.canary_failed(_first_line(error), now)
        else:
            return
        self.close()

    def _counts(self) -> Counts | None:
        """None: Triton does not say."""
        try:
            models = self._client.get_inference_statistics(client_timeout=ANSWER_TIMEOUT_S)
        except InferenceServerException:
            return None
        of = {model.name: model.inference_stats for model in models.model_stats}
        if not {TRANSCRIPT_MODEL, ENSEMBLE} <= of.keys():
            return None
        return Counts(of[TRANSCRIPT_MODEL].success.count, of[ENSEMBLE].fail.count)


def _ended(stages: list[StageProcess]) -> str | None:
    names = [stage.name for stage in stages if stage.has_ended]
    return f"has lost the process of its stage {', '.join(names)}" if names else None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
