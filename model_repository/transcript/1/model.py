"""Triton's entry to the `transcript` stage; what it does stands in `pipeline/transcript.py`."""

from pipeline.triton import TranscriptModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
