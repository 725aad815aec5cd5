"""Steps of a build: each runs once for its inputs, in order, and the first failure ends it all.

It knows neither what the steps do nor where.
"""

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from build.engine.errors import StepFailedError
from build.engine.stamps import Stamps


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and what is added to its environment."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def line(self) -> str:
        """As one would type it."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*settings, shlex.join(self.argv)])

    def run(self, folder: Path) -> None:
        """Run it in a folder, its output where ours goes.

        Raises:
            StepFailedError: it failed, or is not there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.environment}
        try:
            process = subprocess.Popen(self.argv, cwd=folder, env=environment)
        except OSError as error:
            raise StepFailedError(
                f"{self.argv[0]} cannot be run: {error.strerror} (run the build inside the pinned "
                "image)"
            ) from error
        try:
            status = process.wait()
        finally:  # an interrupted build leaves no tool behind that still writes
            process.kill()
            process.wait()
        if status:
            raise StepFailedError(f"{self.argv[0]} failed, its message is above", status)


@dataclass(frozen=True)
class Step:
    """A part of a build.

    `lines` say what it does, commands as they are run. `inputs` is asked when the steps before it
    are done; without it the step is done every time.
    """

    name: str
    lines: Sequence[str]
    run: Callable[[], None]
    inputs: Callable[[], Mapping[str, str]] | None = None
    outputs: tuple[Path, ...] = ()
    owner: str = ""
    """What it is done for; steps of one name and owner are the same in every build."""

    @property
    def key(self) -> str:
        """What its stamp is called."""
        return f"{self.owner} {self.name}".strip()


class Run:
    """The steps on their way, so that whoever stops them can be told which one it was."""

    def __init__(
        self, steps: Sequence[Step], stamps: Stamps, say: Callable[[str], None] = print
    ) -> None:
        self._steps = steps
        self._stamps = stamps
        self._say = say
        self.current = ""
        """The step that is being done."""

    def go(self) -> None:
        """Do the steps that are not done already, in order; an error ends it and is passed on."""
        for number, step in enumerate(self._steps, 1):
            self.current = step.name
            self._do(step, f"[{number}/{len(self._steps)}] {step.name}")

    def _do(self, step: Step, heading: str) -> None:
        inputs = step.inputs() if step.inputs else None
        why = "" if inputs is None else self._stamps.changed(step.key, inputs, step.outputs)
        if why is None:
            self._say(f"{heading}: done already")
            return
        self._say(f"{heading}: {why}" if why else heading)
        for line in step.lines:
            self._say(f"    {line}")
        self._stamps.forget(step.key)
        step.run()
        if inputs is not None:
            self._stamps.write(step.key, inputs, step.outputs)
