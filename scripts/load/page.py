"""A load test as a page: plots, a timeline of one stream per step, the numbers, the circumstances.

One file without scripts or anything from elsewhere, light or dark as the reader's system is. Pure:
a run and its steps in, HTML out.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from scripts.load import table, timeline
from scripts.load.metrics import HELD_WITHIN_S, Quantiles, quantile
from scripts.load.plots import Bar, Line, held_bars, lines, stacked
from scripts.load.processes import GENERATOR
from scripts.load.results import Step, Stream
from scripts.load.run import Run
from scripts.load.table import number

STYLE = Path(__file__).with_name("page.css")
KINDS = ("whisper", "transcript", "log_mel", "silero_vad", "tritonserver", "gateway")
OTHERS = "others"


def render(run: Run, steps: Sequence[Step]) -> str:
    """The whole page."""
    facts = run.facts()
    body = [
        f"<header><h1>Load test</h1><p>{escape(facts['when'])} · {escape(facts['machine'])} · "
        f"commit {escape(facts['commit'])}</p></header>",
        _tiles(steps),
        *(f'<p class="warn">{escape(line)}</p>' for step in steps for line in table.remarks(step)),
        _latency(steps),
        _quality(steps),
        _processor(steps),
        _timelines(steps),
        _numbers(steps),
        _circumstances(run, facts),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Load test, {escape(facts['when'])}</title>"
        f"<style>\n{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>\n{chr(10).join(body)}\n</main></body></html>\n"
    )


def _tiles(steps: Sequence[Step]) -> str:
    """The largest step in which every stream was held, else the smallest, in a few numbers."""
    whole = [step for step in steps if step.held == step.offered]
    step = max(whole, key=lambda each: each.offered) if whole else steps[0]
    beyond = [f"{each.held} of {each.offered}" for each in steps if each.offered > step.offered]
    final, first, machine = step.final_latency_s, step.first_partial_s, step.machine
    alone = step.errors.alone_percent
    at = f"at {_streams(step.offered)}"
    tiles = [
        (
            "Streams held",
            f"{step.held} of {step.offered}",
            f"then {', '.join(beyond)}" if beyond else "the most that were tried",
        ),
        ("Final latency, p95", f"{number(final.p95)} s", f"p50 {number(final.p50)} s"),
        ("First partial, p95", f"{number(first.p95)} s", f"p50 {number(first.p50)} s"),
        (
            "Word error rate",
            f"{number(step.errors.rate_percent, 1)} %",
            f"{number(alone, 1)} % without load",
        ),
        ("Flicker", number(step.flicker.rate), "words taken back per word"),
        (
            "CPU per stream",
            number(machine.cpu_per_audio_s, 3),
            f"cores; {number(machine.cores)} in all",
        ),
    ]
    shown = "".join(
        f'<div class="tile"><div class="name">{escape(name)}</div>'
        f'<div class="number">{escape(value)}</div>'
        f'<div class="more">{escape(more)}<br>{at if index else ""}</div></div>'
        for index, (name, value, more) in enumerate(tiles)
    )
    return f'<div class="tiles">{shown}</div>'


def _latency(steps: Sequence[Step]) -> str:
    first, text = "First partial, s", "from the beginning of an utterance to a partial with text"
    return (
        "<h2>Latency</h2>"
        '<p class="soft">Counted from when things were said, not from when the server got them.</p>'
        '<div class="grid">'
        + _quantile_card(first, text, steps, [step.first_partial_s for step in steps])
        + _quantile_card(
            "Word lag, s",
            "from the end of a word to the first message that shows it",
            steps,
            [step.lag_s for step in steps],
            limit=HELD_WITHIN_S,
        )
        + _quantile_card(
            "Final latency, s",
            "from the end of speech plus the asked silence to the final",
            steps,
            [step.final_latency_s for step in steps],
        )
        + "</div>"
    )


def _quantile_card(
    name: str,
    meaning: str,
    steps: Sequence[Step],
    values: Sequence[Quantiles],
    *,
    limit: float | None = None,
) -> str:
    plotted = [
        Line("p50", "p50", [each.p50 for each in values]),
        Line("p95", "p95", [each.p95 for each in values]),
    ]
    extra = [("limit", "held, for the median")] if limit is not None else []
    return _card(
        name,
        meaning,
        [("p50", "median"), ("p95", "95th percentile"), *extra],
        lines(name, _offered(steps), plotted, limit=limit),
    )


def _quality(steps: Sequence[Step]) -> str:
    wer = [
        Line("alone", "muted", [step.errors.alone_percent for step in steps]),
        Line("in the run", "plain", [step.errors.rate_percent for step in steps]),
    ]
    flicker = [Line("flicker", "plain", [step.flicker.rate for step in steps])]
    return (
        "<h2>Streams held, and what they were shown</h2>"
        f'<p class="soft">A stream is held when the median word of its last third was seen within '
        f"{HELD_WITHIN_S:g} s of being spoken; words never shown count as late.</p>"
        '<div class="grid">'
        + _card(
            "Held streams",
            "of those offered",
            [("held", "held"), ("offered", "offered")],
            held_bars(_offered(steps), [step.held for step in steps]),
        )
        + _card(
            "Word error rate, %",
            "of finals; the recordings differ from step to step",
            [("plain", "in the run"), ("muted", "the same recordings alone")],
            lines("Word error rate", _offered(steps), wer),
        )
        + _card(
            "Flicker",
            "words of a partial that the next message takes back, per word",
            [("plain", "taken back per word")],
            lines("Flicker", _offered(steps), flicker),
        )
        + "</div>"
    )


def _card(name: str, meaning: str, legend: Iterable[tuple[str, str]], plot: str) -> str:
    return (
        f'<div class="card"><h3>{escape(name)}</h3><p class="soft">{escape(meaning)}</p>'
        f"{_legend(legend)}{plot}</div>"
    )


def _legend(entries: Iterable[tuple[str, str]]) -> str:
    items = (f'<span><i class="{style}"></i>{escape(name)}</span>' for style, name in entries)
    return f'<div class="legend">{"".join(items)}</div>'


def _processor(steps: Sequence[Step]) -> str:
    measured = [step for step in steps if step.machine.cpu_s]
    if not measured:
        return "<h2>CPU</h2><p>The server's processes are not on this machine.</p>"
    kinds = [*KINDS, OTHERS]
    bars = [
        Bar(
            _streams(step.offered),
            [_part(step, kind) / max(step.machine.audio_s, 1e-9) for kind in kinds],
            number(step.machine.cpu_per_audio_s, 3),
        )
        for step in measured
    ]
    legend = _legend((f"kind{index}", kind) for index, kind in enumerate(kinds))
    plot = stacked("CPU by process", kinds, bars, "CPU seconds per second of audio")
    return (
        "<h2>CPU by process</h2>"
        '<p class="soft">CPU seconds of the server per second of audio: in real time, the cores '
        f'that one stream takes.</p><div class="card wide">{legend}{plot}</div>'
        f'<div class="card wide">{_processor_table(measured, kinds)}</div>'
    )


def _processor_table(steps: Sequence[Step], kinds: Sequence[str]) -> str:
    heading = ["streams", *kinds, "cores busy", GENERATOR, "others on the machine", "memory MiB"]
    rows = []
    for step in steps:
        total = step.machine.server_cpu_s or 1e-9
        wall_s = step.machine.wall_s
        rows.append(
            [
                str(step.offered),
                *(f"{100 * _part(step, kind) / total:.1f} %" for kind in kinds),
                number(step.machine.cores),
                number(step.machine.generator_cpu_s / wall_s),
                number(step.machine.other_cpu_s / wall_s),
                _memory(step),
            ]
        )
    return _table(heading, rows)


def _part(step: Step, kind: str) -> float:
    """CPU seconds of a kind of process; those without a column of their own are the others."""
    cpu_s = step.machine.cpu_s
    if kind != OTHERS:
        return cpu_s.get(kind, 0.0)
    return sum(each for name, each in cpu_s.items() if name not in KINDS)


def _memory(step: Step) -> str:
    """Before and after."""
    begin = step.machine.memory_begin_bytes
    before = sum(size for kind, size in begin.items() if kind != GENERATOR)
    return f"{before / table.MIB:.0f} → {table.memory(step)}"


def _timelines(steps: Sequence[Step]) -> str:
    largest = max(step.offered for step in steps)
    return (
        "<h2>One stream of each step</h2>"
        '<p class="soft">The one with the median lag, its last minute. Each dot above is a word: '
        "when it was spoken, and how long after that it was first seen; a cross is a word that was "
        "never shown. A final's line leads from the end of its speech to its arrival.</p>"
        + "".join(
            _timeline(step, opened=step.offered == largest)
            for step in steps
            if any(stream.track.shown for stream in step.streams)
        )
    )


def _timeline(step: Step, *, opened: bool) -> str:
    stream = typical(step)
    track = stream.track
    about = f"stream {track.index + 1}, {track.language}, {track.form}"
    return (
        f"<details{' open' if opened else ''}><summary>{_streams(step.offered)} "
        f"<span>{escape(about)}</span></summary>"
        f'<div class="wide">{timeline.drawing(stream)}</div>{timeline.messages(stream)}</details>'
    )


def typical(step: Step) -> Stream:
    """The stream with the median median lag of those that were shown anything."""
    served = [stream for stream in step.streams if stream.track.shown]
    served.sort(key=_median_lag_s)
    return served[(len(served) - 1) // 2]


def _median_lag_s(stream: Stream) -> float:
    lags = sorted(item.lag_s for item in stream.seen if item.lag_s is not None)
    return quantile(lags, 0.5) or 0.0


def _numbers(steps: Sequence[Step]) -> str:
    numbers = _table(table.COLUMNS, map(table.cells, steps))
    return f'<h2>All numbers</h2><div class="card wide">{numbers}{_languages(steps)}</div>'


def _languages(steps: Sequence[Step]) -> str:
    """Word errors of every language, where there is more than one."""
    names = list(dict.fromkeys(name for step in steps for name in step.errors.heard))
    if len(names) < 2:
        return ""
    rows = [
        [str(step.offered), *(_language_errors(step, name) for name in names)] for step in steps
    ]
    heading = ["streams", *(f"WER % {name} (alone)" for name in names)]
    return f"<br>{_table(heading, rows)}"


def _language_errors(step: Step, language: str) -> str:
    heard, alone = step.errors.heard.get(language), step.errors.alone.get(language)
    if heard is None or not heard.words:
        return "-"
    return f"{heard.rate_percent:.1f} ({number(alone.rate_percent if alone else None, 1)})"


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in heading)
    body = "".join(
        f"<tr>{''.join(f'<td class=n>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _circumstances(run: Run, facts: dict[str, str]) -> str:
    rows = [
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items()
    ]
    rows.append(f"<tr><th>command</th><td><code>{escape(run.command)}</code></td></tr>")
    table_of_facts = f'<table class="facts">{"".join(rows)}</table>'
    return f'<h2>Circumstances</h2><div class="card">{table_of_facts}</div>'


def _offered(steps: Sequence[Step]) -> list[int]:
    return [step.offered for step in steps]


def _streams(count: int) -> str:
    return "1 stream" if count == 1 else f"{count} streams"
