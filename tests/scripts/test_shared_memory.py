"""What a killed Triton leaves in shared memory is removed, and nobody else's."""

import os
import subprocess
from pathlib import Path

import pytest

from scripts import shared_memory


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of /dev/shm."""
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    return tmp_path


def region(folder: Path, owner: int, port: int) -> Path:
    path = folder / f"{shared_memory.prefix(owner, port)}region"
    path.touch()
    return path


def test_only_the_shared_memory_of_dead_supervisors_is_abandoned(folder: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    region(folder, ended.pid, 8001)
    alive = region(folder, os.getpid(), 8001)
    foreign = folder / "streaming_whisperer"
    foreign.touch()
    shared_memory.remove_abandoned()
    assert sorted(folder.iterdir()) == sorted([alive, foreign])


def test_a_supervisor_removes_what_one_of_its_tritons_has_left(folder: Path) -> None:
    region(folder, 7, 8001)
    other = region(folder, 7, 80010)
    shared_memory.remove(shared_memory.prefix(7, 8001))
    assert list(folder.iterdir()) == [other]
