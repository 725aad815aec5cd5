"""Runs Triton with the embedded engine, without a gateway: what build/embedded.Dockerfile runs.

    python scripts/serve_embedded.py

It is the Triton of the PyPI package nvidia-pytriton. `scripts/serve.py` starts the same one, with a
gateway, on a machine without containers. Where it listens: `scripts/triton_process.py`; which
weights decode: `WHISPER_MODEL`.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from build import fetch_weights
from scripts import shared_memory, triton_options, triton_server
from scripts.preflight import PreflightError, check_python_library
from scripts.triton_options import Endpoints, trace_options
from scripts.triton_process import (
    EXIT_TIMEOUT_S,
    check_endpoints,
    complain,
    endpoints_of,
    serve,
)
from scripts.triton_server import ROOT

BACKENDS = fetch_weights.OUTPUT / "triton_backends"


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Check and run Triton; returns the exit status."""
    try:
        endpoints = endpoints_of(environment)
        check_python_library()
        model = _model(environment)
        check_endpoints(endpoints)
        if not (BACKENDS / "python").is_dir():  # an image has it already, and cannot be written to
            triton_server.make_backends(BACKENDS)
        regions = shared_memory.prefix(os.getpid(), endpoints.grpc_port)
        told = triton_server.environment(environment, model, _silero_vad())
        command = [*_command(endpoints, regions), *trace_options(environment)]
        return serve(command, told, endpoints, regions)
    except PreflightError as error:
        return complain("serve_embedded.py", [str(error)])


def _command(endpoints: Endpoints, regions: str) -> list[str]:
    options = triton_options.options(
        ROOT / "model_repository",
        triton_server.EMBEDDED,
        endpoints,
        regions,
        gpu_metrics=False,
        exit_timeout_s=EXIT_TIMEOUT_S,
    )
    return [str(triton_server.program()), *options, f"--backend-directory={BACKENDS}"]


def _model(environment: Mapping[str, str]) -> Path:
    name = environment.get("WHISPER_MODEL") or fetch_weights.DEFAULT_MODEL
    folder = fetch_weights.model_folder(name)
    if fetch_weights.missing_model_files(folder) or not _silero_vad().is_file():
        raise PreflightError(
            f"the weights of WHISPER_MODEL={name} are not in {folder}: "
            "fetch them with python build/fetch_weights.py"
        )
    return folder


def _silero_vad() -> Path:
    return fetch_weights.OUTPUT / fetch_weights.SILERO_VAD_FILE


if __name__ == "__main__":
    sys.exit(main())
