"""The shared memory in which Triton's Python stages exchange tensors, and what is left of it.

Triton removes its regions when it ends in order; one that is killed leaves them behind. Their names
say whose they are: the process that has started Triton, and Triton's port. It imports the standard
library alone.
"""

from contextlib import suppress
from pathlib import Path

PREFIX = "streaming_whisper"
FOLDER = Path("/dev/shm")


def prefix(owner: int, port: int) -> str:
    """A prefix that no other server's regions have; `owner` is the supervisor's process id."""
    return f"{PREFIX}_{owner}_{port}_"


def remove(names: str) -> None:
    """Remove the regions whose names begin so; their Triton has ended."""
    for region in FOLDER.glob(f"{names}*"):
        with suppress(FileNotFoundError):
            region.unlink()


def remove_abandoned() -> None:
    """Remove the regions whose supervisor is gone: it was killed and could not do it."""
    for region in FOLDER.glob(f"{PREFIX}_*"):
        owner = region.name.removeprefix(f"{PREFIX}_").partition("_")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            remove(f"{PREFIX}_{owner}_")
