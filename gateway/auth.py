"""Which of the configured keys an upgrade request carries. Knows no HTTP library.

Programs send the header Authorization. A browser cannot set headers on a websocket, but it can
offer subprotocols, so a key may stand among those. The server answers with a subprotocol that is
no key: one of `ANSWERED`, which the client offers beside it.
"""

import base64
import binascii
import hmac
from collections.abc import Iterator, Sequence

SCHEMES = ("api-key", "bearer", "token")
"""The last is what clients of Deepgram's API send."""
SUBPROTOCOL = "streaming-whisper"
"""What our own page offers beside its key, and is answered with."""
ENCODED_KEY = "api-key."
"""Before a key in base64url, without padding: a subprotocol may not have all characters."""
NAMED_KEY = "openai-insecure-api-key."
"""Before a key as it is: what browsers offer to OpenAI's realtime API, beside `realtime`."""
KEY_FOLLOWS = ("token", "bearer")
"""The key is offered after one of these, as it is: what browsers offer to Deepgram's live API."""
ANSWERED = (SUBPROTOCOL, "realtime", *KEY_FOLLOWS)
WHY_REFUSED = (
    "accepted is the header `Authorization: Api-Key KEY` or `Authorization: Bearer KEY`; "
    f"in a browser the subprotocol `{ENCODED_KEY}` and the key in base64url"
)


def shown_key(
    authorization: str | None, keys: Sequence[str], subprotocols: str | None = None
) -> str | None:
    """Which of the keys these headers carry; None for none of them.

    Every key is compared, in constant time, so the time taken tells nothing of a key.

    Args:
        authorization: the header Authorization.
        keys: those that are accepted.
        subprotocols: the header Sec-WebSocket-Protocol.
    """
    offered = [*_in_authorization(authorization or ""), *_in_subprotocols(subprotocols or "")]
    found = [key for candidate in offered for key in keys if _same(candidate, key)]
    return found[0] if found else None


def _in_authorization(header: str) -> Iterator[bytes]:
    scheme, _, key = header.strip().partition(" ")
    if scheme.lower() in SCHEMES:
        yield _bytes(key.strip())


def _in_subprotocols(header: str) -> Iterator[bytes]:
    names = [name.strip() for name in header.split(",")]
    for before, name in zip(["", *names], names, strict=False):
        if before in KEY_FOLLOWS:
            yield _bytes(name)
        if name.startswith(NAMED_KEY):
            yield _bytes(name.removeprefix(NAMED_KEY))
        if name.startswith(ENCODED_KEY):
            yield _decoded(name.removeprefix(ENCODED_KEY))


def _decoded(text: str) -> bytes:
    """What base64url without padding stands for; nothing if it is none."""
    try:
        return base64.b64decode(
            _bytes(text) + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except binascii.Error:
        return b""


def _same(offered: bytes, key: str) -> bool:
    return hmac.compare_digest(offered, key.encode())


def _bytes(text: str) -> bytes:
    """A header's text; bytes in it that are no UTF-8 are surrogates."""
    return text.encode(errors="surrogateescape")
