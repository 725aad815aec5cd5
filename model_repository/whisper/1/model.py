"""Triton's entry to the `whisper` stage; what it does stands in `pipeline/engines/ctranslate2_engine.py`."""

from pipeline.triton import CTranslate2WhisperModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
