"""Hardware profiles: what an engine is compiled for on one kind of GPU. Data in `build/profiles/`.

Each number's arithmetic stands in the TOML file beside it; `utterances_in_cache` is what they have
in common. It knows no machine.
"""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from build.engine.errors import EngineError
from build.engine.machine import Gpu
from build.engine.models import MODELS, TEXT_TOKENS, WhisperModel, find_model

PROFILES = Path(__file__).resolve().parents[1] / "profiles"
WHOLE_GPU = "none"
RUNTIME_MIB = 2048
"""Set aside for the CUDA context (half a GiB) and the engines' activations: an encoder batch of 16
whole windows is 24,000 states of about 20 KiB. An estimate, unmeasured."""

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class GpuNeeds(_Part):
    """Which GPU a profile is for."""

    names: Annotated[list[str], Field(min_length=1)]
    """Patterns (`*`) of the name that nvidia-smi gives the whole GPU."""
    mig_profile: Annotated[str, Field(pattern=rf"^({WHOLE_GPU}|\d+g\.\d+gb)$")]
    """`3g.40gb`, or `none` for a whole GPU."""
    least_memory_mib: Positive
    """Of the GPU or the slice."""


class Limits(_Part):
    """What both parts of every model are compiled for."""

    max_beam_width: Positive
    max_input_len: Positive
    max_seq_len: Positive
    max_encoder_input_len: Positive


class Serving(_Part):
    """What `model_repository/whisper` says for this profile; a test holds them together."""

    kv_cache_free_gpu_mem_fraction: Share
    cross_kv_cache_fraction: Share
    max_queue_size: Positive


class Batches(_Part):
    """Most requests that encoder and decoder take together."""

    encoder_max_batch_size: Positive
    decoder_max_batch_size: Positive


class Profile(_Part):
    """One file of `build/profiles/`."""

    name: str
    gpu: GpuNeeds
    limits: Limits
    serving: Serving
    models: Annotated[dict[str, Batches], Field(min_length=1)]
    """By name: the models that the profile serves."""

    @field_validator("models")
    @classmethod
    def _known(cls, models: dict[str, Batches]) -> dict[str, Batches]:
        if unknown := sorted(set(models) - set(MODELS)):
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(MODELS)}")
        return models

    @property
    def mig_profile(self) -> str | None:
        """None for a whole GPU."""
        return None if self.gpu.mig_profile == WHOLE_GPU else self.gpu.mig_profile

    def batches(self, model: WhisperModel) -> Batches:
        """The batch sizes of a model.

        Raises:
            EngineError: the profile does not serve it.
        """
        found = self.models.get(model.name)
        if found is None:
            raise EngineError(
                f"profile {self.name} does not serve {model.name}, only {', '.join(self.models)}: "
                "name another model or a larger profile (python -m build.engine profiles)"
            )
        return found

    def mismatch(self, gpu: Gpu) -> str | None:
        """Why the profile is not for this GPU; None: it is."""
        if not any(fnmatchcase(gpu.name, pattern) for pattern in self.gpu.names):
            return f"the GPU is {gpu.name}, not {' or '.join(self.gpu.names)}"
        if gpu.mig_profile != self.mig_profile:
            wanted = f"the MIG slice {self.mig_profile}" if self.mig_profile else "a whole GPU"
            return f"it is for {wanted}, not for {gpu.kind}"
        if gpu.memory_mib < self.gpu.least_memory_mib:
            return (
                f"it needs {self.gpu.least_memory_mib} MiB of GPU memory, and {gpu.kind} has "
                f"{gpu.memory_mib} MiB"
            )
        return None

    def utterances_in_cache(self, model: WhisperModel) -> int:
        """Utterances of 30 s and 448 tokens whose keys and values fit the least memory at FP16."""
        free = self.gpu.least_memory_mib - model.weights_mib - RUNTIME_MIB
        cache = free * self.serving.kv_cache_free_gpu_mem_fraction
        cross = self.serving.cross_kv_cache_fraction
        text = model.self_kv_mib * self.limits.max_seq_len / TEXT_TOKENS
        text *= self.limits.max_beam_width
        return int(min(cache * cross / model.cross_kv_mib, cache * (1 - cross) / text))


def load_profile(path: Path) -> Profile:
    """Read and check a profile.

    Raises:
        EngineError: it cannot be read, or a key is missing, unknown or of a wrong kind.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Profile.model_validate({"name": path.stem} | data)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise EngineError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise EngineError(f"{path}: {where}: {first['msg']}") from error


def all_profiles(folder: Path = PROFILES) -> list[Profile]:
    """Every profile, in order of name."""
    return [load_profile(folder / f"{name}.toml") for name in _names(folder)]


def find_profile(name: str, folder: Path = PROFILES) -> Profile:
    """The profile of this name.

    Raises:
        EngineError: there is none, or its file is wrong.
    """
    known = _names(folder)
    if name not in known:
        raise EngineError(f"no profile {name!r} in {folder}; there are {', '.join(known)}")
    return load_profile(folder / f"{name}.toml")


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def table(profiles: list[Profile]) -> list[str]:
    """The profiles as lines of a table, a line for each model."""
    rows = [("profile", "GPU", "MIG", "MiB", "model", "encoder", "decoder", "in cache", "queue")]
    for profile in profiles:
        for name, batches in profile.models.items():
            rows.append(
                (
                    profile.name,
                    " or ".join(profile.gpu.names),
                    profile.gpu.mig_profile,
                    str(profile.gpu.least_memory_mib),
                    name,
                    str(batches.encoder_max_batch_size),
                    str(batches.decoder_max_batch_size),
                    str(profile.utterances_in_cache(find_model(name))),
                    str(profile.serving.max_queue_size),
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
