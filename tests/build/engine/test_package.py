"""The package is found where PyPI's `build` is installed too, as in NVIDIA's image."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.build.engine.support import ROOT


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["-m", "build.engine", "profiles"], ROOT),
        (["-c", "import build.engine.verify; print('profile')"], Path("/")),
    ],
)
def test_ours_goes_before_the_one_of_pypi(
    arguments: list[str], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "__init__.py").write_text('"""The frontend of Python builds."""\n')
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("profile")
