"""JSON Schemas (2020-12) of the websocket's messages, each complete in itself.

Pure. Messages of the server are described as this server sends them: every key is required. They
allow further keys, since later versions may add some. What a client sends is described as it is
checked: other keys of the metadata are refused.
"""

from functools import cache

from pydantic import BaseModel

from gateway import wire
from gateway.schemas.metadata import metadata_schema
from gateway.schemas.plain import Schema, schema_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SERVER_MESSAGES: dict[str, type[BaseModel]] = {
    "transcription": wire.Transcription,
    "end_audio": wire.EndAudio,
    "health_check": wire.HealthCheck,
    "error": wire.Error,
}
"""What the server sends, by `type`."""
CLIENT_REQUESTS: dict[str, type[BaseModel]] = {
    "end_audio_request": wire.EndAudioRequest,
    "health_check_request": wire.HealthCheckRequest,
}


@cache
def schemas() -> dict[str, Schema]:
    """Every schema by its name."""
    made: dict[str, Schema] = {"metadata": metadata_schema()}
    for name, model in (SERVER_MESSAGES | CLIENT_REQUESTS).items():
        made[name] = schema_of(model)
    made["server_message"] = schema_of(wire.ServerMessage, "What the server sends.")
    made["client_request"] = schema_of(wire.ClientRequest, "What a client's text may ask for.")
    made["upgrade_refusal"] = schema_of(wire.UpgradeRefusal)
    return {name: {"$schema": DIALECT} | schema for name, schema in made.items()}
