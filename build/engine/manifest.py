"""Writes an engine's manifest, last of all: what it is, what it was built on, all of its files.

Limits, mel bins and vocabulary are read from what `trtllm-build` wrote beside each engine, and
have to be what was asked for. It builds nothing.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from build.engine.errors import StepFailedError
from build.engine.image import Image
from build.engine.machine import Gpu, Machine
from build.engine.models import WhisperModel
from build.engine.profiles import Profile
from build.engine.stamps import replace_file, sha256_of
from pipeline.engine_manifest import (
    MANIFEST_FILE,
    BuiltOn,
    EngineFile,
    EngineLimits,
    EngineManifest,
)

TOKENIZER_FILE = "tokenizer.json"
PARTS = ("encoder", "decoder")


def engine_files(engine: Path) -> list[Path]:
    """The files that belong to an engine: both parts and the tokenizer."""
    inside = (path for part in PARTS for path in (engine / part).rglob("*") if path.is_file())
    return [*sorted(inside), engine / TOKENIZER_FILE]


def limits_of(engine: Path, profile: Profile, model: WhisperModel) -> EngineLimits:
    """What the engine was compiled for.

    Raises:
        StepFailedError: that is not what the profile asks for, or cannot be read.
    """
    encoder, decoder = (_config(engine, part)["build_config"] for part in PARTS)
    batches, wanted = profile.batches(model), profile.limits
    checks = {
        "encoder max_batch_size": (encoder, "max_batch_size", batches.encoder_max_batch_size),
        "encoder max_input_len": (encoder, "max_input_len", wanted.max_encoder_input_len),
        "decoder max_batch_size": (decoder, "max_batch_size", batches.decoder_max_batch_size),
        "decoder max_beam_width": (decoder, "max_beam_width", wanted.max_beam_width),
        "decoder max_input_len": (decoder, "max_input_len", wanted.max_input_len),
        "decoder max_seq_len": (decoder, "max_seq_len", wanted.max_seq_len),
        "decoder max_encoder_input_len": (
            *(decoder, "max_encoder_input_len"),
            wanted.max_encoder_input_len,
        ),
    }
    for name, (config, key, asked) in checks.items():
        if config.get(key) != asked:
            raise StepFailedError(f"{name} of the engine is {config.get(key)}, asked was {asked}")
    return EngineLimits(**batches.model_dump(), **wanted.model_dump())


def write_manifest(
    engine: Path,
    profile: Profile,
    model: WhisperModel,
    precision: str,
    image: Image,
    machine: Machine,
    gpu: Gpu,
    commands: Mapping[str, list[str]],
) -> EngineManifest:
    """Describe the engine in `engine`, whose files are all there.

    Raises:
        StepFailedError: the engine is not the one that was asked for.
    """
    limits = limits_of(engine, profile, model)
    pretrained = _config(engine, "encoder")["pretrained_config"]
    vocabulary = _config(engine, "decoder")["pretrained_config"]["vocab_size"]
    tokens = _tokens_of(engine / TOKENIZER_FILE)
    if (pretrained["n_mels"], vocabulary) != (model.n_mels, tokens):
        raise StepFailedError(
            f"the engine has {pretrained['n_mels']} mel bins and {vocabulary} tokens, and "
            f"{model.name} has {model.n_mels}, its tokenizer {tokens}"
        )
    manifest = EngineManifest.model_validate(
        {
            "model": model.name,
            "precision": precision,
            "profile": profile.name,
            "image": image.name,
            "tensorrt_llm": machine.version("tensorrt_llm") or image.tensorrt_llm,
            "tensorrt": machine.version("tensorrt") or image.tensorrt,
            "cuda": machine.setting("CUDA_VERSION") or image.cuda,
            "gpu": BuiltOn(
                name=gpu.name,
                mig_profile=gpu.mig_profile,
                memory_mib=gpu.memory_mib,
                compute_capability=gpu.compute_capability,
            ),
            "limits": limits,
            "n_mels": pretrained["n_mels"],
            "vocab_size": vocabulary,
            "files": _described(engine),
            "commands": dict(commands),
            "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    replace_file(engine / MANIFEST_FILE, manifest.model_dump_json(indent=2).encode())
    return manifest


def _described(engine: Path) -> dict[str, EngineFile]:
    """Every file of the engine, by its path in the folder."""
    return {
        path.relative_to(engine).as_posix(): EngineFile(
            bytes=path.stat().st_size, sha256=sha256_of(path)
        )
        for path in engine_files(engine)
    }


def _config(engine: Path, part: str) -> dict[str, Any]:
    path = engine / part / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if {"pretrained_config", "build_config"} <= config.keys():
            return dict(config)
    except (OSError, ValueError, AttributeError) as error:
        raise StepFailedError(f"{path} cannot be read: {error}") from error
    raise StepFailedError(f"{path} is not what trtllm-build writes: no pretrained_config")


def _tokens_of(path: Path) -> int:
    content = json.loads(path.read_text(encoding="utf-8"))
    return len(content["model"]["vocab"]) + len(content["added_tokens"])
