"""Puts what a tool writes into place: a folder appears whole or not at all.

It knows no tool, only the files that each has to leave behind.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from build.engine.errors import StepFailedError
from pipeline.engine_manifest import MANIFEST_FILE

CHECKPOINT_FILES = (
    *("encoder/config.json", "encoder/rank0.safetensors"),
    *("decoder/config.json", "decoder/rank0.safetensors"),
)
ENGINE_FILES = ("config.json", "rank0.engine")
ACCEPTANCE_FILE = "acceptance.json"


def partial_of(folder: Path) -> Path:
    """Where a folder is written before it gets its name."""
    return folder.with_name(f".{folder.name}.partial")


def make_folder(folder: Path, wanted: Sequence[str], make: Callable[[], None]) -> None:
    """Let `make` write into `partial_of(folder)`, and give that its name if nothing is missing.

    Raises:
        StepFailedError: `make` left some of the `wanted` files out, or empty.
    """
    partial = partial_of(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    make()
    missing = [name for name in wanted if not _is_filled(partial / name)]
    if missing:
        raise StepFailedError(f"the command ended well, but {', '.join(missing)} is not there")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def withdraw(engine: Path, to: str | None = None) -> None:
    """Take the manifest away (or rename it `to`), so that the folder is no finished engine."""
    manifest = engine / MANIFEST_FILE
    if to is not None and manifest.is_file():
        manifest.replace(engine / to)
    manifest.unlink(missing_ok=True)
    (engine / ACCEPTANCE_FILE).unlink(missing_ok=True)


def _is_filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
