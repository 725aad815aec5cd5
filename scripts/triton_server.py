"""How the Triton server inside the PyPI package nvidia-pytriton is started on this machine.

Its command line, the environment its stages run in, the backend folder it needs, and whether it is
ready. It knows nothing of the gateway, nor of the stages' own code.
"""

import os
import re
import shutil
import site
import sys
from collections.abc import Mapping
from pathlib import Path

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from scripts.child import TAIL_LINES
from scripts.preflight import python_library_folder
from scripts.triton_options import (
    ONE_THREAD,
    Endpoints,
    instruction_set,
    joined,
    options,
)

ROOT = Path(__file__).resolve().parents[1]
EXIT_TIMEOUT_S = 1
EMBEDDED = "embedded"
"""The configurations with which the models run on CTranslate2, without TensorRT-LLM."""

TUNING = {
    **ONE_THREAD,
    # By default glibc gives the encoder's big buffers back after every call, and most of the next
    # call's time goes into page faults.
    # One heap for each core's worker and one for the rest: with a single one they wait for it.
    "MALLOC_ARENA_MAX": str(len(os.sched_getaffinity(0)) + 1),
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "67108864",
}
CUBLAS = "nvidia/cublas/lib"
"""Where the PyPI package nvidia-cublas-cu12 keeps its libraries. CTranslate2 looks for them by name
when it decodes on a GPU; without a GPU nobody needs the package."""
_TELLING = re.compile(r"E\d{4} |\w*(Error|Exception)\b")
_NO_GPU = "CudaDriverHelper has not been initialized"
"""What Triton logs as an error on every machine without a GPU."""


def command(
    repository: Path,
    host: str,
    port: int,
    metrics_port: int,
    backends: Path,
    shared_memory: str,
    config_name: str = EMBEDDED,
) -> list[str]:
    """Triton's command line; `shared_memory` is the prefix of its regions' names.

    Models that have no configuration named `config_name` take their `config.pbtxt`.
    """
    return [
        str(program()),
        *options(
            repository,
            config_name,
            Endpoints(host, port, metrics_port),
            shared_memory,
            gpu_metrics=False,
            exit_timeout_s=EXIT_TIMEOUT_S,
        ),
        f"--backend-directory={backends}",
    ]


def program() -> Path:
    """The server's binary."""
    return _package() / "bin/tritonserver"


def environment(
    base: Mapping[str, str], model: Path, silero_vad: Path, companion: Path | None = None
) -> dict[str, str]:
    """The environment of Triton and its stages: `base`, tuned where `base` says nothing.

    `companion`: the CTranslate2 Whisper that times words; None: what `base` says, or `model`.
    """
    packages = _site_packages()
    libraries = [packages / "nvidia_pytriton.libs", packages / CUBLAS, python_library_folder()]
    return {
        **TUNING,
        **instruction_set(),
        **base,
        "WHISPER_MODEL_DIR": str(model),
        **({} if companion is None else {"WHISPER_COMPANION_DIR": str(companion)}),
        "SILERO_VAD_ONNX": str(silero_vad),
        "PYTHONPATH": joined(ROOT, packages),
        # The stages embed Python, which looks for its home beside the first `python3` in PATH.
        "PATH": joined(Path(sys.prefix) / "bin", base.get("PATH", os.defpath)),
        "LD_LIBRARY_PATH": joined(*libraries, base.get("LD_LIBRARY_PATH")),
    }


def make_backends(folder: Path) -> None:
    """Lay out the backend folder that Triton expects, with the stub of the running Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = _package() / "python_backend_stubs" / version / "triton_python_backend_stub"
    backend = _package() / "backends/python"
    target = folder / "python"
    target.mkdir(parents=True, exist_ok=True)
    for file in (stub, *backend.glob("*.so"), *backend.glob("*.py")):
        _copy(file, target / file.name)


def is_ready(address: str) -> bool:
    """Whether Triton answers and every model is loaded."""
    client = InferenceServerClient(address)
    try:
        return bool(client.is_server_ready(client_timeout=1.0))
    except InferenceServerException:
        return False
    finally:
        client.close()


def error_lines(log: Path, most: int = TAIL_LINES) -> list[str]:
    """What a log of Triton says of a failure: its error lines and the stages' exceptions."""
    lines = log.read_text(errors="replace").splitlines()
    telling = [line for line in lines if _TELLING.match(line) and _NO_GPU not in line]
    return (telling or lines)[-most:]


def _site_packages() -> Path:
    return Path(site.getsitepackages()[0])


def _package() -> Path:
    return _site_packages() / "pytriton/tritonserver"


def _copy(source: Path, target: Path) -> None:
    """Copy under a temporary name: a server that runs already may have the old file mapped."""
    if target.is_file() and target.stat().st_mtime == source.stat().st_mtime:
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(source, partial)
    partial.chmod(0o755)
    partial.replace(target)
