"""A client's websocket: messages in and out, each with its time limit, and the close.

It knows aiohttp, and no metadata, audio or engine.
Everything that ends the conversation is a `Close` or `ClientGone` raised from here.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import NoReturn

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from aiohttp.http_websocket import WebSocketError

from gateway import gathering
from gateway.auth import ANSWERED
from gateway.closing import ClientGone, Close, CloseCode, Farewell, farewell
from gateway.gathering import GatheringReader
from gateway.messages import Frame
from gateway.pace import Pace
from gateway.patience import Patience
from gateway.ticks import ANYTHING, Portion, Ticks

CLOSE_TIMEOUT_S = 1.0
"""How long a client may take to answer a close, and to take what was sent before it."""
SILENT_PINGS = 2
"""A client that lets this many pings pass without a sign of life is gone."""
LOOK_S = 1.0
"""How often to look whether the connection is still there while nothing is read from it."""
_LINGER_STEP_S = 0.02
_MAX_REASON_BYTES = 123
_TAKEN_AT_ONCE_BYTES = 32_768
"""Half of what asyncio's transports buffer before they ask to wait."""

gathering.install()
# Its warning of subprotocols that are not known would put a client's key into the log.
logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)


class Socket(web.WebSocketResponse):
    """aiohttp's websocket; one that is sent too much says so before it closes.

    It answers with a subprotocol of `ANSWERED` where the client offers one.
    """

    def __init__(
        self, max_message_bytes: int, farewell: Callable[[Close], Farewell] = farewell
    ) -> None:
        """`farewell` says how this client's protocol tells an end."""
        # No heartbeat: aiohttp's would take a client that we do not read for one that is silent.
        super().__init__(
            timeout=CLOSE_TIMEOUT_S,
            autoping=False,
            compress=False,
            protocols=ANSWERED,
            max_msg_size=max_message_bytes + 1,  # aiohttp refuses what reaches its limit
        )
        self._max_message_bytes = max_message_bytes
        self.farewell = farewell

    @property
    def reader(self) -> GatheringReader:
        """What parses its frames. Of a prepared socket only."""
        reader = self._parser
        assert isinstance(reader, GatheringReader)
        return reader

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close. aiohttp's `receive` calls this itself when a message is too large."""
        if code == CloseCode.TOO_LARGE and not self.closed:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._refuse_large_message()
        return await super().close(code=code, message=message, drain=drain)

    async def _refuse_large_message(self) -> None:
        error = f"the message is too large; accepted are {self._max_message_bytes} bytes at most"
        last = self.farewell(Close(CloseCode.TOO_LARGE, error))
        close = last.code.to_bytes(2, "big") + _close_reason(last.reason)
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            for frame in last.frames:
                await self.send_str(json.dumps(frame))
            await self.send_frame(close, WSMsgType.CLOSE)
            # The rest of the message is on its way: closing now would reset the connection, and
            # the reset could overtake the error. So only our half is closed, and what comes in is
            # thrown away until the client has closed its own.
            transport = None if self._req is None else self._req.transport
            if transport is None or not transport.can_write_eof():
                return
            transport.write_eof()
            while not transport.is_closing():  # noqa: ASYNC110, aiohttp tells nobody
                await asyncio.sleep(_LINGER_STEP_S)


class Connection:
    """An open websocket. One task receives; any task may send."""

    def __init__(
        self,
        socket: Socket,
        request: web.Request,
        ticks: Ticks,
        *,
        send_timeout_s: float,
        ping_s: float,
    ) -> None:
        self._socket = socket
        self._reader = socket.reader  # which a closed socket has no more
        self._ticks = ticks
        self._transport = request.transport
        self._send_timeout_s = send_timeout_s
        self._ping_s = ping_s
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._patience = Patience()
        self._pace = Pace(self._loop.time())
        self._writing: set[asyncio.Task[None]] = set()

    async def receive(self, until: float, wanted: Portion = ANYTHING) -> bytes | str | None:
        """The next packet or text; None if none has come by `until` (of the loop's clock).

        `wanted`: how much audio is worth coming back for; packets are gathered until then.

        Raises:
            ClientGone: there is no client any more.
            Close: the client has broken the websocket protocol or sent too large a message.
        """
        self._reader.gather(wanted, self._ticks)
        now = self._loop.time()
        lost_at = max(self._heard_at + SILENT_PINGS * self._ping_s, now + self._ping_s)
        while True:
            try:
                message = await self._patience.wait(self._socket.receive(), min(until, lost_at))
            except TimeoutError:
                if self._reader.release():
                    continue
                if until <= lost_at:
                    return None
                raise ClientGone from None
            self._heard_at = self._loop.time()
            lost_at = self._heard_at + SILENT_PINGS * self._ping_s
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                data: bytes | str = message.data
                await self._keep_pace(data)
                return data
            await self._keep_pace(b"")
            await self._control(message)

    def hurry(self) -> None:
        """Packets that have been gathered come out of `receive` at once."""
        self._reader.release()

    async def send(self, frame: Frame) -> None:
        """Send a frame.

        Raises:
            ClientGone: there is no client any more.
            Close: the client does not read.
        """
        text = json.dumps(frame)
        if self._takes_at_once(len(text)):
            await self._await_write(self._socket.send_str(text))
            return
        await self._write_in_time(self._socket.send_str(text))

    async def keep_alive(self) -> NoReturn:
        """Ping for ever. Whether the client answers shows in `receive`.

        Raises:
            ClientGone: the connection is closed, which nobody sees who is not reading.
            Close: the client does not read.
        """
        ping_at = self._loop.time() + self._ping_s
        while True:
            await asyncio.sleep(min(LOOK_S, self._ping_s))
            if self._transport is None or self._transport.is_closing():
                raise ClientGone
            if self._loop.time() >= ping_at:
                ping_at += self._ping_s
                await self._write_in_time(self._socket.ping())

    async def close(self, end: Close) -> None:
        """Tell how it ends, close, and see to it that the connection ends."""
        self._patience.close()
        last = self._socket.farewell(end)
        if last.frames and not self._socket.closed:
            with contextlib.suppress(TimeoutError, ClientGone):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    for frame in last.frames:
                        await self._write(self._socket.send_str(json.dumps(frame)))
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                await self._socket.close(code=last.code, message=_close_reason(last.reason))
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._transport.abort()  # nobody reads it, so it would stay open for ever
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _keep_pace(self, message: bytes | str) -> None:
        """Have a client wait that sends too many messages. It also lets others have their turn:
        reading what has come already does not."""
        joined = self._reader.gathered()
        wait_s = self._pace.wait_s(message, self._loop.time(), joined)
        if wait_s:
            await asyncio.sleep(wait_s)

    async def _write_in_time(self, writing: Coroutine[None, None, None]) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._write(writing)
        except TimeoutError:
            raise Close(
                CloseCode.OVERLOADED,
                f"the client has read nothing for {self._send_timeout_s:g} s",
            ) from None

    async def _write(self, writing: Coroutine[None, None, None]) -> None:
        """Write, and wait until the client takes it. Giving up waiting does not stop the writing:
        all writers of a connection wait in one future, and a cancelled one would break them all.
        """
        task = asyncio.create_task(writing, name="session-write")
        self._writing.add(task)
        task.add_done_callback(self._forget)
        await self._await_write(asyncio.shield(task))

    def _takes_at_once(self, size: int) -> bool:
        """Whether a write waits for nothing, so that nobody can give up waiting for it."""
        if self._transport is None or size > _TAKEN_AT_ONCE_BYTES:
            return False
        return self._transport.get_write_buffer_size() == 0

    @staticmethod
    async def _await_write(writing: Awaitable[None]) -> None:
        try:
            await writing
        except ConnectionError:
            raise ClientGone from None

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits for it is told; else nobody needs to know

    async def _control(self, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            await self._write_in_time(self._socket.pong(message.data))
        elif message.type is WSMsgType.ERROR and isinstance(message.data, WebSocketError):
            raise Close(message.data.code)
        elif message.type is not WSMsgType.PONG:
            raise ClientGone


def _close_reason(text: str) -> bytes:
    """A close frame's reason: at most 123 bytes of UTF-8 (RFC 6455, section 5.5)."""
    return text.encode(errors="replace")[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
