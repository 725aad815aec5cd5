"""The ensemble under real-time streams: perf_analyzer's command for one step, and its result.

perf_analyzer sends at a fixed rate, and with as many threads as sequences each thread has one:
every sequence then gets a hop of audio each time as much time has passed, as a microphone would
send it. The step ends after a number of hops, not when numbers are stable: a hop without an answer
gives perf_analyzer nothing to measure, so answers are too few for its own criterion.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.audio import ms_to_samples
from pipeline.contract import ENSEMBLE, OPTIONS_PARAMETER
from pipeline.options import StreamOptions
from scripts.load.metrics import Quantiles
from scripts.load.playlist import GAP_S
from scripts.perf import input_data
from scripts.perf.report import EARLY, FINAL, PARTIAL, Hops, Report, read_hops, read_report
from scripts.perf.table import number, ratio
from scripts.recording import Pcm

PAUSE_MS = 1000 * GAP_S
"""Behind each recording, long enough for an endpoint."""
SEQUENCE_IDS = 2**30
"""How many; perf_analyzer reads both ends of their range as 32-bit integers."""
DRAIN_S = 60
"""For what a step has sent to be answered, and for perf_analyzer to start and to write."""

REPORT, EXPORT = "report.csv", "export.json"


@dataclass(frozen=True)
class EnsembleStep:
    """What one number of streams gave."""

    streams: int
    report: Report
    hops: Hops

    def document(self) -> dict[str, Any]:
        """For machines."""
        kinds = {kind: times._asdict() for kind, times in self.hops.answers_ms.items()}
        hops = {"sent": self.hops.sent, "answered": self.hops.answered, "answers_ms": kinds}
        return {"streams": self.streams, "perf_analyzer": asdict(self.report), "hops": hops}


@dataclass(frozen=True)
class EnsembleTest:
    """How the ensemble is measured."""

    address: str
    recordings: Sequence[Pcm]
    hop_ms: int
    duration_s: float
    options: StreamOptions | None
    """None: the server takes none from headers, so its defaults hold."""

    columns: ClassVar[tuple[str, ...]] = (
        "streams",
        "hops",
        "answered",
        "answer ms p50 / p90 / p95 / p99",
        "p95 to first row",
        "partials: ms p50 / p95",
        "early: ms p50 / p95",
        "finals: ms p50 / p95",
    )
    advice: ClassVar[str] = (
        "give recordings with more speech, or a longer --duration; "
        "where the server is too far behind, fewer --streams"
    )

    def input(self) -> input_data.Sequences:
        """Every recording as a sequence."""
        hop, pause = ms_to_samples(self.hop_ms), ms_to_samples(PAUSE_MS)
        return input_data.sequences(self.recordings, hop, pause)

    def describe(self, streams: int) -> str:
        """A step, for people."""
        return f"{streams} stream{'s' if streams > 1 else ''} for {self.duration_s:g} s"

    def limit_s(self) -> float:
        """When a step has certainly failed: its server takes longer than thrice real time."""
        return 3 * self.duration_s + DRAIN_S

    def arguments(self, streams: int, input_file: str) -> list[str]:
        """perf_analyzer's, for one step."""
        hops_per_s = streams * 1000 / self.hop_ms
        first_id = random.randrange(1, SEQUENCE_IDS)  # of nobody who streams meanwhile
        return [
            *("-m", ENSEMBLE, "-u", self.address, "-i", "grpc", "--async", "--streaming"),
            f"--input-data={input_file}",
            f"--request-rate-range={hops_per_s:.6g}",
            f"--num-of-sequences={streams}",
            f"--max-threads={streams}",
            f"--request-count={max(streams, round(hops_per_s * self.duration_s))}",
            f"--sequence-id-range={first_id}:{first_id + SEQUENCE_IDS}",
            *("-f", REPORT, f"--profile-export-file={EXPORT}"),
            *self._header(),
        ]

    def read(self, streams: int, folder: Path) -> EnsembleStep:
        """The result of a step. Raises ReportError."""
        return EnsembleStep(streams, read_report(folder / REPORT), read_hops(folder / EXPORT))

    def cells(self, step: EnsembleStep, first: EnsembleStep) -> list[str]:
        """One step, in the order of `columns`."""
        report, kinds = step.report, step.hops.answers_ms
        times = (report.p50_ms, report.p90_ms, report.p95_ms, report.p99_ms)
        return [
            str(step.streams),
            str(step.hops.sent),
            str(step.hops.answered),
            " / ".join(map(number, times)),
            ratio(report.p95_ms, first.report.p95_ms),
            *(_cell(kinds[kind]) for kind in (PARTIAL, EARLY, FINAL)),
        ]

    def _header(self) -> list[str]:
        """The streams' options. perf_analyzer cuts --request-parameter at every colon, which JSON
        is full of, and -H at the first one."""
        if self.options is None:
            return []
        options = self.options.model_dump(exclude_defaults=True)
        return ["-H", f"{OPTIONS_PARAMETER}:{json.dumps(options)}"]


def _cell(times: Quantiles) -> str:
    return f"{times.number}: {number(times.p50)} / {number(times.p95)}"
