"""Triton's entry to the `log_mel` stage; what it does stands in `pipeline/log_mel.py`."""

from pipeline.triton import LogMelModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
