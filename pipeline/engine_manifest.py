"""What a compiled TensorRT-LLM engine is: the `manifest.json` in its folder.

The engine build writes it last, so a folder without one is not finished. The stages read the
engine's limits from it, and whoever starts Triton refuses what does not fit the machine. It knows
neither how an engine is built nor Triton.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MANIFEST_FILE = "manifest.json"

Positive = Annotated[int, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ManifestError(ValueError):
    """A manifest that is missing or cannot be read; the message is one line."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BuiltOn(_Part):
    """The GPU that an engine was compiled on, the only kind that it runs on."""

    name: str
    """As nvidia-smi names it: `NVIDIA H100 80GB HBM3`."""
    mig_profile: str | None = None
    """`3g.40gb` for a slice, None for a whole GPU."""
    memory_mib: Positive
    """Of the GPU or the slice."""
    compute_capability: str
    """`9.0`"""


class EngineLimits(_Part):
    """What an engine was compiled for; requests beyond it fail."""

    encoder_max_batch_size: Positive
    decoder_max_batch_size: Positive
    max_beam_width: Positive
    max_input_len: Positive
    """Most tokens of a decoder prompt."""
    max_seq_len: Positive
    """Most tokens of prompt and answer together."""
    max_encoder_input_len: Positive
    """Most mel frames of a window."""


class EngineFile(_Part):
    """A file of the engine's folder."""

    bytes: Positive
    sha256: Sha256


class EngineManifest(_Part):
    """Everything that has to be known of an engine to serve it."""

    manifest_version: Literal[1] = 1
    """Raised when the meaning of a field changes."""
    model: str
    """`large-v3` or `large-v3-turbo`."""
    precision: Literal["float16", "int8"]
    """Of the weights; int8 is weight-only."""
    profile: str
    """The hardware profile: a file of `build/profiles/`."""
    image: str
    """The container image that it was built in."""
    tensorrt_llm: str
    tensorrt: str
    cuda: str
    gpu: BuiltOn
    limits: EngineLimits
    n_mels: Positive
    vocab_size: Positive
    files: dict[str, EngineFile]
    """By path below the engine's folder."""
    commands: dict[str, list[str]]
    """The command of each step that made it."""
    built_at: str
    """ISO 8601, UTC."""


def read_manifest(folder: Path) -> EngineManifest:
    """The manifest of an engine's folder.

    Raises:
        ManifestError: there is none, or it is none of this version.
    """
    path = folder / MANIFEST_FILE
    try:
        return EngineManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ManifestError(
            f"{path} is not a manifest of this version: {where}: {first['msg']}"
        ) from error
