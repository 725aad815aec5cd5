"""JSON Schemas of pydantic's models, as short as they can be. Pure."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

Schema = dict[str, Any]


class PlainSchema(GenerateJsonSchema):
    """Without a title for each field, which says nothing that its name does not."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schema_of(
    kind: Any, description: str | None = None, mode: JsonSchemaMode = "serialization"
) -> Schema:
    """The schema of a model or of a union of them, complete in itself."""
    schema = TypeAdapter(kind).json_schema(mode=mode, schema_generator=PlainSchema)
    return {"description": description} | schema if description else schema


def components_of(
    kinds: Sequence[type[BaseModel]], mode: JsonSchemaMode = "serialization"
) -> dict[str, Schema]:
    """The schemas of models and of all that they use, as `components.schemas` of a description."""
    _, found = models_json_schema(
        [(kind, mode) for kind in kinds],
        schema_generator=PlainSchema,
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Schema] = found["$defs"]
    return schemas


def reference(kind: type[BaseModel]) -> Schema:
    """The place of a model among `components_of`."""
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
