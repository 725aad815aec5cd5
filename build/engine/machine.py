"""The machine as far as engines care: its GPU or MIG slice, installed packages, free disk.

`Machine` is the one seam to all of that, and `ThisMachine` asks nvidia-smi, Python's package
metadata, the environment and the file system. It knows no profile and no engine.
"""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

from build.engine.errors import EngineError

LIST = ("nvidia-smi", "-L")
"""Names of GPUs and MIG slices; nothing else gives the profile of a slice."""
CAPABILITIES = ("nvidia-smi", "--query-gpu=uuid,compute_cap", "--format=csv,noheader")
DETAILS = ("nvidia-smi", "-q", "-x")
"""Memory of GPUs and of MIG slices: the short query knows no slice."""

_GPU_LINE = re.compile(r"GPU (\d+): (.+) \(UUID: (GPU-[^)]+)\)$")
_MIG_LINE = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)$")
_TIMEOUT_S = 60


class MachineError(EngineError):
    """The machine could not be looked at, or has no GPU that could be used."""


@dataclass(frozen=True)
class Gpu:
    """A whole GPU, or a MIG slice of one."""

    name: str
    """Of the whole GPU: `NVIDIA H100 80GB HBM3`."""
    memory_mib: int
    """Of the GPU or the slice."""
    compute_capability: str
    mig_profile: str | None = None
    """`3g.40gb`; None: the whole GPU."""

    @property
    def kind(self) -> str:
        """What it is called in messages."""
        return f"{self.name} MIG {self.mig_profile}" if self.mig_profile else self.name


class Machine(Protocol):
    """What can be asked of a machine."""

    def gpus(self) -> list[Gpu]:
        """Every GPU and MIG slice that is visible. Raises MachineError."""

    def version(self, package: str) -> str | None:
        """The version of an installed Python package, None if it is not installed."""

    def setting(self, name: str) -> str | None:
        """An environment variable."""

    def free_bytes(self, folder: Path) -> int:
        """Free disk where the folder is, or would be."""


class ThisMachine:
    """The machine that this runs on."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    def gpus(self) -> list[Gpu]:
        """Every GPU and MIG slice that nvidia-smi shows."""
        return read_gpus(_output(LIST), _output(CAPABILITIES), _output(DETAILS))

    def version(self, package: str) -> str | None:
        """From the package's metadata: nothing is imported."""
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    def setting(self, name: str) -> str | None:
        """An environment variable."""
        return self._environment.get(name)

    def free_bytes(self, folder: Path) -> int:
        """Of the nearest folder that exists."""
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        return shutil.disk_usage(existing).free


def the_gpu(machine: Machine) -> Gpu:
    """The one kind of GPU that is visible; of several alike, CUDA takes the first.

    Raises:
        MachineError: there is none, or there are several kinds.
    """
    kinds = dict.fromkeys(machine.gpus())
    if not kinds:
        raise MachineError(
            "no GPU or MIG slice is visible: see that nvidia-smi -L lists one here (a container "
            "needs the NVIDIA Container Toolkit and a reserved device)"
        )
    if len(kinds) > 1:
        seen = ", ".join(gpu.kind for gpu in kinds)
        raise MachineError(
            f"several kinds of GPU are visible ({seen}), and an engine is for one: make a single "
            "one visible with NVIDIA_VISIBLE_DEVICES=UUID (nvidia-smi -L lists them)"
        )
    return next(iter(kinds))


def read_gpus(listing: str, capabilities: str, details: str) -> list[Gpu]:
    """The GPUs of the texts that `LIST`, `CAPABILITIES` and `DETAILS` print.

    A GPU in MIG mode counts for its slices alone; one without slices cannot be used.

    Raises:
        MachineError: the texts do not fit together.
    """
    capability_of = dict(line.split(", ", 1) for line in capabilities.splitlines() if line.strip())
    memory = _Memory(details)
    found: list[Gpu] = []
    uuid = name = ""
    for line in listing.splitlines():
        if gpu := _GPU_LINE.match(line):
            _, name, uuid = gpu.groups()
            if not memory.in_mig_mode(uuid):
                found.append(Gpu(name, memory.of_gpu(uuid), _capability(capability_of, uuid)))
        elif slice_ := _MIG_LINE.match(line):
            size = memory.of_slice(uuid, slice_[2])
            found.append(Gpu(name, size, _capability(capability_of, uuid), slice_[1]))
    return found


def _capability(capability_of: Mapping[str, str], uuid: str) -> str:
    if uuid not in capability_of:
        raise MachineError(
            f"nvidia-smi says no compute capability of {uuid}: the driver is too old"
        )
    return capability_of[uuid].strip()


class _Memory:
    """MiB of each GPU and slice, from nvidia-smi's XML."""

    def __init__(self, details: str) -> None:
        try:
            root = ET.fromstring(details)
        except ET.ParseError as error:
            raise MachineError(f"nvidia-smi -q -x gave no XML: {error}") from error
        self._gpus = {gpu.findtext("uuid", "").strip(): gpu for gpu in root.iter("gpu")}

    def in_mig_mode(self, uuid: str) -> bool:
        return self._gpu(uuid).findtext("mig_mode/current_mig", "").strip() == "Enabled"

    def of_gpu(self, uuid: str) -> int:
        return _mib(self._gpu(uuid), uuid)

    def of_slice(self, uuid: str, index: str) -> int:
        for device in self._gpu(uuid).iterfind("mig_devices/mig_device"):
            if device.findtext("index", "").strip() == index:
                return _mib(device, f"MIG device {index} of {uuid}")
        raise MachineError(f"nvidia-smi -q -x does not show MIG device {index} of {uuid}")

    def _gpu(self, uuid: str) -> ET.Element:
        if uuid not in self._gpus:
            raise MachineError(f"nvidia-smi -q -x does not show {uuid}, which nvidia-smi -L lists")
        return self._gpus[uuid]


def _mib(element: ET.Element, what: str) -> int:
    text = element.findtext("fb_memory_usage/total", "").strip()
    number, _, unit = text.partition(" ")
    if unit != "MiB" or not number.isdigit():
        raise MachineError(f"nvidia-smi does not say how much memory {what} has ({text or 'none'})")
    return int(number)


def _output(command: Sequence[str]) -> str:
    line = " ".join(command)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise MachineError(
            "nvidia-smi is not here: no NVIDIA driver is visible (a container needs the NVIDIA "
            "Container Toolkit and a reserved device)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise MachineError(f"{line} did not answer within {_TIMEOUT_S} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[0]
        raise MachineError(f"{line} failed with exit status {done.returncode}: {said}")
    return done.stdout
