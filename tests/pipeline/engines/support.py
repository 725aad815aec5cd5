"""What the tests of the engines share."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.companion import Companion
from pipeline.engines.ctranslate2_engine import CTranslate2Engine
from pipeline.engines.onnx_engine import OnnxEngine
from pipeline.engines.request import EngineRequest, Hypothesis, parse_request
from pipeline.log_mel import LogMel, WindowPolicy
from pipeline.tokens import WhisperTokenizer
from tests.pipeline.support import CLIPS, MODEL_DIR, recording, window_info

ARCTIC = CLIPS / "en" / "arctic_a0009.wav"
FRENCH = CLIPS / "fr" / "vm-whichbox.wav"
SPANISH = CLIPS / "es" / "vm-nonumber.wav"

WhisperEngine = CTranslate2Engine | OnnxEngine


def asked(
    tokenizer: WhisperTokenizer, path: Path, language: str | None = "en", **options: object
) -> EngineRequest:
    """What the engine is asked for a recording."""
    audio = recording(path)
    stage = LogMel(WindowPolicy(), tokenizer, Companion(MODEL_DIR))
    ngram = options.get("no_repeat_ngram_size", 0)
    tensors = stage.prepare(audio, window_info(len(audio), language, **options))
    return parse_request(tensors, ngram if isinstance(ngram, int) else 0)


def transcribe(engine: WhisperEngine, requests: Sequence[EngineRequest]) -> list[list[Hypothesis]]:
    """Windows encoded one by one and decoded together; per window its beams, best first."""
    found = dict(engine.decode([engine.encode(request) for request in requests]))
    return [found[i] for i in range(len(requests))]


def answer(engine: WhisperEngine, request: EngineRequest) -> Hypothesis:
    """The best beam for one window."""
    return transcribe(engine, [request])[0][0]
