"""The engine alone, with real features: perf_analyzer's command for one step, and its result.

perf_analyzer keeps so many windows under way and measures until throughput and latency are stable.
All windows hold as much speech, from everywhere in the recordings and in an order of chance, so
that every span of time has the same mix. The embedded engine remembers what it has just decoded,
so no two windows are equal, neither in a step nor from one step to the next.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE
from pipeline.contract import WHISPER
from pipeline.engines.memory import REMEMBERED
from scripts.perf import input_data
from scripts.perf.report import Report, read_report
from scripts.perf.table import number, ratio
from scripts.recording import Pcm

WINDOWS = REMEMBERED + 32
"""More than the embedded engine remembers and has under way, so that it decodes every one."""
SEED = 1
MOST_SHIFT = SAMPLE_RATE // 10
"""Samples by which a step's windows lie behind another's: enough for other features, and too few
for other work."""
PASS_SHARE = 1.2
"""A measurement takes this much longer than it is asked to (perf_analyzer's inference_profiler)."""
START_S = 60
"""For perf_analyzer to read its input and to end."""

REPORT = "report.csv"


class SpokenWindow(NamedTuple):
    """The audio of one engine request."""

    audio: Pcm
    language: str


Features = Callable[[Pcm, str], Mapping[str, NDArray[np.generic]]]
"""Makes the engine's inputs of a window."""


def windows(
    speech: Mapping[str, Sequence[Pcm]], count: int, speech_s: float, shift: int = 0
) -> list[SpokenWindow]:
    """`count` windows of `speech_s` each, languages in turn, cut from recordings joined end to end.

    `shift`: samples by which all of them are moved, at most `MOST_SHIFT`.

    Raises:
        ValueError: no language has enough speech for different windows.
    """
    length = round(speech_s * SAMPLE_RATE)
    joined = {language: np.concatenate(parts) for language, parts in speech.items()}
    spans = {code: len(pcm) - length - MOST_SHIFT for code, pcm in joined.items()}
    codes = [code for code, span in spans.items() if span >= count]
    if not codes:
        longest_s = max((len(pcm) for pcm in joined.values()), default=0) / SAMPLE_RATE
        raise ValueError(
            f"{count} windows of {speech_s:g} s cannot be cut from {longest_s:.1f} s of speech: "
            "give more recordings, or a smaller --speech-s"
        )
    cuts = [
        SpokenWindow(joined[code][start : start + length], code)
        for place, code in enumerate(codes)
        for start in _starts(len(range(place, count, len(codes))), spans[code], shift)
    ]
    random.Random(SEED).shuffle(cuts)
    return cuts


def _starts(number: int, span: int, shift: int) -> Iterator[int]:
    """Where windows begin: evenly over a span, and never where the next one would without shift."""
    apart = span // max(1, number)
    return (index * span // number + shift % apart for index in range(number))


@dataclass(frozen=True)
class EngineStep:
    """What one number of windows under way gave."""

    concurrency: int
    report: Report

    def document(self) -> dict[str, Any]:
        """For machines."""
        return {"concurrency": self.concurrency, "perf_analyzer": asdict(self.report)}


@dataclass(frozen=True)
class EngineTest:
    """How the engine is measured."""

    address: str
    speech: Mapping[str, Sequence[Pcm]]
    """By language."""
    features: Features
    windows: int
    speech_s: float
    measure_s: float
    trials: int
    stability_percent: float

    columns: ClassVar[tuple[str, ...]] = (
        "windows under way",
        "windows/s",
        "to first row",
        "speech s per s",
        "window ms p50 / p90 / p95 / p99",
        "p50 to first row",
    )
    advice: ClassVar[str] = (
        "measure for longer with --measure-s, or accept more deviation with --stability"
    )

    def input(self) -> input_data.Requests:
        """Windows that no step has had yet. Raises ValueError."""
        cut = windows(self.speech, self.windows, self.speech_s, random.randrange(MOST_SHIFT))
        return input_data.requests(self.features(audio, language) for audio, language in cut)

    def describe(self, concurrency: int) -> str:
        """A step, for people."""
        return f"{concurrency} window{'s' if concurrency > 1 else ''} under way"

    def limit_s(self) -> float:
        """When a step has certainly failed."""
        return self.trials * self.measure_s * PASS_SHARE + START_S

    def arguments(self, concurrency: int, input_file: str) -> list[str]:
        """perf_analyzer's, for one step."""
        return [
            *("-m", WHISPER, "-u", self.address, "-i", "grpc", "--async"),
            f"--input-data={input_file}",
            f"--concurrency-range={concurrency}",
            f"--measurement-interval={self.measure_s * 1000:.0f}",
            f"--stability-percentage={self.stability_percent:g}",
            f"--max-trials={self.trials}",
            *("-f", REPORT),
        ]

    def read(self, concurrency: int, folder: Path) -> EngineStep:
        """The result of a step. Raises ReportError."""
        return EngineStep(concurrency, read_report(folder / REPORT))

    def cells(self, step: EngineStep, first: EngineStep) -> list[str]:
        """One step, in the order of `columns`."""
        report = step.report
        times = (report.p50_ms, report.p90_ms, report.p95_ms, report.p99_ms)
        return [
            str(step.concurrency),
            number(report.per_s, 2),
            ratio(report.per_s, first.report.per_s),
            number(report.per_s * self.speech_s, 1),
            " / ".join(map(number, times)),
            ratio(report.p50_ms, first.report.p50_ms),
        ]
