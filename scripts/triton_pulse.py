"""Whether a Triton that says it is ready still works: when to ask it, and when to give it up.

Pure: time, in seconds, is passed in; it knows no Triton. Rules:

1. A transcript that has been finished is life, whoever asked for it. A busy Triton lives.
2. When none has been finished for `quiet_s`, a *canary* is due: a short utterance of our own. While
   requests fail it is due after `failing_s`.
3. A canary that gets no answer in `canary_s`, or an error, has failed. The next is due `failing_s`
   later.
4. When `canaries` have failed with no life between them, Triton is hung.
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    quiet_s: float = 10
    """A canary costs a fifth of a second of CPU with the embedded engine: 2 % of a core when nobody
    speaks, and nothing when somebody does."""
    failing_s: float = 2
    canary_s: float = 10
    """On an overloaded machine it takes as long as anybody's words; others' are finished then."""
    canaries: int = 2
    """A single one may have met a moment of bad luck; a restart costs all streams seconds."""


class Counts(NamedTuple):
    """What Triton has counted since its start."""

    finished: int
    """Transcripts."""
    failed: int
    """Requests to the ensemble."""


class Pulse:
    """What is known of one Triton's life."""

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._counts: Counts | None = None
        self._lived_at = now
        self._due_at = now + patience.quiet_s
        self._errors: list[str] = []
        """Of the canaries that have failed since the last life."""

    def see(self, counts: Counts, now: float) -> bool:
        """What Triton counts now; whether that shows life."""
        before, self._counts = self._counts or counts, counts
        if counts.finished != before.finished:
            self.live(now)
            return True
        if counts.failed != before.failed:
            self._due_at = min(self._due_at, now + self._patience.failing_s)
        return False

    def live(self, now: float) -> None:
        """Something has been transcribed."""
        self._lived_at = now
        self._due_at = now + self._patience.quiet_s
        self._errors.clear()

    def is_canary_due(self, now: float) -> bool:
        """Whether one is to be sent, if none is on its way."""
        return now >= self._due_at

    def canary_failed(self, why: str, now: float) -> None:
        """It came to nothing."""
        self._errors.append(why)
        self._due_at = now + self._patience.failing_s

    def verdict(self, now: float) -> str | None:
        """Why Triton has to be started again; None while it may be well."""
        if len(self._errors) < self._patience.canaries:
            return None
        return (
            f"has transcribed nothing for {now - self._lived_at:.0f} s, "
            f"{len(self._errors)} recordings of our own included ({self._errors[-1]})"
        )
