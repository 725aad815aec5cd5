"""Whether an upgrade request carries one of the configured keys. Knows no HTTP library."""

import hmac

SCHEMES = ("api-key", "bearer")
WHY_REFUSED = "accepted is the header `Authorization: Api-Key KEY` or `Authorization: Bearer KEY`"


def is_authorized(header: str | None, keys: tuple[str, ...]) -> bool:
    """Whether this Authorization header opens the door; without keys it is open to everybody.

    Every key is compared, in constant time, so the time taken tells nothing of a key.
    """
    if not keys:
        return True
    scheme, _, offered = (header or "").strip().partition(" ")
    found = [_same(offered.strip(), key) for key in keys]
    return scheme.lower() in SCHEMES and any(found)


def _same(offered: str, key: str) -> bool:
    # Header bytes that are no UTF-8 arrive as surrogates.
    return hmac.compare_digest(offered.encode(errors="surrogateescape"), key.encode())
