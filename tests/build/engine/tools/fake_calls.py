"""What the scripts in the place of the tools share: a log of calls, and failures on demand."""

import os
import signal
import sys
import time
from pathlib import Path


def note(call: str) -> None:
    """Write a call to the log."""
    with Path(os.environ["FAKE_CALLS"]).open("a", encoding="utf-8") as log:
        log.write(f"{call}\n")


def misbehave(name: str) -> None:
    """Fail, end well too early, or interrupt the build, if FAKE_FAULT says so of this tool."""
    tool, _, fault = os.environ.get("FAKE_FAULT", "").partition(":")
    if tool != name:
        return
    if fault == "interrupt":
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
    sys.exit(0 if fault == "nothing" else int(fault))
