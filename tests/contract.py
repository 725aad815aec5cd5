"""Whether what the server sends is what the published schemas promise, and nothing else.

A schema allows keys that later versions may add. Here none may be there that is not described: a
key that is sent is a part of the contract.
"""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from gateway.schemas.messages import schemas
from gateway.schemas.openapi import openapi

Schema = dict[str, Any]


def strict(schema: Any) -> Any:
    """The same schema, and no object in it may have other keys than those it names."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    return closed | {"additionalProperties": False} if "properties" in schema else closed


@cache
def validator(name: str) -> Draft202012Validator:
    """Of a published schema, by its name, made strict."""
    return Draft202012Validator(strict(schemas()[name]))


def assert_promised(message: Any, name: str = "server_message") -> None:
    """Fails when the message is not what the schema of this name says."""
    _assert_valid(validator(name), message)


@cache
def openapi_validator(name: str) -> Draft202012Validator:
    """Of one of OpenAPI's `components.schemas`, made strict."""
    components = {"components": strict(openapi()["components"])}
    return Draft202012Validator(components | {"$ref": f"#/components/schemas/{name}"})


def assert_promised_by_openapi(body: Any, name: str) -> None:
    """Fails when the body of an answer is not what OpenAPI's schema of this name says."""
    _assert_valid(openapi_validator(name), body)


def _assert_valid(validator: Draft202012Validator, told: Any) -> None:
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(told)]
    assert not problems, f"{told} is not what is published: {problems}"
