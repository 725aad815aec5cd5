"""How Twilio's streams come in, and what shows that they are Twilio's.

Pure. Twilio signs the URL that it connects to with the account's auth token (HMAC-SHA1, base64, in
X-Twilio-Signature; https://www.twilio.com/docs/usage/webhooks/webhooks-security), so a key of ours
may be that token. The URL is `wss://`, its host and path as Twilio has them: a proxy in front must
pass on the header Host.
"""

import base64
import hmac
from collections.abc import Sequence

from gateway.dialects.dialect import Entrance, Upgrade
from gateway.dialects.twilio.calls import Calls
from gateway.dialects.twilio.dialect import TwilioDialect

SIGNATURE = "X-Twilio-Signature"


class TwilioEntrance(Entrance):
    """`GET /v1/twilio`. Refusals are our own: Twilio reads no more than their status."""

    name = "twilio"
    paths = ("/v1/twilio",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def shown_key(self, upgrade: Upgrade, keys: Sequence[str]) -> str | None:
        """Which of these keys the request is signed with. All are compared."""
        offered = upgrade.headers.get(SIGNATURE, "").encode(errors="surrogateescape")
        url = f"wss://{upgrade.headers.get('Host', '')}{upgrade.target}"
        found = [key for key in keys if hmac.compare_digest(offered, signature(url, key))]
        return found[0] if found else None

    def begin(self, upgrade: Upgrade) -> TwilioDialect:
        """See `gateway.dialects.dialect.Entrance`."""
        audience = self._calls if SIGNATURE in upgrade.headers else None
        return TwilioDialect(audience)


def signature(url: str, key: str) -> bytes:
    """Twilio's signature of a URL without parameters."""
    encoded = url.encode(errors="surrogateescape")
    return base64.b64encode(hmac.digest(key.encode(), encoded, "sha1"))
