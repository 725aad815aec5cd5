"""Where a client is: its address, behind proxies too.

A proxy appends to X-Forwarded-For the address that it was reached from, so of N proxies that are
trusted the last N of them are true, and the first of those is the client's. Whatever stands before
was sent by the client, who may have made it up. Knows aiohttp, and no limit.
"""

import ipaddress
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HEADER = "X-Forwarded-For"
NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one has all that begin with the same bits."""


def client_address(peer: str, forwarded: Iterable[str], proxies: int) -> str:
    """The address of the client whose request has come from `peer`.

    Args:
        peer: who has connected.
        forwarded: the headers X-Forwarded-For, in their order.
        proxies: how many stand in front.
    """
    addresses = [address.strip() for header in forwarded for address in header.split(",")]
    if not 0 < proxies <= len(addresses):
        return peer  # who has come by another way than through them
    address = _parsed(addresses[-proxies])
    return peer if address is None else str(address)


def household(address: str | None) -> str:
    """What is counted as one client's: an IPv4 address, or a network of IPv6 addresses."""
    parsed = None if address is None else _parsed(address)
    if parsed is None:
        return ""
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed.packed, NETWORK_BITS), strict=False))


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, perhaps with a port behind it; one of IPv4 that is written as IPv6 is IPv4."""
    for candidate in (text, text.rpartition(":")[0].strip("[]")):
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        mapped = address.ipv4_mapped if address.version == 6 else None
        return mapped or address
    return None


def behind(proxies: int) -> Middleware:
    """The middleware that has `remote` of a request be the client's address."""

    @web.middleware
    async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
        forwarded = request.headers.getall(HEADER, ())
        address = client_address(request.remote or "", forwarded, proxies)
        return await handler(request.clone(remote=address))

    return handle
