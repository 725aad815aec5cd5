"""Whether an engine can be served here: refuses with one line that holds the command that mends.

It reads the manifest, the files and the machine, and changes nothing.
"""

import shlex
from itertools import product
from pathlib import Path

from build.engine.errors import EngineError
from build.engine.machine import Gpu, Machine, the_gpu
from build.engine.models import MODELS, PRECISIONS, engine_name
from build.engine.profiles import PROFILES, Profile, find_profile
from build.engine.stamps import sha256_of
from pipeline.engine_manifest import (
    MANIFEST_FILE,
    EngineManifest,
    ManifestError,
    read_manifest,
)

BUILD_COMMAND = "docker compose run --rm build-engine"


class EngineRefusedError(EngineError):
    """The engine cannot be served here; the message is one line with the command that mends it."""


def build_command(*arguments: str) -> str:
    """How a user has an engine built: in the pinned image."""
    return " ".join([BUILD_COMMAND, shlex.join(arguments)])


def verify_engine(
    folder: Path, machine: Machine, thorough: bool = False, profiles: Path = PROFILES
) -> EngineManifest:
    """The manifest of an engine that is whole and fits this machine.

    Args:
        thorough: compare every file's SHA-256 as well, which reads gigabytes.

    Raises:
        EngineRefusedError: it is missing, half-written, or built for something else.
        MachineError: there is no GPU, or several kinds.
    """
    manifest = _manifest_of(folder, profiles)
    _check_files(folder, manifest, thorough)
    profile = _profile_of(folder, manifest, profiles)
    installed = machine.version("tensorrt_llm")
    if installed != manifest.tensorrt_llm:
        raise EngineRefusedError(
            f"{folder} was built with TensorRT-LLM {manifest.tensorrt_llm}, and "
            f"{installed or 'none'} is installed here: {_again(manifest)}"
        )
    _check_gpu(folder, manifest, profile, the_gpu(machine))
    return manifest


def _manifest_of(folder: Path, profiles: Path) -> EngineManifest:
    command = _command_for(folder.name, profiles)
    if not folder.is_dir():
        raise EngineRefusedError(f"there is no engine at {folder}: build it with {command}")
    try:
        return read_manifest(folder)
    except ManifestError as error:
        mend = "build it anew" if (folder / MANIFEST_FILE).exists() else "finish the build"
        raise EngineRefusedError(
            f"{folder} is not whole: {error}; {mend} with {command}"
        ) from error


def _command_for(name: str, profiles: Path) -> str:
    """What builds the engine of this name, as far as the name tells."""
    for model, precision, path in product(MODELS, PRECISIONS, profiles.glob("*.toml")):
        if name == engine_name(model, precision, path.stem):
            return _command(path.stem, model, precision)
    generic = build_command("--profile", "PROFILE", "--model", "MODEL")
    return f"{generic} (python -m build.engine profiles lists both)"


def _check_files(folder: Path, manifest: EngineManifest, thorough: bool) -> None:
    for name, file in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise EngineRefusedError(f"{path} is missing: {_again(manifest)}")
        size = path.stat().st_size
        if size != file.bytes:
            raise EngineRefusedError(
                f"{path} has {size} bytes instead of {file.bytes}: {_again(manifest)}"
            )
        if thorough and sha256_of(path) != file.sha256:
            raise EngineRefusedError(f"{path} is damaged (its sha256 differs): {_again(manifest)}")


def _profile_of(folder: Path, manifest: EngineManifest, profiles: Path) -> Profile:
    try:
        return find_profile(manifest.profile, profiles)
    except EngineError as error:
        raise EngineRefusedError(
            f"{folder} was built for a profile that is not here: {error}; build for one that is: "
            f"{build_command('--profile', 'PROFILE', '--model', manifest.model)}"
        ) from error


def _check_gpu(folder: Path, manifest: EngineManifest, profile: Profile, gpu: Gpu) -> None:
    built, model = manifest.gpu, manifest.model
    made_for = Gpu(built.name, built.memory_mib, built.compute_capability, built.mig_profile)
    if made_for.kind != gpu.kind:
        raise EngineRefusedError(
            f"{folder} was built on {made_for.kind}, and this is {gpu.kind}; engines run only on "
            f"what they were built on: {build_command('--profile', 'PROFILE', '--model', model)} "
            "with the profile of this GPU (python -m build.engine profiles)"
        )
    if built.compute_capability != gpu.compute_capability:
        raise EngineRefusedError(
            f"{folder} was built for compute capability {built.compute_capability}, and this GPU "
            f"has {gpu.compute_capability}: {_again(manifest)}"
        )
    if gpu.memory_mib < profile.gpu.least_memory_mib:
        raise EngineRefusedError(
            f"{gpu.kind} has {gpu.memory_mib} MiB of memory, and profile {profile.name} needs "
            f"{profile.gpu.least_memory_mib}: build for a smaller one with "
            f"{build_command('--profile', 'PROFILE', '--model', model)}"
        )


def _again(manifest: EngineManifest) -> str:
    command = _command(manifest.profile, manifest.model, manifest.precision)
    return f"build it again with {command}"


def _command(profile: str, model: str, precision: str) -> str:
    quantized = [] if precision == "float16" else ["--precision", precision]
    return build_command("--profile", profile, "--model", model, *quantized)
