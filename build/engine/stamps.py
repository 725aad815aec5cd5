"""Which steps are done: one small JSON file for each, with what went in and what came out.

A step holds while its inputs are the same and its outputs are as it left them. It knows no step.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path


class Stamps:
    """The stamps of one build, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def changed(self, name: str, inputs: Mapping[str, str], outputs: Iterable[Path]) -> str | None:
        """Why a step has to be done: what is missing or has changed; None: it holds."""
        try:
            stamp = json.loads(self._file(name).read_text(encoding="utf-8"))
            before, made = dict(stamp["inputs"]), dict(stamp["outputs"])
        except FileNotFoundError:
            return "not done yet"
        except (ValueError, KeyError, TypeError):
            return "its stamp cannot be read"
        now = dict(inputs)
        for key in (*now, *before):
            if now.get(key) != before.get(key):
                return f"{key} changed"
        for path in outputs:
            found = fingerprint(path)
            if found != made.get(str(path)):
                return f"{path} changed" if found else f"{path} is missing"
        return None

    def write(self, name: str, inputs: Mapping[str, str], outputs: Iterable[Path]) -> None:
        """A step is done."""
        made = {str(path): fingerprint(path) for path in outputs}
        text = json.dumps({"inputs": dict(inputs), "outputs": made}, indent=1)
        replace_file(self._file(name), text.encode())

    def forget(self, name: str) -> None:
        """A step is about to be done again."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def fingerprint(path: Path) -> str:
    """Size and time of change of a file, or of all files below a folder; empty: nothing is there.

    Not the bytes: checkpoints and engines have gigabytes, and only the steps write them.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        name = file.relative_to(path).as_posix()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest() if files else ""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
