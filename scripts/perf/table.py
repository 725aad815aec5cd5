"""Tables for a terminal and for Markdown. Pure: cells in, lines out."""

from collections.abc import Iterator, Mapping, Sequence

NOTHING = "-"

Row = Sequence[str]


def plain(columns: Row, rows: Sequence[Row]) -> Iterator[str]:
    """Aligned columns."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def markdown(
    facts: Mapping[str, str], columns: Row, rows: Sequence[Row], remarks: Sequence[str]
) -> Iterator[str]:
    """The table of a document with its circumstances."""
    yield from (f"- {name}: {value}" for name, value in facts.items())
    yield ""
    for row in (columns, ["---:" for _ in columns], *rows):
        yield f"| {' | '.join(row)} |"
    yield from ["", *(f"- {remark}" for remark in remarks)] if remarks else []


def number(value: float | None, digits: int = 0) -> str:
    """A value, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def ratio(value: float, first: float) -> str:
    """A value in terms of the first row's."""
    return f"{value / first:.2f}" if first else NOTHING
