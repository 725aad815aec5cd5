"""What a dialect is: how its clients come in, and how what is said is translated.

Pure. An `Entrance` is asked once for each upgrade request, and gives a new `Dialect`, which lives
as long as the session. Its calls are made one at a time, in the order in which things were said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from gateway.closing import Close, Farewell
from gateway.messages import Frame
from gateway.peer import Incoming
from gateway.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request for a websocket."""

    target: str
    """Path and query as they came."""
    query: tuple[tuple[str, str], ...]
    """Names and values, in their order; a name may come twice."""
    headers: Mapping[str, str]
    """Names in any case."""
    at: float
    """Unix time, in seconds."""

    def last(self, name: str) -> str | None:
        """The value of a query parameter; the last one counts."""
        values = self.all(name)
        return values[-1] if values else None

    def all(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return [value for key, value in self.query if key == name]


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows from a client's message."""

    requests: tuple[Incoming, ...] = ()
    """For the session, in this order."""
    replies: tuple[Frame, ...] = ()
    """For the client, at once."""


class Dialect(Protocol):
    """One client's side of a protocol. Subclass it."""

    response_headers: Mapping[str, str] = MappingProxyType({})
    """For the response to the upgrade."""

    @property
    def outlives_client(self) -> bool:
        """Whether the session goes on to its end when the client has gone."""
        return False

    def bytes_for(self, audio_bytes: int) -> int:
        """How many bytes of the client's packets become so much audio of the session's, about."""
        return audio_bytes

    def open(self) -> Turn:
        """What is said before the client has said anything."""
        return Turn()

    def hear(self, message: str | bytes) -> Turn:
        """The client has said this.

        Raises:
            Close: the session must end so.
        """

    def gone(self) -> Turn:
        """The client has gone, and this outlives it."""
        return Turn()

    def tell(self, frame: Frame) -> list[Frame]:
        """The session has said this; frames for the client come out."""

    def farewell(self, end: Close) -> Farewell:
        """How the end of the session is told. It may be asked for twice."""


class Entrance(Protocol):
    """How a protocol's clients come in. Subclass it."""

    name: str
    """In metrics and traces; one of `gateway.metrics.PROTOCOLS`."""
    paths: tuple[str, ...]

    def shown_key(self, upgrade: Upgrade, keys: Sequence[str]) -> str | None:
        """Which of these keys the request shows in a way that is only this protocol's."""
        return None

    def begin(self, upgrade: Upgrade) -> Dialect:
        """A client who has been let in.

        Raises:
            RefusedUpgrade: what it asks for cannot be served.
        """

    def refuse(self, refusal: Refusal) -> Refusal:
        """The gateway's own refusal, in the shape that this protocol's clients expect."""
        return refusal


class RefusedUpgrade(Exception):  # noqa: N818, a refusal is an answer
    """An upgrade is answered with this response."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal
