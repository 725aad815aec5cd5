"""Whether a page of a web site may talk to this server.

Pure. A browser says in the header Origin whose page opens a connection, and websockets are not held
by its same-origin rule: without a check, any page that somebody opens could use a server that only
their own machine can reach. Programs send no Origin and are not asked for one. Rules:

1. A page that this server has served is let in: its origin's host and port are those of the header
   Host. (Its scheme is not compared: a proxy may have taken TLS off.)
2. So are the origins that the operator names; `*` names all.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

ANY = "*"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_allowed(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Whether a request with these headers may be served.

    Args:
        origin: the header Origin, None for a program.
        host: the header Host.
        allowed: origins such as `https://captions.example`, or `*`.
    """
    if origin is None or ANY in allowed or origin.lower() in allowed:
        return True
    scheme, _, place = origin.lower().partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    return (
        host is not None
        and default is not None
        and _with_port(place, default) == _with_port(host.lower(), default)
    )


def is_origin(text: str) -> bool:
    """Whether a browser could send this in the header Origin: `null`, or scheme, host and port."""
    if text == "null":
        return True
    parts = urlsplit(text)
    return bool(parts.scheme and parts.netloc) and text == f"{parts.scheme}://{parts.netloc}"


def _with_port(place: str, default: int) -> str:
    """Host and port, the port spelled out."""
    has_port = place.rpartition(":")[2].isdigit()  # not the end of an IPv6 address: `]`
    return place if has_port else f"{place}:{default}"
