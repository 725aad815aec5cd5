"""ONNX Runtime decodes where it can, CTranslate2 elsewhere."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.engines import choice
from pipeline.engines.choice import make_engine
from pipeline.engines.ctranslate2_engine import EngineSettings
from pipeline.engines.whisper_weights import WeightsError
from tests.pipeline.support import MODEL_DIR

SETTINGS = EngineSettings(MODEL_DIR)


class Made:
    """Stands for an engine: what was asked for."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "OnnxEngine", lambda settings: Made("onnxruntime"))
    monkeypatch.setattr(choice, "CTranslate2Engine", lambda settings: Made("ctranslate2"))


def name_of(settings: EngineSettings, wanted: str) -> str:
    made = make_engine(settings, wanted)
    assert isinstance(made, Made)
    return made.name


def test_each_can_be_asked_for() -> None:
    assert name_of(SETTINGS, "onnxruntime") == "onnxruntime"
    assert name_of(SETTINGS, "ctranslate2") == "ctranslate2"


@pytest.mark.parametrize(
    "changes", [{"device": "cuda"}, {"compute_type": "float32"}], ids=["device", "compute type"]
)
def test_what_onnx_runtime_is_not_made_for_goes_to_ctranslate2(changes: dict[str, Any]) -> None:
    assert name_of(replace(SETTINGS, **changes), "onnxruntime") == "ctranslate2"


def test_a_model_too_large_for_a_graph_goes_to_ctranslate2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "LARGEST_GRAPH_BYTES", 1000)
    assert name_of(SETTINGS, "onnxruntime") == "ctranslate2"


def test_weights_that_are_not_read_go_to_ctranslate2_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: EngineSettings) -> Made:
        raise WeightsError("odd is of int16")

    monkeypatch.setattr(choice, "OnnxEngine", refuse)
    assert name_of(SETTINGS, "onnxruntime") == "ctranslate2"
    assert "odd is of int16" in caplog.text


def test_another_engine_is_an_error_that_names_both() -> None:
    with pytest.raises(
        ValueError, match=r"'tensorrt'; accepted is one of onnxruntime, ctranslate2"
    ):
        make_engine(SETTINGS, "tensorrt")
