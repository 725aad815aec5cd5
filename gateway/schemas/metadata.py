"""The JSON Schema of the metadata: names and types of `gateway.protocol`, limits of the options.

Pure. A client's first message is checked by two models, one for the wire and one for the pipeline;
a field's schema is both of them put together. Older spellings stand there too, as deprecated.
"""

from gateway.legacy import LEGACY_GROUPS
from gateway.protocol import OPTION_OF, Metadata
from gateway.schemas.plain import Schema, schema_of
from pipeline.options import StreamOptions

NULL: Schema = {"type": "null"}
SAID_OF_FIELDS = ("description", "default", "deprecated")
"""What is said of a field whether it is null or not."""


def metadata_schema() -> Schema:
    """The schema of the whole first message."""
    wire = schema_of(Metadata, mode="validation")
    groups = wire.pop("$defs")
    wire["properties"] = _fields(wire, groups, "")
    wire["properties"]["streaming_diarization_config"]["anyOf"][0]["maxProperties"] = 0
    wire["properties"] |= {
        group: _older_group(wire["properties"], paths) for group, paths in LEGACY_GROUPS.items()
    }
    return wire


def _fields(group: Schema, groups: dict[str, Schema], path: str) -> dict[str, Schema]:
    return {
        name: _field(schema, groups, f"{path}{name}")
        for name, schema in group["properties"].items()
    }


def _field(schema: Schema, groups: dict[str, Schema], path: str) -> Schema:
    """A field of the wire, with the limits of its option; null stands for not given."""
    if "$ref" in schema:
        group = groups[schema["$ref"].rpartition("/")[2]]
        return _nullable(group | {"properties": _fields(group, groups, f"{path}.")})
    if path not in OPTION_OF:
        return _nullable(schema)
    option = StreamOptions.model_json_schema()["properties"][OPTION_OF[path]]
    said = {key: schema[key] for key in SAID_OF_FIELDS if key in schema and schema[key] is not None}
    return _nullable({**option, **said, "default": option["default"]})


def _nullable(schema: Schema) -> Schema:
    outer = {key: schema[key] for key in SAID_OF_FIELDS if key in schema}
    inner = {key: value for key, value in schema.items() if key not in {*SAID_OF_FIELDS, "title"}}
    return {**outer, "anyOf": [inner, NULL]}


def _older_group(properties: dict[str, Schema], paths: dict[str, str]) -> Schema:
    fields = {key: _at(properties, path) for key, path in paths.items()}
    group = {"type": "object", "properties": fields, "additionalProperties": False}
    return {
        "description": f"An older spelling of {', '.join(paths.values())}.",
        "deprecated": True,
        "anyOf": [group, NULL],
    }


def _at(properties: dict[str, Schema], path: str) -> Schema:
    name, _, rest = path.partition(".")
    schema = properties[name]
    return _at(schema["anyOf"][0]["properties"], rest) if rest else schema
