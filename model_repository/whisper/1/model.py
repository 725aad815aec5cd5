"""Triton's entry to the embedded `whisper` stage; the engine stands in `pipeline/engines/`."""

from pipeline.triton import CTranslate2WhisperModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
