"""A session that goes on when its connection does not: audio in, typed messages out.

    async with Session("ws://127.0.0.1:8000/v1/websocket", Options(partials=True)) as session:
        sending = asyncio.create_task(session.send_all(packets))
        async for message in session:
            if isinstance(message, Transcription):
                print(message.transcript)

Two tasks of its own belong to a connection, one sends what `Resumption` keeps, one receives; when
they end early and trying again may help, they are made anew. Times and numbers go on unbroken.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from gateway.client.connection import (
    END_AUDIO,
    HEALTH_CHECK,
    Connection,
    Message,
    error_text,
    is_finished,
)
from gateway.client.errors import ClientError, GarbledError, LostError, RecognitionError
from gateway.client.options import Options
from gateway.client.resumption import Resumption
from gateway.wire import Error, ErrorReason, Transcription

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconnect:
    """How patiently a lost connection is made anew."""

    give_up_after_s: float = 60.0
    """After so long without a connection the session ends with the last error."""
    least_delay_s: float = 0.5
    most_delay_s: float = 10.0
    """The delay doubles from one try to the next, up to this."""

    def delays_s(self) -> Iterable[float]:
        """Before each try; a part of it is chance, so that many clients do not come together."""
        delay_s = self.least_delay_s
        while True:
            yield delay_s * random.uniform(0.5, 1.0)
            delay_s = min(2 * delay_s, self.most_delay_s)


class Session:
    """One session. `async with` it, send and iterate in two tasks; iterate it once."""

    def __init__(
        self,
        url: str,
        options: Options | None = None,
        *,
        api_key: str | None = None,
        reconnect: Reconnect | None = Reconnect(),
    ) -> None:
        """`reconnect` None: an error ends the session.

        A packet that is sent holds audio in the encoding and at the rate of the options.
        """
        self._url = url
        self._metadata = (options or Options()).metadata()
        self._api_key = api_key
        self._reconnect = reconnect
        self._resumption = Resumption(self._metadata)
        self._heard: asyncio.Queue[Transcription | Error | ClientError | None] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._ended = False
        self._over: ClientError | None = None
        self._is_over = False
        self._connection: Connection
        self._running: asyncio.Task[None] | None = None
        self.reconnections = 0
        """How often the connection has been made anew."""

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConnectError: there is no connection to be had; only lost ones are made anew.
        """
        self._connection = await self._open()
        self._running = asyncio.create_task(self._run(), name="client-session")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection, in whatever state the session is."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self._connection.close()  # a task that is cancelled before its first step does not

    async def send(self, packet: bytes) -> None:
        """Send audio; waits while the server is too far behind.

        Raises:
            ClientError: the session is over.
        """
        assert not self._ended, "the audio has ended"
        while not self._resumption.has_room and not self._is_over:
            await self._change()
        if self._over is not None:
            raise self._over
        self._resumption.add(packet)
        self._notify()

    async def end(self) -> None:
        """The audio is over: what is not final yet will be, and then the iteration ends."""
        self._ended = True
        self._notify()

    async def send_all(self, packets: AsyncIterable[bytes] | Iterable[bytes]) -> None:
        """Send packets as they come, and end.

        Raises:
            ClientError: the session is over.
        """
        if isinstance(packets, AsyncIterable):
            async for packet in packets:
                await self.send(packet)
        else:
            for packet in packets:
                await self.send(packet)
        await self.end()

    async def __aiter__(self) -> AsyncIterator[Transcription | Error]:
        """Transcriptions, and errors that do not end the session, until all audio is final.

        Raises:
            ClientError: the session has ended early.
        """
        while (heard := await self._heard.get()) is not None:
            if isinstance(heard, ClientError):
                raise heard
            yield heard

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._serve(self._connection)
                    self._finish(None)
                    return
                except ClientError as error:
                    self._connection = await self._again(error)
        except ClientError as error:
            self._finish(error)
        except Exception:
            self._finish(ClientError("the client has failed by a defect"))
            raise

    def _finish(self, error: ClientError | None) -> None:
        self._is_over, self._over = True, error
        self._heard.put_nowait(error)
        self._notify()

    # One connection.

    async def _open(self) -> Connection:
        return await Connection.open(self._url, self._metadata, self._api_key)

    async def _serve(self, connection: Connection) -> None:
        """Send and receive until all is final.

        Raises:
            ClientError: it came to an end before.
        """
        sending = asyncio.create_task(self._send(connection), name="client-send")
        try:
            while not is_finished(message := await connection.receive()):
                self._take(message)
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            await connection.close()

    async def _send(self, connection: Connection) -> None:
        with contextlib.suppress(LostError):  # the receiver says why
            while True:
                while (packet := self._resumption.next_packet()) is not None:
                    await connection.send(packet)
                    if self._resumption.take_mark():
                        await connection.request(HEALTH_CHECK)
                if self._ended:
                    await connection.request(END_AUDIO)
                    return
                await self._change()

    def _take(self, message: Message) -> None:
        kind = message.get("type")
        try:
            if kind == "transcription":
                told = self._resumption.heard(Transcription.model_validate(message))
                self._heard.put_nowait(told)
            elif kind == "error":
                text = error_text(message)
                reason = ErrorReason(message=text)
                self._heard.put_nowait(Error(type="error", message=text, body=reason))
            elif kind == HEALTH_CHECK:
                self._resumption.mark_answered()
                self._notify()
        except ValidationError as error:
            raise GarbledError(f"the server sent what is no transcription: {error}") from error

    async def _again(self, error: ClientError) -> Connection:
        """A new connection, if that may help.

        Raises:
            ClientError: it does not, or not in time.
        """
        if self._reconnect is None or error.retry_after_s is None:
            raise error
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._reconnect.give_up_after_s
        for delay_s in self._reconnect.delays_s():
            delay_s = max(delay_s, error.retry_after_s or 0.0)
            if loop.time() + delay_s > give_up_at:
                raise error
            logger.warning("%s; trying again in %.1f s", error, delay_s)
            await asyncio.sleep(delay_s)
            try:
                connection = await self._open()
            except ClientError as failed:
                error = failed
                if error.retry_after_s is None:
                    raise
            else:
                self._resumption.restart()
                self.reconnections += 1
                return connection
        raise AssertionError("there is always another delay")

    # Waiting for each other.

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> None:
        await self._changed.wait()


async def transcribe(
    url: str,
    packets: AsyncIterable[bytes] | Iterable[bytes],
    options: Options | None = None,
    *,
    api_key: str | None = None,
    reconnect: Reconnect | None = Reconnect(),
) -> AsyncIterator[Transcription]:
    """A whole session: what the server hears in these packets, as it comes.

    Raises:
        ClientError: no session, or one that ended early.
        RecognitionError: the server could not transcribe a part of the audio.
    """
    async with Session(url, options, api_key=api_key, reconnect=reconnect) as session:
        sending = asyncio.create_task(session.send_all(packets))
        try:
            async for message in session:
                if isinstance(message, Error):
                    raise RecognitionError(message.message)
                yield message
            await sending
        finally:
            sending.cancel()
            await asyncio.wait([sending])
