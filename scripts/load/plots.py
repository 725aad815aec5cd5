"""Plots as inline SVG: lines over a number of streams, stacked bars, a stream's timeline.

Pure: numbers in, markup out. Colours and text styles are classes of page.css, so that a plot is
right on a light page and on a dark one. Coordinates are CSS pixels at the plot's natural width.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

LABEL_HEIGHT = 13
"""Lines of text closer than this overlap."""
_STEPS = (1, 2, 2.5, 5, 10)


class Line(NamedTuple):
    """One line of a plot; None: no value there."""

    name: str
    style: str
    """`p50`, `p95`, `plain` or `muted`."""
    values: Sequence[float | None]


@dataclass(frozen=True)
class Axes:
    """The area that data is drawn in, and the scales."""

    x_most: float
    y_most: float
    width: float = 350
    height: float = 220
    left: float = 42
    right: float = 46
    top: float = 12
    bottom: float = 36

    def x(self, value: float) -> float:
        inner = self.width - self.left - self.right
        return self.left + inner * value / self.x_most

    def y(self, value: float) -> float:
        inner = self.height - self.top - self.bottom
        return self.top + inner * (1 - min(value, self.y_most) / self.y_most)


def ticks(most: float, wanted: int = 4) -> list[float]:
    """Round values from 0 to at least `most`, about as many as wanted."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / wanted
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(size * magnitude for size in _STEPS if size * magnitude >= rough * 0.999)
    count = math.ceil(most / step - 1e-9)
    return [round(step * index, 10) for index in range(count + 1)]


def lines(
    title: str, x_values: Sequence[int], plotted: Sequence[Line], *, limit: float | None = None
) -> str:
    """Lines over numbers of streams; `limit`: a dashed line that values should stay under."""
    known = [value for line in plotted for value in line.values if value is not None]
    y_ticks = ticks(max([*known, *([limit] if limit is not None else [])], default=1.0) * 1.04)
    axes = Axes(max(x_values) * 1.02, y_ticks[-1])
    parts = [*_grid(axes, y_ticks), *_stream_axis(axes, x_values)]
    if limit is not None:
        y = axes.y(limit)
        parts.append(_stroke(axes.left, y, axes.width - axes.right, y, "limit"))
    for line in plotted:
        parts += _line(axes, x_values, line)
    parts += _end_labels(axes, x_values, plotted)
    return svg(title, axes.width, axes.height, parts)


def held_bars(x_values: Sequence[int], held: Sequence[int]) -> str:
    """Streams that were held, before the streams that were offered."""
    y_ticks = ticks(max(x_values) * 1.04)
    width = 350.0
    axes = Axes(len(x_values), y_ticks[-1], width=width, right=12)
    bar = min(44.0, 0.55 * (axes.x(1) - axes.x(0)))
    parts = [*_grid(axes, y_ticks, whole=True)]
    for index, (offered, kept) in enumerate(zip(x_values, held, strict=True)):
        middle = axes.x(index + 0.5)
        for value, style in ((offered, "offered"), (kept, "held")):
            parts.append(
                f'<rect class="{style}" x="{middle - bar / 2:.1f}" y="{axes.y(value):.1f}" '
                f'width="{bar:.1f}" height="{axes.y(0) - axes.y(value):.1f}" rx="2">'
                f"<title>{kept} of {offered} held</title></rect>"
            )
        parts.append(text(middle, axes.y(offered) - 4, f"{kept}/{offered}", "value middle"))
        parts.append(text(middle, axes.y(0) + 15, str(offered), "tick middle"))
    parts.append(_x_title(axes))
    return svg("Held streams", axes.width, axes.height, parts)


class Bar(NamedTuple):
    """A row of stacked bars: what it is and its parts in the order of the legend."""

    name: str
    parts: Sequence[float]
    total: str


def stacked(title: str, kinds: Sequence[str], bars: Sequence[Bar], unit: str) -> str:
    """Rows of parts beside each other, with shares written where they fit."""
    row, left, right, width = 34, 84, 64, 1080
    x_ticks = ticks(max(sum(bar.parts) for bar in bars), 6)
    scale = (width - left - right) / x_ticks[-1]
    height = 16 + row * len(bars) + 34
    parts = []
    for value in x_ticks:
        x = left + value * scale
        parts.append(_stroke(x, 8, x, height - 36, "grid"))
        parts.append(text(x, height - 21, f"{value:g}", "tick middle"))
    parts.append(text(left, height - 5, unit, "tick"))
    for index, bar in enumerate(bars):
        y = 12 + row * index
        parts.append(text(left - 8, y + 17, bar.name, "label end"))
        parts += _stack(kinds, bar, left, y, scale)
        parts.append(text(left + sum(bar.parts) * scale + 7, y + 17, bar.total, "value"))
    return svg(title, width, height, parts)


def _stack(kinds: Sequence[str], bar: Bar, left: float, y: float, scale: float) -> Iterator[str]:
    total = sum(bar.parts)
    x = left
    for index, (kind, part) in enumerate(zip(kinds, bar.parts, strict=True)):
        width = part * scale
        share = f"{100 * part / total:.0f} %" if total else ""
        yield (
            f'<rect class="kind{index}" x="{x:.1f}" y="{y}" width="{max(0.0, width - 1):.1f}" '
            f'height="24"><title>{escape(kind)}: {part:.4f} ({share})</title></rect>'
        )
        if width > 40:
            yield text(x + width / 2, y + 16, share, f"inside kind{index}ink middle")
        x += width


def short(value: float) -> str:
    """A value in the room beside a point."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def svg(title: str, width: float, height: float, parts: Iterable[str]) -> str:
    """A drawing that shrinks with the page but does not grow over its natural size."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" style="max-width:{width:g}px" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, content: str, style: str) -> str:
    """A line of text; `style` holds `middle` or `end` where it does not begin at x."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(content)}</text>'


def _stroke(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _grid(axes: Axes, y_ticks: Sequence[float], *, whole: bool = False) -> Iterator[str]:
    for value in y_ticks:
        if whole and value != int(value):
            continue
        y = axes.y(value)
        yield _stroke(axes.left, y, axes.width - axes.right, y, "grid" if value else "axis")
        yield text(axes.left - 7, y + 4, f"{value:g}", "tick end")


def _stream_axis(axes: Axes, x_values: Sequence[int]) -> Iterator[str]:
    behind = -math.inf
    for value in x_values:
        x = axes.x(value)
        if x - behind >= 8 * len(str(value)) + 2:
            yield text(x, axes.y(0) + 15, str(value), "tick middle")
            behind = x
    yield _x_title(axes)


def _x_title(axes: Axes) -> str:
    middle = (axes.left + axes.width - axes.right) / 2
    return text(middle, axes.height - 5, "streams", "tick middle")


def _line(axes: Axes, x_values: Sequence[int], line: Line) -> Iterator[str]:
    points = [
        (axes.x(x), axes.y(value), x, value)
        for x, value in zip(x_values, line.values, strict=True)
        if value is not None
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    yield f'<polyline class="line {line.style}" points="{path}"/>'
    for x, y, streams, value in points:
        yield (
            f'<circle class="dot {line.style}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
            f"<title>{escape(line.name)} at {streams} streams: {value:.3g}</title></circle>"
        )


def _end_labels(axes: Axes, x_values: Sequence[int], plotted: Sequence[Line]) -> Iterator[str]:
    """The last values beside their points, apart from each other."""
    last = [
        (axes.y(value), value, line.style)
        for line in plotted
        if (value := line.values[-1]) is not None
    ]
    below = -math.inf
    for y, value, style in sorted(last):
        below = max(y + 4, below + LABEL_HEIGHT)
        yield text(axes.x(x_values[-1]) + 9, below, short(value), f"value {style}ink")
