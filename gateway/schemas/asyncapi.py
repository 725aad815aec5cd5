"""The AsyncAPI 3 description of the websocket: channels, messages, and who sends what.

Pure. It is told the paths; messages are those of `gateway.wire`, the metadata's schema is
`metadata`'s. Actions are seen from the server, which is what AsyncAPI describes.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from gateway.closing import CloseCode
from gateway.schemas.messages import CLIENT_REQUESTS, SERVER_MESSAGES
from gateway.schemas.metadata import metadata_schema
from gateway.schemas.plain import components_of, reference

Document = dict[str, Any]

ASYNCAPI = "3.0.0"
VERSION = "1.0.0"
"""Of the protocol: a new message or key is a new minor version."""
TITLE = "Streaming Whisper"
LICENSE = {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
JSON_TYPE = "application/json"
AUDIO_TYPE = "application/octet-stream"
METADATA, AUDIO = "metadata", "audio"
SCHEMES = ("key", "bearer")
DESCRIPTION = """\
Live transcription. One websocket is one session: the client sends the metadata, then audio as \
binary frames, then `end_audio`; the server sends transcriptions meanwhile. Close codes: {codes}."""


def asyncapi(paths: Sequence[str]) -> Document:
    """The description of a server whose sessions are at these paths, `{name}` in them is any."""
    models: list[type[BaseModel]] = [*SERVER_MESSAGES.values(), *CLIENT_REQUESTS.values()]
    codes = ", ".join(f"{int(code)} {code.name.lower()}" for code in CloseCode)
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": DESCRIPTION.format(codes=codes),
            "license": LICENSE,
        },
        "defaultContentType": JSON_TYPE,
        "servers": {"gateway": _server()},
        "channels": {_channel_name(path): _channel(path) for path in paths},
        "operations": {
            f"{verb}_{_channel_name(path)}": _operation(path, action, messages)
            for path in paths
            for verb, action, messages in (
                ("hear", "receive", [METADATA, AUDIO, *CLIENT_REQUESTS]),
                ("tell", "send", [*SERVER_MESSAGES]),
            )
        },
        "components": {
            "messages": _messages(),
            "schemas": components_of(models),
            "securitySchemes": _security_schemes(),
        },
    }


def _server() -> Document:
    return {
        "host": "{address}",
        "protocol": "ws",
        "variables": {
            "address": {"default": "127.0.0.1:8000", "description": "Where the gateway listens."}
        },
        "security": [
            {"$ref": f"#/components/securitySchemes/{name}"} for name in ("key", "bearer")
        ],
    }


def _security_schemes() -> Document:
    return {
        "key": {
            "type": "httpApiKey",
            "name": "Authorization",
            "in": "header",
            "description": "`Api-Key KEY`, when the server has keys.",
        },
        "bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
    }


def _channel_name(path: str) -> str:
    return path.strip("/").replace("/", "_").replace("{", "").replace("}", "")


def _channel(path: str) -> Document:
    names = [METADATA, AUDIO, *CLIENT_REQUESTS, *SERVER_MESSAGES]
    parameters: dict[str, Document] = {
        part[1:-1]: {} for part in path.split("/") if part.startswith("{")
    }
    return {
        "address": path,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "parameters": parameters,
        "bindings": {"ws": {"method": "GET"}},
    }


def _operation(path: str, action: str, messages: Sequence[str]) -> Document:
    channel = f"#/channels/{_channel_name(path)}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in messages],
    }


def _messages() -> Document:
    messages = {
        METADATA: {
            "summary": "The first message: what the session is asked for.",
            "payload": metadata_schema(),
        },
        AUDIO: {
            "summary": "A binary frame of any size: mono samples as the metadata declares them.",
            "contentType": AUDIO_TYPE,
            "payload": {"type": "string", "format": "binary"},
        },
    }
    for name, model in (SERVER_MESSAGES | CLIENT_REQUESTS).items():
        messages[name] = {"summary": model.__doc__ or name, "payload": reference(model)}
    return {name: {"name": name} | message for name, message in messages.items()}
