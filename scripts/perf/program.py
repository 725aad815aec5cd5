"""One run of perf_analyzer: started in a folder of its own, watched, ended in time.

It knows neither what is measured nor what the numbers mean. What perf_analyzer says stays in the
folder, and of a failure the line that tells why is in the error.
"""

import re
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from build import fetch_perf_analyzer

OUTPUT_FILE = "output.txt"
ERRORS_FILE = "errors.txt"
COMMAND_FILE = "command.txt"

_TELLING = re.compile(r"error|fail|invalid|no valid", re.IGNORECASE)
_TICK_S = 1.0


class ProgramError(Exception):
    """perf_analyzer is not there, or it has failed; the message is one line."""


def program() -> list[str]:
    """What starts perf_analyzer.

    Raises:
        ProgramError: it is not there or does not start.
    """
    if not fetch_perf_analyzer.is_runnable():
        raise ProgramError(
            "perf_analyzer is missing: fetch it with make perf, or with "
            "python build/fetch_perf_analyzer.py"
        )
    return fetch_perf_analyzer.command()


def run(
    command: Sequence[str], folder: Path, limit_s: float, tick: Callable[[float], None]
) -> None:
    """Run it in `folder`; `tick` is told about every second how long it has run.

    Raises:
        ProgramError: it ended with an error, or not within `limit_s`.
    """
    (folder / COMMAND_FILE).write_text(f"{shlex.join(command)}\n", encoding="utf-8")
    with (folder / OUTPUT_FILE).open("wb") as output, (folder / ERRORS_FILE).open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
        try:
            _wait(process, limit_s, tick)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise ProgramError(f"perf_analyzer says: {reason(folder)}")


def reason(folder: Path) -> str:
    """Why it failed, as it says itself: its first line about an error, or else its last line."""
    said = [_lines(folder / name) for name in (ERRORS_FILE, OUTPUT_FILE)]
    for lines in said:
        if telling := [line for line in lines if _TELLING.search(line)]:
            return telling[0]
    return next((lines[-1] for lines in said if lines), "nothing at all")


def warnings(folder: Path) -> list[str]:
    """What it warns of in a run that has succeeded."""
    marker = "[WARNING] "
    found = [line for line in _lines(folder / OUTPUT_FILE) if line.startswith(marker)]
    return [line.removeprefix(marker) for line in found]


def _wait(process: subprocess.Popen[bytes], limit_s: float, tick: Callable[[float], None]) -> None:
    began_s = time.monotonic()
    while True:
        passed_s = time.monotonic() - began_s
        if passed_s > limit_s:
            raise ProgramError(
                f"perf_analyzer has not ended after {limit_s:.0f} s: the server is too far behind"
            )
        tick(passed_s)
        try:
            process.wait(min(_TICK_S, limit_s))
        except subprocess.TimeoutExpired:
            continue
        return


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]
