"""Triton's entry to the `silero_vad` stage; what it does stands in `pipeline/voice_activity.py`."""

from pipeline.triton import SileroVadModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
