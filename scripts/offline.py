"""The reference: each whole recording decoded offline with the same weights by faster-whisper.

Full 30 s windows, greedy, no voice activity filter, no text carried over, the language given:
what the model itself makes of a recording, without anything that streaming adds or loses.
int8 results differ a little between instruction sets: to compare with a server that was started
by `scripts/serve.py`, set CT2_FORCE_CPU_ISA as it does (AVX512 on processors that have it).
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio import SAMPLE_RATE
from scripts.manifest import Item
from scripts.recording import read_recording

DECODING: dict[str, Any] = {
    "beam_size": 1,
    "temperature": 0.0,
    "vad_filter": False,
    "condition_on_previous_text": False,
}


class OfflineReference:
    """Texts by recording, decoded when first asked for and kept in a file if there is one."""

    def __init__(self, model_dir: Path, compute_type: str, cache_file: Path | None) -> None:
        self._model_dir = model_dir
        self._compute_type = compute_type
        self._cache_file = cache_file
        self._model: Any = None
        self._texts: dict[str, str] = _read_cache(cache_file)

    def text(self, item: Item) -> str:
        """What the model makes of the recording."""
        key = self._key(item)
        if key not in self._texts:
            self._texts[key] = self._decode(item)
            self._write_cache()
        return self._texts[key]

    def _key(self, item: Item) -> str:
        """Changes with the audio, the weights and the way of decoding."""
        weights = (self._model_dir / "model.bin").stat().st_size
        isa = os.environ.get("CT2_FORCE_CPU_ISA")
        way = json.dumps([weights, self._compute_type, isa, item.given_language, DECODING])
        digest = hashlib.sha256(item.path.read_bytes() + way.encode()).hexdigest()
        return f"{item.name} {digest[:16]}"

    def _decode(self, item: Item) -> str:
        pcm = read_recording(item.path, SAMPLE_RATE).pcm
        audio = pcm.astype(np.float32) / 32_768
        segments, _ = self._loaded().transcribe(audio, language=item.given_language, **DECODING)
        return " ".join(segment.text.strip() for segment in segments)

    def _loaded(self) -> Any:
        if self._model is None:
            from faster_whisper import WhisperModel  # here: it takes seconds and few runs need it

            self._model = WhisperModel(
                str(self._model_dir), device="cpu", compute_type=self._compute_type, cpu_threads=1
            )
        return self._model

    def _write_cache(self) -> None:
        if self._cache_file is not None:
            text = json.dumps(self._texts, ensure_ascii=False, indent=1)
            self._cache_file.write_text(text + "\n", encoding="utf-8")


def decode_all(
    items: list[Item], reference: OfflineReference, progress: Callable[[int], None]
) -> dict[str, str]:
    """Texts by the recordings' names."""
    texts = {}
    for number, item in enumerate(items, 1):
        texts[item.name] = reference.text(item)
        progress(number)
    return texts


def _read_cache(cache_file: Path | None) -> dict[str, str]:
    if cache_file is None or not cache_file.exists():
        return {}
    try:
        texts: dict[str, str] = json.loads(cache_file.read_text(encoding="utf-8"))
    except ValueError:
        print(f"{cache_file} is no JSON and is written anew", file=sys.stderr)
        return {}
    return texts
