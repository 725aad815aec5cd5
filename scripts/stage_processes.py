"""The processes of Triton's stages: which there are, and which have ended.

Triton starts a process for each Python stage. When one is killed, by the kernel for its memory or
by a defect in a library, Triton stays "ready" and answers every request of that stage with an
error; it never starts another. It reads /proc, and imports the standard library alone.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_STAGE = re.compile(r"/([^/]+)/\d+/model\.py$")
"""In the command line of a Python stage: the model's name."""
_WORKERS = frozenset({"trtllmExecutorWorker"})
"""Programs that other backends start for their models."""


class _Stat(NamedTuple):
    """What /proc/PID/stat says (man proc_pid_stat)."""

    state: str
    parent: int
    started: int
    """Clock ticks since the machine started: tells a process from a later one of its number."""


@dataclass(frozen=True)
class StageProcess:
    """One process, as it was when it was found."""

    name: str
    """The stage's, or the program's."""
    pid: int
    started: int

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more, though Triton may not have taken note of it."""
        stat = _stat(PROC / str(self.pid))
        return stat is None or stat.started != self.started or stat.state in "ZX"


def stage_processes(triton: int) -> list[StageProcess]:
    """The stages' processes that the Triton of this process id has started."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        stat = _stat(folder)
        if stat is not None and stat.parent == triton and (name := _name(folder)) is not None:
            found.append(StageProcess(name, int(folder.name), stat.started))
    return found


def _name(folder: Path) -> str | None:
    """Whose process it is; None: no stage's."""
    arguments: list[str] = []
    with suppress(OSError):
        arguments = (folder / "cmdline").read_text(errors="replace").split("\0")
    for argument in arguments:
        if stage := _STAGE.search(argument):
            return stage[1]
    program = Path(arguments[0]).name if arguments else ""
    return program if program in _WORKERS else None


def _stat(folder: Path) -> _Stat | None:
    try:
        text = (folder / "stat").read_text(errors="replace")
    except OSError:  # it has ended
        return None
    fields = text.rpartition(")")[2].split()  # a program's name may have blanks and brackets
    return _Stat(fields[0], int(fields[1]), int(fields[19]))
