"""How a session ends: the close codes, and the exception that carries one to the session's end.

A `Close` ends the session, a `ClientGone` with nobody left to tell it to. The session turns an
`EngineUnavailable` into a `Close`. The codes are RFC 6455's and those of IANA's registry.
"""

from dataclasses import dataclass
from enum import IntEnum

from gateway.messages import Frame, error_frame


class CloseCode(IntEnum):
    """Why the socket was closed."""

    NORMAL = 1000
    REFUSED = 1008
    """The metadata is missing or cannot be used."""
    TOO_LARGE = 1009
    INTERNAL = 1011
    """The engine is unavailable, or the gateway has a defect."""
    RESTART = 1012
    OVERLOADED = 1013
    """The client does not read what it is sent."""


class Close(Exception):  # noqa: N818, an end is not always an error
    """Ends the session with this code; `error` is told to the client in an error frame first."""

    def __init__(self, code: int, error: str | None = None) -> None:
        super().__init__(code, error)
        self.code = code
        self.error = error


class ClientGone(Close):
    """The client has closed, broken or silently lost its connection."""

    def __init__(self) -> None:
        super().__init__(CloseCode.NORMAL)


@dataclass(frozen=True, slots=True)
class Farewell:
    """How an end is told to the client: the last frames, and the close."""

    frames: tuple[Frame, ...]
    code: int
    reason: str = ""


def farewell(end: Close) -> Farewell:
    """An end as docs/protocol.md has it."""
    return Farewell(() if end.error is None else (error_frame(end.error),), end.code)


class EngineUnavailable(Exception):  # noqa: N818
    """Triton cannot be reached or has broken a stream; the text says how, for the log."""
