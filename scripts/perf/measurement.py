"""A test under way: one run of perf_analyzer for each load, and a table of what they gave.

It knows none of the subjects: what is asked, and what is read from the answer, is a
`Subject`'s own.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from scripts.load.live import Live
from scripts.perf import program, table
from scripts.perf.machine import Meter, Used
from scripts.perf.program import ProgramError
from scripts.perf.report import ReportError
from scripts.perf.server import ServerError

INPUT = "input.json"


class Step(Protocol):
    """What one load gave."""

    def document(self) -> dict[str, Any]:
        """For machines."""


StepT = TypeVar("StepT", bound=Step)


class Subject(Protocol[StepT]):
    """What is measured."""

    columns: ClassVar[tuple[str, ...]]
    advice: ClassVar[str]
    """What to do when a step fails for want of numbers."""

    @property
    def address(self) -> str:
        """Where Triton's gRPC listens."""

    def describe(self, load: int) -> str:
        """A step, for people."""

    def limit_s(self) -> float:
        """When a step has certainly failed."""

    def input(self) -> Mapping[str, Any]:
        """What perf_analyzer sends in the next step."""

    def arguments(self, load: int, input_file: str) -> list[str]:
        """perf_analyzer's, for one step."""

    def read(self, load: int, folder: Path) -> StepT:
        """The result of a step. Raises ReportError."""

    def cells(self, step: StepT, first: StepT) -> list[str]:
        """One step, in the order of `columns`."""


@dataclass(frozen=True)
class Done(Generic[StepT]):
    """A step that is complete."""

    step: StepT
    used: Used


@dataclass
class Measurement(Generic[StepT]):
    """Steps that are complete, and what is to be said besides. Each has a folder in `folder`."""

    subject: Subject[StepT]
    folder: Path
    facts: dict[str, str]
    done: list[Done[StepT]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failed: bool = False

    def go(self, starter: Sequence[str], loads: Iterable[int], live: Live) -> None:
        """Step after step; one that fails is remarked upon, and the next one follows."""
        for load in loads:
            name = self.subject.describe(load)
            live.begin(load, self.subject.limit_s())
            try:
                self._step(starter, load, name, live)
            except (ProgramError, ReportError, ServerError) as error:
                self.failed = True
                self.remarks.append(f"{name}: {error} ({self.subject.advice})")
            finally:
                live.end()

    def _step(self, starter: Sequence[str], load: int, name: str, live: Live) -> None:
        live.say(f"{name}: making the input")
        folder = self.folder / str(load)
        folder.mkdir()
        (folder / INPUT).write_text(json.dumps(self.subject.input()), encoding="ascii")
        arguments = self.subject.arguments(load, INPUT)
        self.facts["perf_analyzer"] = f"`{shlex.join(['perf_analyzer', *arguments])}`"
        tick = partial(_say, live, name)
        meter = Meter.of_server(self.subject.address)
        try:
            program.run([*starter, *arguments], folder, self.subject.limit_s(), tick)
        finally:
            used = meter.used()
            said = [*program.warnings(folder), *used.remarks()]
            self.remarks += [f"{name}: {remark}" for remark in said]
        self.done.append(Done(self.subject.read(load, folder), used))

    def plain(self) -> Iterator[str]:
        """For a terminal."""
        yield from (f"{name}: {value}" for name, value in self.facts.items())
        yield ""
        yield from table.plain(self._columns(), self._rows())
        yield from self.remarks
        yield f"\nInput of perf_analyzer and what it has written: {self.folder}"

    def markdown(self) -> Iterator[str]:
        """For a document."""
        yield from table.markdown(self.facts, self._columns(), self._rows(), self.remarks)

    def document(self) -> dict[str, Any]:
        """For machines."""
        steps = [{**each.step.document(), "machine": asdict(each.used)} for each in self.done]
        return {"facts": self.facts, "steps": steps, "remarks": self.remarks}

    def _columns(self) -> list[str]:
        return [*self.subject.columns, "server cores"]

    def _rows(self) -> list[list[str]]:
        cells = self.subject.cells
        return [
            [*cells(each.step, self.done[0].step), table.number(each.used.server_cores, 2)]
            for each in self.done
        ]


def _say(live: Live, name: str, passed_s: float) -> None:
    live.say(f"{name}: {passed_s:.0f} s")
