"""What a request is told that gets no websocket: status, headers and a JSON body.

Pure, and no decision: who is refused is `gateway.server`'s. Texts are for people, types for
programs.
"""

import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Any

RETRY_AFTER_S = range(5, 13)
"""By then an overload has passed or is a lasting one. Any of these, so that clients that were
refused together do not come back together."""


class RefusalType(Enum):
    """The types, and their HTTP statuses."""

    UNAUTHORIZED = "unauthorized", 401
    FORBIDDEN_ORIGIN = "forbidden_origin", 403
    NOT_FOUND = "not_found", 404
    UPGRADE_REQUIRED = "upgrade_required", 426
    TOO_MANY_STREAMS = "too_many_streams", 503
    TOO_MANY_STREAMS_OF_KEY = "too_many_streams_of_key", 503
    TOO_MANY_STREAMS_OF_ADDRESS = "too_many_streams_of_address", 503
    OVERLOADED = "overloaded", 503
    STOPPING = "stopping", 503

    def __init__(self, wire_name: str, status: int) -> None:
        self.wire_name = wire_name
        self.status = status


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP response, whatever library sends it."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def refuse(kind: RefusalType, message: str) -> Refusal:
    """The refusal of this type. One that may be over soon says when to come again."""
    headers = {}
    body: dict[str, Any] = {"error": message, "type": kind.wire_name}
    if kind is RefusalType.UPGRADE_REQUIRED:
        headers["Upgrade"] = "websocket"
    elif kind.status == 503:
        body["retry_after_s"] = secrets.choice(RETRY_AFTER_S)
        headers["Retry-After"] = str(body["retry_after_s"])
    return Refusal(kind.status, headers, body | {"body": {"message": message}})
