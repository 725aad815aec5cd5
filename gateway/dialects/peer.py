"""A client who speaks a dialect, as a session's peer.

The only module of the dialects that waits for anything; it knows no protocol. Its rule: clients are
sent their frames in the order in which the dialect made them, whichever task it made them in.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import NoReturn

from gateway.closing import ClientGone, Close
from gateway.connection import Connection
from gateway.dialects.dialect import Dialect, Turn
from gateway.messages import Alive, Frame
from gateway.peer import Incoming
from gateway.ticks import ANYTHING, Portion


class TranslatedPeer:
    """A connection with a dialect in front of it."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._is_open = False
        self._is_alone = False  # the client has gone, and the session goes on
        self._incoming: deque[Incoming] = deque()
        self._outgoing: deque[Frame] = deque()
        self._sending = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    async def receive(self, until: float, wanted: Portion = ANYTHING) -> Incoming | None:
        """What comes next; see `gateway.peer.Peer`."""
        if not self._is_open:
            self._is_open = True
            await self._take(self._dialect.open())
        while not self._incoming:
            if self._is_alone:
                await asyncio.sleep(until - self._loop.time())
                return None
            try:
                message = await self._connection.receive(
                    until, wanted.through(self._dialect.bytes_for)
                )
            except ClientGone:
                await self._go_on_alone()
                continue
            if message is None:
                return None
            turn = self._dialect.hear(message)
            await self._take(turn if turn.requests else Turn((Alive(),), turn.replies))
        return self._incoming.popleft()

    def hurry(self) -> None:
        """See `gateway.peer.Peer`."""
        self._connection.hurry()

    async def send(self, frame: Frame) -> None:
        """Translate a session's frame; see `gateway.peer.Peer`."""
        await self._send(self._dialect.tell(frame))

    async def keep_alive(self) -> NoReturn:
        """See `gateway.peer.Peer`."""
        try:
            await self._connection.keep_alive()
        except ClientGone:
            if not self._dialect.outlives_client:
                raise
            await self._loop.create_future()
        raise AssertionError("nothing above returns")

    async def close(self, end: Close) -> None:
        """See `gateway.peer.Peer`. The connection asks the dialect for its farewell."""
        await self._connection.close(end)

    async def _go_on_alone(self) -> None:
        if not self._dialect.outlives_client:
            raise ClientGone
        self._is_alone = True
        await self._take(self._dialect.gone())

    async def _take(self, turn: Turn) -> None:
        self._incoming += turn.requests
        await self._send(turn.replies)

    async def _send(self, frames: Iterable[Frame]) -> None:
        self._outgoing += frames
        async with self._sending:
            while self._outgoing:
                await self._connection.send(self._outgoing.popleft())
