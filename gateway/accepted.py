"""Says in words what a field of a pydantic model accepts, from its type and its limits.

So that an error message can never disagree with the check. Knows no field by its meaning but
languages, whose check is a function.
"""

from collections.abc import Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_LANGUAGE = "an ISO 639-1 language code such as en, es or fr (a region as in en-US is ignored)"
_ONE = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
_LIMITS: tuple[tuple[type, str, str], ...] = (
    (annotated_types.Ge, "ge", "at least {}"),
    (annotated_types.Gt, "gt", "above {}"),
    (annotated_types.Le, "le", "at most {}"),
    (annotated_types.Lt, "lt", "below {}"),
    (annotated_types.MaxLen, "max_length", "of length {} at most"),
)


def describe_keys(model: type[BaseModel]) -> str:
    """The names of a model's fields."""
    return ", ".join(model.model_fields)


def describe_field(model: type[BaseModel], name: str, item: bool = False) -> str:
    """What a field accepts, such as `an integer, at least 1 and at most 10`."""
    if name == "language":
        return f"auto or {_LANGUAGE}"
    if name in ("language_options", "languages"):
        return (
            _LANGUAGE if item else f"a list of language codes, {_limits(model.model_fields[name])}"
        )
    field = model.model_fields[name]
    annotation = get_args(field.annotation)[0] if item else field.annotation
    limits = "" if item else _limits(field)
    return _type(annotation) + (f", {limits}" if limits else "")


def _type(annotation: Any) -> str:
    arguments = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is Literal:
            return _either(arguments)
        case origin if origin is list:
            return f"a list, each {_type(arguments[0])}"
        case origin if origin in (Union, UnionType):
            return _either([_type(one) for one in arguments if one is not type(None)])
    return _ONE.get(annotation, "an object")


def _either(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _limits(field: FieldInfo) -> str:
    return " and ".join(
        text.format(f"{getattr(limit, attribute):g}")
        for limit in field.metadata
        for kind, attribute, text in _LIMITS
        if isinstance(limit, kind)
    )
