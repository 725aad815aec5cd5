"""What must hold before gigabytes are fetched: the image, the GPU, the disk. It changes nothing."""

from collections.abc import Iterable
from pathlib import Path

from build.engine.errors import StepFailedError
from build.engine.image import Image
from build.engine.machine import Gpu, Machine, the_gpu
from build.engine.models import MIB, WhisperModel
from build.engine.profiles import Profile

RELEASE_SETTING = "NVIDIA_TRITON_SERVER_VERSION"
"""Set by NVIDIA's Triton images."""
SPARE_MIB = 1024
"""For logs, the data set, the small files."""


def check_image(image: Image, machine: Machine) -> None:
    """Raises StepFailedError unless this is the pinned image, by what it says and what is in it."""
    found = machine.version("tensorrt_llm")
    if found != image.tensorrt_llm:
        what = f"TensorRT-LLM {found} is" if found else "TensorRT-LLM is not"
        raise StepFailedError(
            f"{what} installed here, and engines are built with {image.tensorrt_llm}: run the "
            f"build inside {image.name}"
        )
    release = machine.setting(RELEASE_SETTING)
    if release not in (None, image.release):
        raise StepFailedError(
            f"this is Triton's image {release}, and engines are built in {image.name}"
        )
    image.check_example()


def check_gpu(profile: Profile, profiles: Iterable[Profile], machine: Machine) -> Gpu:
    """The GPU, if the profile is for it.

    Raises:
        MachineError: there is no GPU, or several kinds.
        StepFailedError: it is of another kind, or too small.
    """
    gpu = the_gpu(machine)
    if mismatch := profile.mismatch(gpu):
        fitting = [other.name for other in profiles if other.mismatch(gpu) is None]
        advice = f"--profile {' or '.join(fitting)} is" if fitting else "no profile is"
        raise StepFailedError(f"profile {profile.name}: {mismatch}; {advice} for this GPU")
    return gpu


def check_disk(model: WhisperModel, folders: dict[Path, bool], machine: Machine) -> None:
    """See that what is still to be written fits.

    Weights, checkpoint and engine are each about as large as the weights at FP16.

    Args:
        folders: where they go, and whether they are there already.

    Raises:
        StepFailedError: a disk has too little room.
    """
    needed: dict[int, int] = {}
    on: dict[int, Path] = {}
    for folder, done in folders.items():
        disk = _disk_of(folder)
        needed[disk] = needed.get(disk, SPARE_MIB) + (0 if done else int(model.weights_mib))
        on.setdefault(disk, folder)
    for disk, mib in needed.items():
        free = machine.free_bytes(on[disk]) // MIB
        if free < mib:
            raise StepFailedError(
                f"{free} MiB of disk are free at {on[disk]}, and about {mib} MiB are needed: make "
                "room, or name other folders with --assets, --work and --output"
            )


def _disk_of(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.stat().st_dev
