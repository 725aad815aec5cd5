"""An engine's folder as the build leaves it, without the engine: tokenizer and manifest."""

import json
from pathlib import Path

from build.engine.tokenizer import byte_characters, tokenizer_json
from pipeline.engine_manifest import (
    MANIFEST_FILE,
    BuiltOn,
    EngineFile,
    EngineLimits,
    EngineManifest,
)

LANGUAGES = 100
"""Of large-v3: base has 99."""
LIMITS = EngineLimits(
    encoder_max_batch_size=16,
    decoder_max_batch_size=64,
    max_beam_width=1,
    max_input_len=228,
    max_seq_len=448,
    max_encoder_input_len=3000,
)
_NO_FILE = EngineFile(bytes=1, sha256="0" * 64)


def make_engine(folder: Path, base: Path, profile: str = "h100") -> EngineManifest:
    """Write what the stages read of an engine of large-v3; `base`: folder of Whisper base.

    Text tokens are the same in all multilingual models, so they come from base.
    """
    folder.mkdir(parents=True)
    tokenizer = tokenizer_json(text_tokens(base), LANGUAGES)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    manifest = EngineManifest(
        model="large-v3",
        precision="float16",
        profile=profile,
        image="none",
        tensorrt_llm="1.2.1",
        tensorrt="10.14.1.48",
        cuda="13.1",
        gpu=BuiltOn(name="none", memory_mib=1, compute_capability="9.0"),
        limits=LIMITS,
        n_mels=128,
        vocab_size=51866,
        files={"encoder/rank0.engine": _NO_FILE, "decoder/rank0.engine": _NO_FILE},
        commands={},
        built_at="2026-01-01T00:00:00Z",
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(), encoding="utf-8")
    return manifest


def text_tokens(base: Path) -> list[bytes]:
    """The bytes of a model's text tokens, in the order of their ids, from its tokenizer.json."""
    content = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = content["model"]["vocab"]
    end = next(t["id"] for t in content["added_tokens"] if t["content"] == "<|endoftext|>")
    value_of = {character: value for value, character in enumerate(byte_characters())}
    by_id = sorted((token_id, text) for text, token_id in vocabulary.items() if token_id < end)
    assert [token_id for token_id, _ in by_id] == list(range(end))
    return [bytes(value_of[character] for character in text) for _, text in by_id]
