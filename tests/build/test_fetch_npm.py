"""`build/fetch_npm.py`, with npm itself and packages that need no registry."""

import json
from pathlib import Path

import pytest

from build import fetch_npm
from build.fetch_npm import NpmError, fetch

NOTHING = {"name": "nothing", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {}}}


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lock of nothing."""
    folder = tmp_path / "pinned"
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "nothing", "version": "1.0.0"}')
    (folder / "package-lock.json").write_text(json.dumps(NOTHING))
    monkeypatch.setattr(fetch_npm, "PINNED", folder)
    return folder


def test_it_installs_what_is_pinned_and_does_it_once(pinned: Path, tmp_path: Path) -> None:
    folder = fetch(tmp_path / "npm")
    (folder / "node_modules").mkdir(exist_ok=True)
    (folder / "node_modules" / "mark").touch()
    assert fetch(folder) == folder
    assert (folder / "node_modules" / "mark").exists()


def test_another_lock_is_installed_anew(pinned: Path, tmp_path: Path) -> None:
    folder = fetch(tmp_path / "npm")
    (folder / "node_modules").mkdir(exist_ok=True)
    (folder / "node_modules" / "mark").touch()
    (pinned / "package-lock.json").write_text(json.dumps(NOTHING, indent=1))
    fetch(folder)
    assert not (folder / "node_modules" / "mark").exists()


def test_what_npm_refuses_is_not_taken_for_installed(pinned: Path, tmp_path: Path) -> None:
    (pinned / "package.json").write_text('{"dependencies": {"left-pad": "1.3.0"}}')  # not locked
    with pytest.raises(NpmError, match="fetch_npm"):
        fetch(tmp_path / "npm")
    assert not (tmp_path / "npm" / fetch_npm.STAMP).exists()


def test_every_package_of_the_lock_is_pinned_by_hash() -> None:
    lock = json.loads((fetch_npm.PINNED / "package-lock.json").read_text())
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    assert len(packages) > 100
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
