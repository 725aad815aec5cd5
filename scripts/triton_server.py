"""How the Triton server inside the PyPI package nvidia-pytriton is started on this machine.

Its command line, the environment its stages run in, the backend folder it needs, whether it is
ready, and what it leaves behind. It knows nothing of the gateway, nor of the stages' own code.
"""

import os
import re
import shutil
import site
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from scripts.child import TAIL_LINES
from scripts.preflight import python_library_folder

ROOT = Path(__file__).resolve().parents[1]
EXIT_TIMEOUT_S = 1
SHARED_MEMORY = Path("/dev/shm")
SHARED_MEMORY_PREFIX = "streaming_whisper"

TUNING = {
    # One thread for each worker: workers share the cores better than threads share a layer.
    "OMP_NUM_THREADS": "1",
    # By default glibc gives the encoder's big buffers back after every call, and most of the next
    # call's time goes into page faults.
    # One heap for each core's worker and one for the rest: with a single one they wait for it.
    "MALLOC_ARENA_MAX": str(len(os.sched_getaffinity(0)) + 1),
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "67108864",
}
_TELLING = re.compile(r"E\d{4} |\w*(Error|Exception)\b")
_NO_GPU = "CudaDriverHelper has not been initialized"
"""What Triton logs as an error on every machine without a GPU."""
AVX512_FLAGS = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"})


def command(
    repository: Path, host: str, port: int, metrics_port: int, backends: Path, shared_memory: str
) -> list[str]:
    """Triton's command line; `shared_memory` is the prefix of its regions' names."""
    return [
        str(_package() / "bin/tritonserver"),
        f"--model-repository={repository}",
        "--model-config-name=embedded",
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        "--allow-http=false",
        f"--grpc-address={host}",
        f"--grpc-port={port}",
        "--allow-metrics=true",
        "--allow-gpu-metrics=false",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={metrics_port}",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
    ]


def environment(base: Mapping[str, str], model: Path, silero_vad: Path) -> dict[str, str]:
    """The environment of Triton and its stages: `base`, tuned where `base` says nothing."""
    packages = _site_packages()
    libraries = [packages / "nvidia_pytriton.libs", python_library_folder()]
    return {
        **TUNING,
        **_instruction_set(_cpu_flags()),
        **base,
        "WHISPER_MODEL_DIR": str(model),
        "SILERO_VAD_ONNX": str(silero_vad),
        "PYTHONPATH": _joined([ROOT, packages]),
        # The stages embed Python, which looks for its home beside the first `python3` in PATH.
        "PATH": _joined([Path(sys.prefix) / "bin", base.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": _joined([*libraries, base.get("LD_LIBRARY_PATH")]),
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


def remove_shared_memory(prefix: str) -> None:
    """Remove the regions of a Triton that has ended; a killed one leaves them behind."""
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):
            region.unlink()


def shared_memory_prefix(owner: int, port: int) -> str:
    """A prefix that no other server's regions have; `owner` is the supervisor's process id."""
    return f"{SHARED_MEMORY_PREFIX}_{owner}_{port}_"


def remove_abandoned_shared_memory() -> None:
    """Remove the regions whose supervisor is gone: it was killed and could not do it."""
    for region in SHARED_MEMORY.glob(f"{SHARED_MEMORY_PREFIX}_*"):
        owner = region.name.removeprefix(f"{SHARED_MEMORY_PREFIX}_").partition("_")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            remove_shared_memory(f"{SHARED_MEMORY_PREFIX}_{owner}_")


def _site_packages() -> Path:
    return Path(site.getsitepackages()[0])


def _package() -> Path:
    return _site_packages() / "pytriton/tritonserver"


def _joined(paths: Iterable[Path | str | None]) -> str:
    return os.pathsep.join(str(path) for path in paths if path)


def _copy(source: Path, target: Path) -> None:
    """Copy under a temporary name: a server that runs already may have the old file mapped."""
    if target.is_file() and target.stat().st_mtime == source.stat().st_mtime:
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(source, partial)
    partial.chmod(0o755)
    partial.replace(target)


def _cpu_flags() -> frozenset[str]:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()


def _instruction_set(cpu_flags: frozenset[str]) -> dict[str, str]:
    """CTranslate2 does not use AVX-512 by itself on processors that are not Intel's."""
    return {"CT2_FORCE_CPU_ISA": "AVX512"} if cpu_flags >= AVX512_FLAGS else {}
