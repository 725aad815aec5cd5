"""What perf_analyzer has written of one run: its CSV report and its export of every request.

Times become milliseconds. It knows no server and runs nothing.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contract import FEEDBACK, TRANSCRIPT
from scripts.load.metrics import Quantiles, quantiles

NS_PER_MS = 1e6
US_PER_MS = 1e3

PARTIAL = "partial"
"""A message that a later one replaces."""
EARLY = "early"
"""A window that the client did not ask for: without partials, an utterance's early window."""
FINAL = "final"


class ReportError(Exception):
    """A file is missing or is not what perf_analyzer writes; the message is one line."""


@dataclass(frozen=True)
class Report:
    """The CSV report of one load: requests that were answered, and how long that took."""

    per_s: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Hops:
    """The export of a run against the ensemble."""

    sent: int
    answers_ms: dict[str, Quantiles]
    """By kind (PARTIAL, EARLY, FINAL), from sending a hop to its answer."""

    @property
    def answered(self) -> int:
        """Hops that completed a window."""
        return sum(times.number for times in self.answers_ms.values())


def read_report(path: Path) -> Report:
    """The one line of a report.

    Raises:
        ReportError: there is no such line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file))
        return Report(
            float(row["Inferences/Second"]),
            *(float(row[f"p{share} latency"]) / US_PER_MS for share in (50, 90, 95, 99)),
        )
    except (OSError, StopIteration, KeyError, ValueError) as error:
        raise ReportError(f"{path} is no report of perf_analyzer: {error!r}") from error


def read_hops(path: Path) -> Hops:
    """The hops of an export.

    Raises:
        ReportError: it is no export of a run against the ensemble.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        requests = document["experiments"][0]["requests"]
        times: dict[str, list[float]] = {PARTIAL: [], EARLY: [], FINAL: []}
        for kind, time_ms in _answers(requests):
            times[kind].append(time_ms)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ReportError(f"{path} is no export of perf_analyzer: {error!r}") from error
    return Hops(len(requests), {kind: quantiles(values) for kind, values in times.items()})


def _answers(requests: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """Kind and time of each answer. A hop without one has a response with nothing in it."""
    for request in requests:
        responses = zip(request["response_timestamps"], request["response_outputs"], strict=True)
        for at_ns, outputs in responses:
            if outputs.get(FEEDBACK.name):
                yield _kind(outputs[TRANSCRIPT.name]), (at_ns - request["timestamp"]) / NS_PER_MS


def _kind(transcript: str) -> str:
    if not transcript:
        return EARLY
    return FINAL if json.loads(transcript)["is_final"] else PARTIAL
