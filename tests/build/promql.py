"""PromQL as data: which series a query reads, by the parser of the Rust implementation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser

INTERVAL = "$__rate_interval"
"""Grafana's variable for a range that always holds enough samples."""


@dataclass(frozen=True)
class Selector:
    """A series that a query reads."""

    name: str
    labels: frozenset[str]
    """Those that it picks by."""


def selectors(query: str) -> list[Selector]:
    """The series that a query reads.

    Raises:
        ValueError: it is no PromQL.
    """
    return list(_selectors(promql_parser.parse(query.replace(INTERVAL, "1m"))))


def grouped_by(query: str) -> set[str]:
    """Labels by which a query adds up."""
    found: set[str] = set()
    for node in _nodes(promql_parser.parse(query.replace(INTERVAL, "1m"))):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found |= set(node.modifier.labels)
    return found


def _selectors(expression: Any) -> Iterator[Selector]:
    for node in _nodes(expression):
        if isinstance(node, promql_parser.VectorSelector):
            labels = frozenset(matcher.name for matcher in node.matchers.matchers)
            yield Selector(node.name or "", labels)


def _nodes(expression: Any) -> Iterator[Any]:
    yield expression
    for part in ("lhs", "rhs", "expr", "param", "vector_selector"):
        if (below := getattr(expression, part, None)) is not None:
            yield from _nodes(below)
    for argument in getattr(expression, "args", ()):
        yield from _nodes(argument)
