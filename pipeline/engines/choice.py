"""Which engine runs the embedded Whisper: ONNX Runtime where it can, else CTranslate2."""

import logging
from pathlib import Path

from pipeline.engines.ctranslate2_engine import CTranslate2Engine, EngineSettings
from pipeline.engines.onnx_engine import OnnxEngine
from pipeline.engines.whisper_weights import WeightsError
from pipeline.engines.workers import Engine

RUNTIMES = ("onnxruntime", "ctranslate2")
LARGEST_GRAPH_BYTES = 1 << 30
"""Of `model.bin`; an ONNX graph in one piece holds less than 2 GiB."""

logger = logging.getLogger(__name__)


def make_engine(settings: EngineSettings, wanted: str) -> Engine:
    """The wanted engine; CTranslate2 where ONNX Runtime's has no use: GPUs, other numbers than
    int8, models of more than LARGEST_GRAPH_BYTES, weights in a layout that it does not read.

    Raises:
        ValueError: there is no such runtime.
    """
    if wanted not in RUNTIMES:
        raise ValueError(f"WHISPER_RUNTIME is {wanted!r}; accepted is one of {', '.join(RUNTIMES)}")
    if wanted == "ctranslate2" or not _suits_onnx_runtime(settings):
        return CTranslate2Engine(settings)
    try:
        return OnnxEngine(settings)
    except WeightsError as error:
        logger.warning("CTranslate2 decodes, and more slowly: %s.", error)
        return CTranslate2Engine(settings)


def _suits_onnx_runtime(settings: EngineSettings) -> bool:
    size = Path(settings.model_dir, "model.bin").stat().st_size
    is_plain = settings.device == "cpu" and settings.compute_type == "int8"
    return is_plain and size <= LARGEST_GRAPH_BYTES
