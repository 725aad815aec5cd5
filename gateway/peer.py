"""What a session needs of whoever it serves: five calls.

`gateway.connection.Connection` is a websocket of our own protocol, `gateway.dialects.peer` one of
another protocol; a peer may as well be in memory. Rules: one task receives, any task may send, and
whatever ends the conversation is a `Close` or `ClientGone` raised from one of the calls.
"""

from typing import NoReturn, Protocol

from gateway.closing import Close
from gateway.messages import Alive, Configure, Flush, Frame
from gateway.ticks import ANYTHING, Portion

Incoming = bytes | str | Alive | Flush | Configure
"""A packet of audio, a text as docs/protocol.md has it, or what only the gateway itself says.
The first that is not `Alive` must be a text, the metadata."""


class Peer(Protocol):
    """Whoever is served."""

    async def receive(self, until: float, wanted: Portion = ANYTHING) -> Incoming | None:
        """What comes next; None if nothing has come by `until` (of the loop's clock).

        `wanted`: the bytes of audio that are worth coming back for. Less may come at any time, and
        packets may come as one.

        Raises:
            ClientGone: there is nobody any more.
            Close: the session must end so.
        """

    def hurry(self) -> None:
        """`receive` need wait for nothing any more: what has come is to be had at once."""

    async def send(self, frame: Frame) -> None:
        """Take a frame, of docs/protocol.md or `gateway.messages.FLUSHED`.

        Raises:
            ClientGone: there is nobody any more.
            Close: the session must end so.
        """

    async def keep_alive(self) -> NoReturn:
        """Run for as long as the session; raise ClientGone when there is nobody any more."""

    async def close(self, end: Close) -> None:
        """The session is over, so; `end.error` is for the client. Nothing is called after it."""
