"""The container image that engines are built and served in, and where it keeps what we need.

Everything is pinned to one image: an engine runs only on the TensorRT-LLM that compiled it. 1.2.1
is the last stable release with `convert_checkpoint.py` and `trtllm-build`.
"""

from dataclasses import dataclass
from pathlib import Path

from build.engine.errors import StepFailedError

CONVERT_SCRIPT = "convert_checkpoint.py"
RUN_SCRIPT = "run.py"


@dataclass(frozen=True)
class Image:
    """The image's name, the versions in it, and the places that differ between its releases."""

    name: str = "nvcr.io/nvidia/tritonserver:26.06-trtllm-python-py3"
    release: str = "26.06"
    tensorrt_llm: str = "1.2.1"
    tensorrt: str = "10.14.1.48"
    cuda: str = "13.1"
    examples: tuple[Path, ...] = (
        Path("/app/examples/models/core/whisper"),
        Path("/app/tensorrt_llm/examples/models/core/whisper"),
    )
    templates: tuple[Path, ...] = (
        Path("/app/all_models/inflight_batcher_llm/tensorrt_llm/config.pbtxt"),
        Path("/app/tensorrt_llm/triton_backend/all_models/inflight_batcher_llm/tensorrt_llm")
        / "config.pbtxt",
    )

    def example(self) -> Path:
        """The folder of NVIDIA's Whisper example: the first that exists, else the likeliest."""
        return next((path for path in self.examples if path.is_dir()), self.examples[0])

    def template(self) -> Path:
        """The TensorRT-LLM backend's own `config.pbtxt`, chosen likewise."""
        return next((path for path in self.templates if path.is_file()), self.templates[0])

    def check_example(self) -> None:
        """Raises StepFailedError, naming where was looked, unless the example is there."""
        folder = self.example()
        missing = [name for name in (CONVERT_SCRIPT, RUN_SCRIPT) if not (folder / name).is_file()]
        if missing:
            looked = " and ".join(map(str, self.examples))
            raise StepFailedError(
                f"{' and '.join(missing)} of NVIDIA's Whisper example not found; looked in "
                f"{looked}: run the build inside {self.name}"
            )


PINNED = Image()
