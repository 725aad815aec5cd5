"""What the tests of the pipeline share: weights, recordings, and the description of a window."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE
from pipeline.options import StreamOptions
from pipeline.window import WindowInfo

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
JFK = DATA / "jfk.wav"
CLIPS = DATA / "clips"
MODEL_DIR = str(ROOT / "build" / "output" / "whisper" / "base")
SILERO_VAD_ONNX = str(ROOT / "build" / "output" / "silero_vad_16k_op15.onnx")

JFK_WORDS = (
    "and so my fellow americans ask not what your country can do for you "
    "ask what you can do for your country"
).split()


def recording(path: Path) -> NDArray[np.int16]:
    """A recording's samples, int16 [n]."""
    audio, rate = soundfile.read(path, dtype="int16")
    assert rate == SAMPLE_RATE
    return np.asarray(audio, np.int16)


def words_of(text: str) -> list[str]:
    """A text's words, without case and punctuation."""
    kept = "".join(c if c.isalnum() or c in "'’" else " " for c in text.lower())
    return kept.split()


def window_info(samples: int, language: str | None = "en", **changes: Any) -> WindowInfo:
    """A final that is all of its audio. `changes`: fields of the window or of its options."""
    fields: dict[str, Any] = {
        "number": 1,
        "utterance": 0,
        "final": True,
        "start": 0,
        "end": samples,
        "audio_start": 0,
        "speech_probability": 0.95,
        "language": language,
        "language_prob": None,
    }
    options = {
        name: value for name, value in changes.items() if name not in WindowInfo.model_fields
    }
    fields |= {name: value for name, value in changes.items() if name not in options}
    fields.setdefault("utterance_start", fields["start"])
    return WindowInfo(**fields, options=StreamOptions(**options))
