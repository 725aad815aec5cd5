"""A load test as a table, for a terminal and for Markdown. Pure: steps in, lines out."""

from collections.abc import Iterator, Sequence

from scripts.load.metrics import Quantiles
from scripts.load.results import Step
from scripts.load.run import Run

COLUMNS = (
    "streams",
    "held",
    "first partial s p50 / p95",
    "word lag s p50 / p95",
    "final s p50 / p95 / p99",
    "WER % (alone)",
    "flicker",
    "CPU s per audio s",
    "cores busy",
    "memory MiB",
    "failed",
)
MIB = 1 << 20
OTHERS_CORES = 0.2
"""A machine on which other programs, or other machines beneath it, take more was not calm."""
BLOCKED_SHARE = 0.01
"""Of the audio's time; less than this may be the machine's own hiccups."""


def cells(step: Step) -> list[str]:
    """One step, in the order of `COLUMNS`."""
    first, lag, final = step.first_partial_s, step.lag_s, step.final_latency_s
    alone = number(step.errors.alone_percent, 1)
    return [
        str(step.offered),
        f"{step.held}/{step.offered}",
        f"{number(first.p50)} / {number(first.p95)}",
        f"{number(lag.p50)} / {number(lag.p95)}",
        f"{number(final.p50)} / {number(final.p95)} / {number(final.p99)}",
        f"{number(step.errors.rate_percent, 1)} ({alone})",
        number(step.flicker.rate),
        number(step.machine.cpu_per_audio_s, 3),
        number(step.machine.cores),
        memory(step),
        str(sum(step.failures.values())),
    ]


def number(value: float | None, digits: int = 2) -> str:
    """A value, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def memory(step: Step) -> str:
    """The server's memory at the end of a step."""
    if not step.machine.cpu_s:
        return "-"
    server = (step.machine.memory_end_bytes[kind] for kind in step.machine.cpu_s)
    return f"{sum(server) / MIB:.0f}"


def plain(steps: Sequence[Step]) -> Iterator[str]:
    """The table with aligned columns, and what has to be said besides."""
    rows = [list(COLUMNS), *map(cells, steps)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
    for step in steps:
        yield from remarks(step)


def markdown(steps: Sequence[Step]) -> Iterator[str]:
    """The same for a document."""
    for row in (list(COLUMNS), ["---:" for _ in COLUMNS], *map(cells, steps)):
        yield f"| {' | '.join(row)} |"


def document(run: Run, steps: Sequence[Step]) -> Iterator[str]:
    """The table with its circumstances, as Markdown."""
    for name, value in run.facts().items():
        yield f"- {name}: {value}"
    yield f"- command: `{run.command}`"
    yield ""
    yield from markdown(steps)
    said = [f"- {remark}" for step in steps for remark in remarks(step)]
    yield from ["", *said] if said else []


def remarks(step: Step) -> Iterator[str]:
    """What makes a step's numbers doubtful, and what went wrong in it."""
    name = f"{step.offered} stream{'s' if step.offered > 1 else ''}"
    if not step.kept_time:
        yield (
            f"{name}: the load generator could not keep its own clock (send lateness "
            f"{_ms(step.lateness_s)}): latencies are partly its own"
        )
    if step.blocked_s > BLOCKED_SHARE * step.machine.audio_s:
        yield f"{name}: the server made packets wait, {step.blocked_s:.2f} s in all"
    others = step.machine.other_cpu_s / step.machine.wall_s
    if others > OTHERS_CORES:
        yield f"{name}: others on the machine took {others:.2f} cores meanwhile"
    for reason, count in (step.reasons + step.server_errors).most_common():
        yield f"{name}: {count} times: {reason}"


def _ms(values: Quantiles) -> str:
    p99, most = (number(v and v * 1000, 0) for v in (values.p99, values.most))
    return f"p99 {p99} ms, at most {most} ms"
