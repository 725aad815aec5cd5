"""How clients of Deepgram's live API come in, and how they are told that they do not.

Pure but for the ids of requests. A refusal's body has `err_code`, `err_msg` and `request_id`; the
message stands in the header `dg-error` too, since few websocket clients show a body.
"""

import uuid

from gateway.dialects.deepgram.dialect import DeepgramDialect
from gateway.dialects.deepgram.frames import RequestInfo
from gateway.dialects.deepgram.options import read_options
from gateway.dialects.dialect import Entrance, RefusedUpgrade, Upgrade
from gateway.dialects.metadata import OptionError
from gateway.refusal import Refusal, RefusalType

BAD_REQUEST = "Bad Request"
_CODES = {
    RefusalType.UNAUTHORIZED.wire_name: (401, "INVALID_AUTH"),
    RefusalType.FORBIDDEN_ORIGIN.wire_name: (403, "FORBIDDEN"),
    RefusalType.TOO_MANY_STREAMS.wire_name: (429, "TOO_MANY_REQUESTS"),
    RefusalType.TOO_MANY_STREAMS_OF_KEY.wire_name: (429, "TOO_MANY_REQUESTS"),
    RefusalType.TOO_MANY_STREAMS_OF_ADDRESS.wire_name: (429, "TOO_MANY_REQUESTS"),
    RefusalType.UPGRADE_REQUIRED.wire_name: (426, BAD_REQUEST),
}
"""Status and code of a refusal; any other is a 503."""


class DeepgramEntrance(Entrance):
    """`GET /v1/listen`."""

    name = "deepgram"
    paths = ("/v1/listen",)

    def begin(self, upgrade: Upgrade) -> DeepgramDialect:
        """See `gateway.dialects.dialect.Entrance`."""
        try:
            options = read_options(upgrade)
        except OptionError as error:
            raise RefusedUpgrade(_refusal(400, BAD_REQUEST, str(error))) from None
        info = RequestInfo(str(uuid.uuid4()), options.model, upgrade.at)
        return DeepgramDialect(options, info)

    def refuse(self, refusal: Refusal) -> Refusal:
        """See `gateway.dialects.dialect.Entrance`."""
        status, code = _CODES.get(refusal.body["type"], (503, "SERVICE_UNAVAILABLE"))
        return _refusal(status, code, refusal.body["error"], refusal.headers)


def _refusal(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Refusal:
    request_id = str(uuid.uuid4())
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in message)
    return Refusal(
        status,
        {**(headers or {}), "dg-request-id": request_id, "dg-error": shown},
        {"err_code": code, "err_msg": message, "request_id": request_id},
    )
