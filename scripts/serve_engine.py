"""Runs Triton with a compiled TensorRT-LLM engine: what build/triton.Dockerfile runs.

    python3 scripts/serve_engine.py           # one line and exit status 1, or Triton
    python3 scripts/serve_engine.py --check   # only see that it would start, every byte included

The engine's manifest says which hardware profile's configurations Triton takes. Environment, beside
what `scripts/triton_process.py` reads:

| variable | default | meaning |
|---|---|---|
| `WHISPER_MODEL_DIR` | `/engine` | the engine's folder; `/engine` has to link to any other |
| `WHISPER_COMPANION_DIR` | `build/output/whisper/base` | the CTranslate2 Whisper that times words |
| `SILERO_VAD_ONNX` | `build/output/silero_vad_16k_op15.onnx` | Silero VAD |

It needs no packages but those of requirements/stages.txt, since NVIDIA's image has no others of
ours.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from build.engine.errors import EngineError
from build.engine.machine import Machine, ThisMachine
from build.engine.verify import verify_engine
from pipeline.engine_manifest import EngineManifest
from scripts.preflight import PreflightError
from scripts.shared_memory import prefix
from scripts.triton_options import (
    ONE_THREAD,
    Endpoints,
    instruction_set,
    joined,
    options,
    trace_options,
)
from scripts.triton_process import (
    EXIT_TIMEOUT_S,
    check_endpoints,
    complain,
    endpoints_of,
    serve,
)

ROOT = Path(__file__).resolve().parents[1]
ENGINE = Path("/engine")
"""Where `model_repository/whisper/config.pbtxt` has the engine."""
REPOSITORY = ROOT / "model_repository"
BASE_PROFILE = "h100"
"""The one whose numbers stand in `config.pbtxt` itself."""
PROGRAM = Path("/opt/tritonserver/bin/tritonserver")
"""In NVIDIA's images, should it not be in PATH."""
OUTPUT = ROOT / "build/output"
DEFAULTS = {
    "WHISPER_MODEL_DIR": str(ENGINE),
    "WHISPER_COMPANION_DIR": str(OUTPUT / "whisper/base"),
    "SILERO_VAD_ONNX": str(OUTPUT / "silero_vad_16k_op15.onnx"),
}


def main(
    command_line: list[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    machine: Machine | None = None,
    repository: Path = REPOSITORY,
) -> int:
    """Check and run Triton; returns the exit status."""
    only_check = _parser().parse_args(command_line).check
    settings = stage_environment(environment)
    folder = Path(settings["WHISPER_MODEL_DIR"])
    problems = missing_files(settings)
    try:
        manifest = verify_engine(folder, machine or ThisMachine(environment), thorough=only_check)
        problems += misfits(folder, manifest, repository)
    except EngineError as error:
        return complain("serve_engine.py", [str(error), *problems])
    if problems:
        return complain("serve_engine.py", problems)
    if only_check:
        print(f"{folder} is whole and fits: {described(manifest)}")
        return 0
    try:
        endpoints = endpoints_of(environment)
        check_endpoints(endpoints)
        print(f"Triton serves {described(manifest)}")
        regions = prefix(os.getpid(), endpoints.grpc_port)
        triton = command(repository, manifest, endpoints, regions) + trace_options(environment)
        return serve(triton, settings, endpoints, regions)
    except PreflightError as error:
        return complain("serve_engine.py", [str(error)])


def stage_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of Triton and its Python stages.

    Of what helps the embedded engine, its heap's settings are left out: they keep an encoder's
    buffers from going back and forth, which are the GPU's here, and would have Triton's own process
    keep what it needs only to load an engine. The companion's windows are few and short.
    """
    return {
        **DEFAULTS,
        **ONE_THREAD,
        **instruction_set(),
        **environment,
        "PYTHONPATH": joined(ROOT, environment.get("PYTHONPATH")),
    }


def missing_files(settings: Mapping[str, str]) -> list[str]:
    """A line for each file of the Python stages that is not there."""
    needed = {
        "WHISPER_COMPANION_DIR": Path(settings["WHISPER_COMPANION_DIR"]) / "model.bin",
        "SILERO_VAD_ONNX": Path(settings["SILERO_VAD_ONNX"]),
    }
    return [
        f"{path} is missing: fetch it with python build/fetch_weights.py, or set {variable}"
        for variable, path in needed.items()
        if not path.is_file()
    ]


def misfits(folder: Path, manifest: EngineManifest, repository: Path) -> list[str]:
    """A line for each thing in which Triton's configuration would not be the engine's."""
    problems = []
    if folder.resolve() != ENGINE.resolve():
        problems.append(
            f"WHISPER_MODEL_DIR is {folder}, and Triton's configuration reads {ENGINE}: "
            f"ln -sfn {folder.resolve()} {ENGINE}"
        )
    configuration = repository / f"whisper/configs/{manifest.profile}.pbtxt"
    if manifest.profile != BASE_PROFILE and not configuration.is_file():
        known = ", ".join(sorted(path.stem for path in configuration.parent.glob("*.pbtxt")))
        problems.append(
            f"the engine is for profile {manifest.profile}, and {configuration} is missing "
            f"(there are {BASE_PROFILE}, {known}): Triton would take {BASE_PROFILE}'s numbers"
        )
    return problems


def command(
    repository: Path, manifest: EngineManifest, endpoints: Endpoints, regions: str
) -> list[str]:
    """Triton's command line; `regions` is the prefix of its shared memory's names."""
    return [
        shutil.which("tritonserver") or str(PROGRAM),
        *options(
            repository,
            manifest.profile,
            endpoints,
            regions,
            gpu_metrics=manifest.gpu.mig_profile is None,  # a slice cannot be asked for them
            exit_timeout_s=EXIT_TIMEOUT_S,
        ),
    ]


def described(manifest: EngineManifest) -> str:
    """An engine on one line."""
    return (
        f"{manifest.model} ({manifest.precision}) for {manifest.profile}, built "
        f"{manifest.built_at} with TensorRT-LLM {manifest.tensorrt_llm} on {manifest.gpu.name}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="verify the engine to the last byte, and start nothing"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
