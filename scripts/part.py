"""One of the programs that make up the server: started, waited for, watched, and started again.

It knows how to see that its program is ready or of no use any more, and what to say then; it does
not know what the program does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.child import Child
from scripts.restarts import Restarts
from scripts.triton_server import ROOT
from scripts.triton_watch import TritonWatch

POLL_S = 0.2


class ServerError(Exception):
    """The server could not start or has failed; the message says why, the log's lines below."""


@dataclass
class Part:
    """A program and how to deal with it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    is_ready: Callable[[], bool]
    start_timeout_s: float
    grace_s: float
    """To end by itself when it is told to."""
    error_lines: Callable[[Path], list[str]]
    report: Callable[[str], None]
    tidy: Callable[[], None] = lambda: None
    """Remove what it leaves behind when it is killed."""
    make_watch: Callable[[int], TritonWatch] | None = None
    """By its process id; None: only its end is noticed."""
    restarts: Restarts = field(default_factory=Restarts)
    _child: Child | None = None
    _watch: TritonWatch | None = None
    _start_failed: str | None = None

    def launch(self) -> None:
        """Start it; `wait_until_ready` comes next."""
        self._child = Child(self.command, self.environment, self.log)

    def wait_until_ready(self, check: Callable[[], None]) -> None:
        """Return when it is ready. `check` is called meanwhile.

        Raises:
            ServerError: it is not ready in time. And whatever `check` raises.
        """
        begin = time.monotonic()
        while not self.is_ready():
            check()
            if time.monotonic() - begin > self.start_timeout_s:
                raise self.error(f"was not ready after {self.start_timeout_s:.0f} s")
            time.sleep(POLL_S)
        self.report(f"{self.name} is ready after {time.monotonic() - begin:.1f} s.")

    def check(self) -> None:
        """Raises ServerError when it has ended."""
        if (why := self._why_ended()) is not None:
            raise self.error(why)

    def tend(self) -> None:
        """Start it again if it has ended, or if the watch over it, which begins here, condemns it.

        Raises:
            ServerError: it fails too often.
        """
        why = self._start_failed or self._why_ended() or self._why_condemned()
        if why is not None:
            self._restart(why)

    def stop(self) -> None:
        """End it, and all that it has started."""
        if self._child is not None:
            self._child.stop(self.grace_s)
            self._child = None
        self._end_watch()
        self.tidy()

    def error(self, what: str) -> ServerError:
        """What has happened to it, with what its log says of that."""
        lines = self.error_lines(self.log)
        return ServerError("\n    ".join([f"{self.name} {what}; {shown(self.log)} says:", *lines]))

    def _restart(self, why: str) -> None:
        """Once. When it fails, that is why it has to be done again."""
        pause_s = self.restarts.pause_s(time.monotonic())
        if pause_s is None:
            raise self.error(f"{why}, and has been started again {self.restarts}")
        before = self.log.with_suffix(f".before{self.log.suffix}")
        self.report(f"{self.name} {why}: it is started again (its log: {shown(before)}) ...")
        self._kill()
        self.log.replace(before)
        time.sleep(pause_s)
        self._start_failed = None
        try:
            self.launch()
            self.wait_until_ready(self.check)
        except ServerError:
            self._start_failed = self._why_ended() or "was not ready in time"
            self._kill()

    def _kill(self) -> None:
        """It is of no use any more, so there is nothing to wait for."""
        if self._child is not None:
            self._child.kill()
        self._end_watch()
        self.tidy()

    def _why_ended(self) -> str | None:
        status = None if self._child is None else self._child.status
        return None if status is None else f"has ended with exit status {status}"

    def _why_condemned(self) -> str | None:
        if self._watch is None and self.make_watch is not None and self._child is not None:
            self._watch = self.make_watch(self._child.pid)
        return None if self._watch is None else self._watch.verdict

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


def shown(path: Path) -> str:
    """A path as people see it: from the repository's root where it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
