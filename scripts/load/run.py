"""What was run, where and when: what makes numbers comparable. Knows nothing of the numbers."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scripts.load.playlist import Mix
from scripts.load.track import Clip

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """A load test's circumstances."""

    begun: datetime
    command: str
    url: str
    cpu: str
    cores: int
    commit: str
    """Empty where the sources are in no repository."""
    interval_s: float
    mix: Mix
    ramp_s: float
    clips: Sequence[Clip]

    @property
    def calibrated(self) -> int:
        """Recordings whose words the server gave times for."""
        return sum(clip.speech.measured for clip in self.clips)

    def facts(self) -> dict[str, str]:
        """For people, in the order of importance."""
        mix = self.mix
        languages = ", ".join(dict.fromkeys(clip.language for clip in self.clips))
        audio_s = sum(clip.duration_s for clip in self.clips)
        forms = ", ".join(f"{form.encoding} {form.rate_hz / 1000:g} kHz" for form in mix.forms)
        return {
            "when": f"{self.begun:%Y-%m-%d %H:%M}",
            "machine": f"{self.cpu}, {self.cores} cores",
            "commit": self.commit or "unknown",
            "server": self.url,
            "steps": f"{mix.duration_s:g} s per stream, started over {self.ramp_s:g} s",
            "recordings": f"{len(self.clips)} of {audio_s:.0f} s in all ({languages}), "
            f"talk ratio {mix.talk_ratio:g}, seed {mix.seed}",
            "audio": forms,
            "language": "detected" if mix.detect_language else "given",
            "partials": f"every {self.interval_s:g} s",
            "word times": f"from the server for {self.calibrated} of {len(self.clips)} recordings"
            + ("" if self.calibrated == len(self.clips) else ", the rest spread evenly"),
        }


def command_line(script: str, arguments: Sequence[str]) -> str:
    """What to type to run it again."""
    return shlex.join(["python", script, *arguments])


def cpu_model() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """The commit of the sources, marked where they differ from it."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=, changed", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()
