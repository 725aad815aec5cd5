"""Triton's entry to the embedded `whisper` stage; the engine stands in `pipeline/engines/`."""

from pipeline.triton import EmbeddedWhisperModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
