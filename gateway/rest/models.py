"""`/v1/models`: the names under which the one model that is served can be asked for. Pure."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

OWNER = "streaming-whisper"


class Model(BaseModel):
    """A name of the model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix time in seconds: when the server started."""
    owned_by: str = OWNER


class ModelList(BaseModel):
    """All of its names."""

    object: Literal["list"] = "list"
    data: list[Model]


def list_models(names: Sequence[str], created: int) -> ModelList:
    """The names, in the order of the setting."""
    return ModelList(data=[Model(id=name, created=created) for name in names])
