"""`build/make_venv.sh` where the machine lacks something: one line, and no folder."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "build/make_venv.sh"
TOOLS = ("bash", "dirname", "env")
"""All that the script finds on the test's machine: no Python, and no apt-get to install one."""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return folder


def add_python(machine: Path, name: str, *, fails_at: str) -> None:
    """This Python under another name, with a failure where its arguments have `fails_at`."""
    path = machine / name
    path.write_text(
        f'#!/usr/bin/env bash\n[[ "$*" == *{fails_at!r}* ]] && exit 1\nexec {sys.executable} "$@"\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def make_venv(machine: Path, python: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine), "PYTHON": python, "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [str(SCRIPT), str(machine.parent / "venv")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    for part in parts:
        assert part in result.stderr


def test_without_any_python_it_says_which_are_accepted(machine: Path) -> None:
    assert_one_line(make_venv(machine), "no Python 3.11 or 3.12", "PYTHON=/path/to/it")
    assert not (machine.parent / "venv").exists()


def test_a_python_that_is_asked_for_and_unfit_is_named(machine: Path) -> None:
    assert_one_line(make_venv(machine, "/opt/pythons/3.9"), "/opt/pythons/3.9")


def test_without_venv_it_names_the_package(machine: Path) -> None:
    add_python(machine, "python3", fails_at="import ensurepip")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert_one_line(make_venv(machine), f"sudo apt-get install python{version}-venv")


def test_a_name_that_does_not_run_is_passed_over(machine: Path) -> None:
    add_python(machine, "python3.12", fails_at="import sys")
    add_python(machine, "python3.11", fails_at="nothing of the kind")
    result = make_venv(machine)
    assert result.returncode == 0, result.stderr
    packages = next((machine.parent / "venv/lib").glob("python3.*")) / "site-packages"
    assert (packages / "streaming_whisper.pth").read_text().strip() == "../../../.."
