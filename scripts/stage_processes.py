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
_PROGRAMS = frozenset({"triton_python_backend_stub", "trtllmExecutorWorker"})
"""What Triton's backends start for their models."""
_COMM_LENGTH = 15
"""As much of a program's name as the kernel keeps."""


class _Stat(NamedTuple):
    """What /proc/PID/stat says (man proc_pid_stat)."""

    program: str
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
        if stat is not None and stat.parent == triton:
            name = _stage(folder) or _program(stat)
            if name is not None:
                found.append(StageProcess(name, int(folder.name), stat.started))
    return found


def _stage(folder: Path) -> str | None:
    """The Python stage whose process it is. One that has ended has no command line any more."""
    with suppress(OSError):
        for argument in (folder / "cmdline").read_text(errors="replace").split("\0"):
            if stage := _STAGE.search(argument):
                return stage[1]
    return None


def _program(stat: _Stat) -> str | None:
    return next((name for name in _PROGRAMS if name[:_COMM_LENGTH] == stat.program), None)


def _stat(folder: Path) -> _Stat | None:
    try:
        text = (folder / "stat").read_text(errors="replace")
    except OSError:  # it has ended
        return None
    front, _, rest = text.rpartition(")")  # a program's name may have blanks and brackets
    fields = rest.split()
    return _Stat(front.partition("(")[2], fields[0], int(fields[1]), int(fields[19]))
