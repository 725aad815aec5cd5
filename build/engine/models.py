"""The Whisper models that engines are built from: where their weights are, and how large they are.

Sizes follow from OpenAI's dimensions and hold the hardware profiles to arithmetic. It knows no GPU.
"""

from dataclasses import dataclass

from build.engine.errors import EngineError

MIB = 1 << 20
FP16_BYTES = 2
AUDIO_STATES = 1500
"""Encoder states of a window of 30 s: 3000 mel frames, halved (`n_audio_ctx`)."""
TEXT_TOKENS = 448
"""The decoder's context (`n_text_ctx`)."""
PRECISIONS = ("float16", "int8")
BASE_TOKENS = 50257
"""Ranks in `multilingual.tiktoken`."""
N_TASK_AND_TIME_TOKENS = 8 + 1501
"""Special tokens besides languages: end, start, two tasks, four marks; timestamps 0 to 30 s."""


@dataclass(frozen=True)
class Download:
    """A file of the assets: where it comes from and what it must be."""

    name: str
    url: str
    sha256: str


@dataclass(frozen=True)
class WhisperModel:
    """A published checkpoint, with the dimensions of openai/whisper's `ModelDimensions`."""

    name: str
    sha256: str
    text_layers: int
    n_mels: int = 128
    audio_layers: int = 32
    width: int = 1280
    languages: int = 100

    @property
    def weights(self) -> Download:
        """OpenAI's checkpoint; the folder in its address is its SHA-256."""
        file = f"{self.name}.pt"
        url = f"https://openaipublic.azureedge.net/main/whisper/models/{self.sha256}/{file}"
        return Download(file, url, self.sha256)

    @property
    def weights_mib(self) -> float:
        """Encoder and decoder at FP16, in MiB, as TensorRT-LLM holds them: lm_head is a copy."""
        wide = self.width * self.width
        mlp = 8 * wide + 5 * self.width
        attention = 4 * wide + 3 * self.width
        norm = 2 * self.width
        encoder = 3 * self.width * (self.n_mels + self.width) + 2 * self.width + norm
        encoder += AUDIO_STATES * self.width + self.audio_layers * (attention + mlp + 2 * norm)
        vocabulary = BASE_TOKENS + self.languages + N_TASK_AND_TIME_TOKENS
        decoder = 2 * vocabulary * self.width + TEXT_TOKENS * self.width + norm
        decoder += self.text_layers * (2 * attention + mlp + 3 * norm)
        return (encoder + decoder) * FP16_BYTES / MIB

    @property
    def cross_kv_mib(self) -> float:
        """Keys and values of a whole window's encoder states, in MiB, for one utterance."""
        return self._kv_mib(AUDIO_STATES)

    @property
    def self_kv_mib(self) -> float:
        """Keys and values of the longest text, in MiB, for one utterance and one beam."""
        return self._kv_mib(TEXT_TOKENS)

    def _kv_mib(self, positions: int) -> float:
        return self.text_layers * 2 * positions * self.width * FP16_BYTES / MIB


LARGE_V3 = WhisperModel(
    "large-v3",
    "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb",
    text_layers=32,
)
LARGE_V3_TURBO = WhisperModel(
    "large-v3-turbo",
    "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a",
    text_layers=4,
)
MODELS = {model.name: model for model in (LARGE_V3, LARGE_V3_TURBO)}
ALIASES = {"turbo": LARGE_V3_TURBO.name}
"""OpenAI's own short name."""

OPENAI_WHISPER_TAG = "v20250625"
_ASSETS = f"https://raw.githubusercontent.com/openai/whisper/{OPENAI_WHISPER_TAG}/whisper/assets"
VOCABULARY = Download(
    "multilingual.tiktoken",
    f"{_ASSETS}/multilingual.tiktoken",
    "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126",
)
MEL_FILTERS = Download(
    "mel_filters.npz",
    f"{_ASSETS}/mel_filters.npz",
    "7450ae70723a5ef9d341e3cee628c7cb0177f36ce42c44b7ed2bf3325f0f6d4c",
)
"""Both checksums are those of the files in the source package openai-whisper 20250625 on PyPI."""


def engine_name(model: str, precision: str, profile: str) -> str:
    """The name of an engine's folder: `large-v3-h100`; `large-v3-int8-h100` with int8 weights."""
    return "-".join([model, *([] if precision == "float16" else [precision]), profile])


def find_model(name: str) -> WhisperModel:
    """The model of this name or alias.

    Raises:
        EngineError: there is none.
    """
    model = MODELS.get(ALIASES.get(name, name))
    if model is None:
        known = ", ".join([*MODELS, *ALIASES])
        raise EngineError(f"no model {name!r}; those that can be built are {known}")
    return model


def downloads(model: WhisperModel) -> tuple[Download, ...]:
    """Everything that a build of this model fetches, small files first."""
    return VOCABULARY, MEL_FILTERS, model.weights
