"""The models, each loaded once and only when a test asks for it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.companion import Companion
from pipeline.engines.ctranslate2_engine import CTranslate2Engine, EngineSettings
from pipeline.engines.onnx_engine import OnnxEngine
from pipeline.silero import SileroVad
from pipeline.tokens import WhisperTokenizer
from tests.pipeline.support import JFK, MODEL_DIR, SILERO_VAD_ONNX, recording


@pytest.fixture(scope="session")
def vad() -> SileroVad:
    return SileroVad(SILERO_VAD_ONNX)


@pytest.fixture(scope="session")
def tokenizer() -> WhisperTokenizer:
    return WhisperTokenizer(MODEL_DIR)


@pytest.fixture(scope="session")
def companion() -> Companion:
    return Companion(MODEL_DIR)


@pytest.fixture(scope="session")
def engine() -> CTranslate2Engine:
    return CTranslate2Engine(EngineSettings(MODEL_DIR, workers=1))


@pytest.fixture(scope="session")
def onnx_engine() -> OnnxEngine:
    return OnnxEngine(EngineSettings(MODEL_DIR, workers=1))


@pytest.fixture(params=["engine", "onnx_engine"])
def any_engine(request: pytest.FixtureRequest) -> CTranslate2Engine | OnnxEngine:
    """Each of the embedded engines."""
    found: CTranslate2Engine | OnnxEngine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def jfk() -> NDArray[np.int16]:
    """Eleven seconds of English."""
    return recording(JFK)
