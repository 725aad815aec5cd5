"""A child process that cannot outlive the one that started it.

It runs in a session of its own, so Ctrl-C reaches only its parent, which decides the order in
which things end; its whole process group is killed when it is stopped; and the kernel kills it
should the parent die without saying goodbye. It does not know what it runs.

Run as a script this module is the little program in between: it asks the kernel for that signal
and becomes the real one. (Python's own hook for it, `preexec_fn`, is unsafe in a parent with
threads, and gRPC has some.)
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO

TAIL_LINES = 15
KILL_TIMEOUT_S = 5
"""Of a process that waits for a device's driver not even SIGKILL is an end."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child:
    """One running program."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        """Its output goes to `log`, which is begun anew; None: where this process's goes."""
        with _output(log) as output:
            self._process = subprocess.Popen(
                [sys.executable, "-IS", __file__, str(os.getpid()), *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, which is also its process group's."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Its exit status, or None when it has not ended by then."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def send_signal(self, number: int) -> None:
        """Pass a signal on."""
        self._process.send_signal(number)

    def stop(self, grace_s: float) -> None:
        """Ask it to end, and after `grace_s` kill it with all it has started."""
        if self.status is None:
            self._process.terminate()
            self.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """End it with all it has started, at once. One that the kernel holds is not waited for."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(KILL_TIMEOUT_S)


def _output(log: Path | None) -> AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return nullcontext()
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("wb")


def tail(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """The last lines of a log."""
    return log.read_text(errors="replace").splitlines()[-lines:]


def _become(parent: int, command: Sequence[str]) -> None:
    """Turn this process into `command`, to be killed when `parent` dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)
    os.execvp(command[0], list(command))


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
