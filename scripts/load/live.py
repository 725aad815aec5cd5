"""A load test while it runs: one line that is rewritten on a terminal, now and then a line
elsewhere. What it shows is rough; the exact numbers come from the tracks at the end."""

import shutil
import time
from collections import deque
from typing import TextIO

from scripts.load.metrics import quantile
from scripts.load.results import Machine
from scripts.load.track import Shown, Track

PLAIN_EVERY_S = 10.0
RECENT = 200
"""Messages of all streams that the ages shown are taken from."""


class Live:
    """Shows one step after the other on `out`."""

    def __init__(self, out: TextIO, *, terminal: bool | None = None) -> None:
        self._out = out
        self._terminal = out.isatty() if terminal is None else terminal
        self.begin(0, 0.0)

    def begin(self, streams: int, length_s: float) -> None:
        """A step starts that will take about so long."""
        self._said_s = 0.0
        self._streams = streams
        self._length_s = length_s
        self._began_s = time.monotonic()
        self._partials = self._finals = 0
        self._partial_ages: deque[float] = deque(maxlen=RECENT)
        self._final_ages: deque[float] = deque(maxlen=RECENT)

    def note(self, track: Track, shown: Shown) -> None:
        """A message has arrived."""
        self._finals += shown.final
        self._partials += not shown.final
        if shown.end_s is not None:
            (self._final_ages if shown.final else self._partial_ages).append(
                shown.at_s - shown.end_s
            )

    def show(self, tracks: list[Track], open_streams: int, machine: Machine) -> None:
        """The state of things, for the second that has passed."""
        if self._terminal or self._is_due():
            self._write(self._line(tracks, open_streams, machine))

    def say(self, text: str) -> None:
        """What is being done, where the next line will be."""
        if self._terminal or self._is_due():
            self._write(text)

    def end(self) -> None:
        """The line is no longer true: take it away."""
        if self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _line(self, tracks: list[Track], open_streams: int, machine: Machine) -> str:
        passed_s = time.monotonic() - self._began_s
        failed = sum(track.failure is not None for track in tracks)
        parts = [
            f"{passed_s:3.0f}/{self._length_s:.0f} s",
            f"{open_streams}/{self._streams} open",
            f"{self._partials} partials{_age(self._partial_ages)}",
            f"{self._finals} finals{_age(self._final_ages)}",
            *([f"{failed} failed"] if failed else []),
            *([f"{machine.cores:.2f} cores"] if machine.cores is not None else []),
            f"generator {machine.generator_cpu_s / machine.wall_s:.2f}",
        ]
        return "  ".join(parts)

    def _is_due(self) -> bool:
        """Whether the last line is old enough for another one."""
        now_s = time.monotonic()
        due = now_s - self._said_s >= PLAIN_EVERY_S
        if due:
            self._said_s = now_s
        return due

    def _write(self, line: str) -> None:
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            self._out.write(f"\r\x1b[K{line[: columns - 1]}")
        else:
            self._out.write(f"{line}\n")
        self._out.flush()


def _age(ages: deque[float]) -> str:
    """How old the newest speech in messages was when they came, median and 95th percentile."""
    ordered = sorted(ages)
    median, high = quantile(ordered, 0.5), quantile(ordered, 0.95)
    return "" if median is None or high is None else f" {median:.2f}-{high:.2f} s old"
