"""What a soak test has seen, interval by interval, and whether anything drifts. Pure.

Memory that leaks, and queues that never empty, show as a slope over hours which a short test takes
for noise. So the intervals' values are laid along a line (least squares), and latency at the end is
compared with that at the beginning. The first intervals are left out: caches fill.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scripts.load.metrics import quantile

MIB = 1 << 20
WARM_UP_SHARE = 0.2
"""Of the intervals, at the beginning."""
COLUMNS = ("minute", "sessions", "finals", "partial s p50 / p95", "final s p50 / p95", "WER %")


@dataclass
class Interval:
    """What happened in so much time."""

    ended_s: float = 0.0
    """Since the beginning."""
    partials_s: list[float] = field(default_factory=list)
    """How late each was, from the audio to the message."""
    finals_s: list[float] = field(default_factory=list)
    sessions: int = 0
    """Those that came to their regular end."""
    words: int = 0
    word_errors: int = 0
    failures: list[str] = field(default_factory=list)
    memory_bytes: dict[str, int] = field(default_factory=dict)
    """At its end, by kind of process."""


@dataclass(frozen=True)
class Drift:
    """The trend of a whole soak test."""

    memory_mib_per_hour: dict[str, float]
    """By kind of process."""
    early_s: float | None
    """The 95th percentile of finals in the first half, and in the second."""
    late_s: float | None


def table(intervals: Sequence[Interval]) -> Iterator[str]:
    """A line for each interval, in Markdown, under a heading."""
    kinds = sorted({kind for interval in intervals for kind in interval.memory_bytes})
    columns = [*COLUMNS, *(f"{kind} MiB" for kind in kinds), "failed"]
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---:|' * len(columns)}"
    for interval in intervals:
        yield f"| {' | '.join(_cells(interval, kinds))} |"


def _cells(interval: Interval, kinds: Sequence[str]) -> Iterator[str]:
    yield f"{interval.ended_s / 60:.1f}"
    yield str(interval.sessions)
    yield str(len(interval.finals_s))
    for latencies in (interval.partials_s, interval.finals_s):
        yield f"{_number(_share(latencies, 0.5))} / {_number(_share(latencies, 0.95))}"
    yield f"{100 * interval.word_errors / interval.words:.1f}" if interval.words else "-"
    for kind in kinds:
        memory = interval.memory_bytes.get(kind)
        yield "-" if memory is None else f"{memory / MIB:.1f}"
    yield str(len(interval.failures))


def drift(intervals: Sequence[Interval]) -> Drift:
    """The trend behind the warm-up."""
    steady = intervals[int(WARM_UP_SHARE * len(intervals)) :]
    kinds = sorted({kind for interval in steady for kind in interval.memory_bytes})
    half = len(steady) // 2
    return Drift(
        {kind: 3600 * _slope(_memory(steady, kind)) / MIB for kind in kinds},
        _share([late for interval in steady[:half] for late in interval.finals_s], 0.95),
        _share([late for interval in steady[half:] for late in interval.finals_s], 0.95),
    )


def summary(found: Drift) -> Iterator[str]:
    """The trend in words."""
    slopes = ", ".join(f"{kind} {mib:+.1f}" for kind, mib in found.memory_mib_per_hour.items())
    yield f"memory, MiB an hour: {slopes or 'the server is not on this machine'}"
    yield f"finals, s p95: {_number(found.early_s)} at first, {_number(found.late_s)} in the end"


def _memory(intervals: Sequence[Interval], kind: str) -> list[tuple[float, float]]:
    return [
        (interval.ended_s, interval.memory_bytes[kind])
        for interval in intervals
        if kind in interval.memory_bytes
    ]


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line through the points by least squares; 0 through fewer than two."""
    mean_x = sum(x for x, _ in points) / max(1, len(points))
    mean_y = sum(y for _, y in points) / max(1, len(points))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def _share(values: list[float], share: float) -> float | None:
    return quantile(sorted(values), share)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
