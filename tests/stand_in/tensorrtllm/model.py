"""A Triton backend of the name `tensorrtllm`, for machines without a GPU: see `tests.stand_in`."""

from tests.stand_in.backend import StandIn as TritonPythonModel

__all__ = ["TritonPythonModel"]
