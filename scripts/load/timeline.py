"""One stream of a load test to look at: what was said when, and when it was shown.

A drawing of its last minute, and its messages as they came, with the words that each brought and
took back. Pure: a stream in, markup out.
"""

from collections.abc import Iterator
from difflib import SequenceMatcher
from html import escape

from scripts.load.metrics import HELD_WITHIN_S
from scripts.load.plots import Axes, svg, text, ticks
from scripts.load.results import Stream
from scripts.load.track import Shown
from scripts.load.words import tokens

LENGTH_S = 60.0
"""How much of a stream is shown, from its end."""
_LANE = 20
_WIDTH = 1080.0
_LANES_TOP = 176.0
_BAR_S = 3.0
"""The lag that fills the bar in the list of messages."""


def drawing(stream: Stream) -> str:
    """Lags over time, and under them the lanes of speech, partials and finals."""
    begin_s, end_s = _span_s(stream)
    lags = [item.lag_s for item in stream.seen if item.lag_s is not None]
    y_ticks = ticks(max([*lags, HELD_WITHIN_S * 1.1]), 4)
    axes = Axes(end_s - begin_s, y_ticks[-1], width=_WIDTH, height=170, left=84, right=12, bottom=6)
    parts = [*_lag_axis(axes, y_ticks), *_lags(axes, stream, begin_s)]
    parts += _lane(0, "speech", _speech(axes, stream, begin_s, _LANES_TOP))
    parts += _lane(1, "partials", _partials(axes, stream, begin_s, _LANES_TOP + _LANE))
    parts += _lane(2, "finals", _finals(axes, stream, begin_s, _LANES_TOP + 2 * _LANE))
    parts += _time_axis(axes, begin_s, end_s, _LANES_TOP + 3 * _LANE + 4)
    return svg("Timeline of one stream", _WIDTH, _LANES_TOP + 3 * _LANE + 38, parts)


def messages(stream: Stream) -> str:
    """The messages of the same time, as a list."""
    begin_s, _ = _span_s(stream)
    newest = _newest_words(stream)
    before: dict[int, str] = {}
    rows = []
    for shown in stream.track.shown:
        if shown.at_s >= begin_s:
            rows.append(_row(shown, before.get(shown.utterance, ""), newest.get(shown)))
        before[shown.utterance] = shown.text
    return (
        '<div class="messages"><table><thead><tr><th class="n">at s</th><th></th>'
        '<th class="n">utterance</th><th>text: <ins>new</ins> and <del>taken back</del> words</th>'
        '<th class="lag">age of its newest speech, s</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _span_s(stream: Stream) -> tuple[float, float]:
    arrived = [shown.at_s for shown in stream.track.shown]
    end_s = max([stream.track.duration_s, *arrived])
    return max(0.0, end_s - LENGTH_S), end_s


def _lag_axis(axes: Axes, y_ticks: list[float]) -> Iterator[str]:
    for value in y_ticks:
        y = axes.y(value)
        style = "grid" if value else "axis"
        yield f'<line class="{style}" x1="84" y1="{y:.1f}" x2="{_WIDTH - 12}" y2="{y:.1f}"/>'
        yield text(77, y + 4, f"{value:g}", "tick end")
    y = axes.y(HELD_WITHIN_S)
    yield f'<line class="limit" x1="84" y1="{y:.1f}" x2="{_WIDTH - 12}" y2="{y:.1f}"/>'
    yield text(4, axes.top + 10, "lag of", "label")
    yield text(4, axes.top + 24, "words, s", "label")


def _lags(axes: Axes, stream: Stream, begin_s: float) -> Iterator[str]:
    for item in stream.seen:
        if item.word.end_s < begin_s:
            continue
        x = axes.x(item.word.end_s - begin_s)
        if item.lag_s is None:
            yield text(x, axes.top + 8, "×", "unseen middle")
            continue
        label = f"{item.word.token}: said {item.word.end_s:.2f} s, seen after {item.lag_s:.2f} s"
        style = "dot p50" if item.lag_s <= HELD_WITHIN_S else "dot late"
        yield (
            f'<circle class="{style}" cx="{x:.1f}" cy="{axes.y(max(0.0, item.lag_s)):.1f}" r="3.5">'
            f"<title>{escape(label)}</title></circle>"
        )


def _lane(index: int, name: str, parts: Iterator[str]) -> Iterator[str]:
    yield text(4, _LANES_TOP + _LANE * index + 14, name, "label")
    yield from parts


def _speech(axes: Axes, stream: Stream, begin_s: float, top: float) -> Iterator[str]:
    """The words as they are spoken: pauses show as gaps."""
    for item in stream.seen:
        word = item.word
        if word.start_s >= begin_s:
            x = axes.x(word.start_s - begin_s)
            width = max(1.0, axes.x(word.end_s - begin_s) - x - 0.5)
            yield (
                f'<rect class="spoken" x="{x:.1f}" y="{top + 3}" width="{width:.1f}" height="14">'
                f"<title>{escape(word.token)}, {word.start_s:.2f} s</title></rect>"
            )


def _partials(axes: Axes, stream: Stream, begin_s: float, top: float) -> Iterator[str]:
    for shown in stream.track.shown:
        if not shown.final and shown.at_s >= begin_s:
            yield (
                f'<circle class="dot p50" cx="{axes.x(shown.at_s - begin_s):.1f}" '
                f'cy="{top + 10}" r="4"><title>{shown.at_s:.2f} s: {escape(shown.text)}'
                "</title></circle>"
            )


def _finals(axes: Axes, stream: Stream, begin_s: float, top: float) -> Iterator[str]:
    """What a final covers, and a line to where it came."""
    for shown in stream.track.shown:
        if not shown.final or shown.end_s is None or shown.end_s < begin_s:
            continue
        start = axes.x(max(0.0, (shown.start_s or shown.end_s) - begin_s))
        end, came = axes.x(shown.end_s - begin_s), axes.x(shown.at_s - begin_s)
        title = f"<title>{shown.at_s:.2f} s: {escape(shown.text)}</title>"
        yield (
            f'<rect class="final" x="{start:.1f}" y="{top + 3}" '
            f'width="{max(1.0, end - start):.1f}" height="9" rx="2">{title}</rect>'
            f'<path class="came" d="M{end:.1f} {top + 15}H{came:.1f}M{came:.1f} {top + 11}v8">'
            f"{title}</path>"
        )


def _time_axis(axes: Axes, begin_s: float, end_s: float, top: float) -> Iterator[str]:
    step = 5 if end_s - begin_s > 20 else 1
    first = int(-(-begin_s // step)) * step
    for second in range(first, int(end_s) + 1, step):
        x = axes.x(second - begin_s)
        yield f'<line class="axis" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + 4}"/>'
        yield text(x, top + 16, str(second), "tick middle")
    yield f'<line class="axis" x1="84" y1="{top}" x2="{_WIDTH - 12}" y2="{top}"/>'
    yield text(4, top + 16, "time, s", "label")


def _newest_words(stream: Stream) -> dict[Shown, float]:
    """How long before each message the newest word was spoken that it was the first to show."""
    ages: dict[float, float] = {}
    for item in stream.seen:
        if item.seen_s is not None and item.lag_s is not None:
            ages[item.seen_s] = min(item.lag_s, ages.get(item.seen_s, item.lag_s))
    return {shown: ages[shown.at_s] for shown in stream.track.shown if shown.at_s in ages}


def _row(shown: Shown, before: str, age_s: float | None) -> str:
    kind = "final" if shown.final else "partial"
    bar = ""
    if age_s is not None:
        share = 100 * min(1.0, max(0.0, age_s) / _BAR_S)
        late = " late" if age_s > HELD_WITHIN_S else ""
        bar = f'<span class="bar{late}" style="width:{share:.0f}%"></span><b>{age_s:.2f}</b>'
    return (
        f'<tr class="{kind}"><td class="n">{shown.at_s:.2f}</td><td>{kind}</td>'
        f'<td class="n">{shown.utterance}</td><td>{changes(before, shown.text)}</td>'
        f'<td class="lag">{bar}</td></tr>'
    )


def changes(before: str, after: str) -> str:
    """A text with what is new in it marked, and what it no longer has struck out."""
    old, new = before.split(), after.split()
    found = SequenceMatcher(None, _compared(old), _compared(new), autojunk=False)
    parts = []
    for kind, old_start, old_end, new_start, new_end in found.get_opcodes():
        gone = escape(" ".join(old[old_start:old_end]))
        come = escape(" ".join(new[new_start:new_end]))
        if kind == "equal":
            parts.append(come)
            continue
        parts += [f"<del>{gone}</del>"] if gone else []
        parts += [f"<ins>{come}</ins>"] if come else []
    return " ".join(parts)


def _compared(words: list[str]) -> list[str]:
    return [" ".join(tokens(word)) for word in words]
