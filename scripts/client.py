"""One session with the server as the scripts have it: packets out, messages in as they come.

On top of `gateway.client.Connection`: messages stay plain JSON, as they are shown and measured
here. Sends and receives concurrently, so a server that is slow to take audio still has its messages
read. It does not know where the audio comes from, nor what becomes of the messages.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.client.connection import (
    DEFAULT_URL,
    END_AUDIO,
    Connection,
    Message,
    error_text,
    is_finished,
)
from gateway.client.errors import ClientError as SessionError
from gateway.client.errors import LostError, UnauthorizedError
from gateway.client.options import Options
from gateway.client.session import Session

__all__ = [
    "DEFAULT_URL",
    "Message",
    "Packet",
    "Progress",
    "SessionError",
    "error_text",
    "run_lasting_session",
    "run_session",
]

WHERE_KEYS_COME_FROM = "--api-key or GATEWAY_API_KEY"


@dataclass
class Progress:
    """How far a session has come, for what to say when it ends early."""

    connected: bool = False
    sent_s: float = 0.0
    finals: int = 0
    last_final_end_s: float = 0.0
    finished: bool = False
    errors: list[str] = field(default_factory=list)

    def note(self, message: Message) -> None:
        """Count one message of the server."""
        if message.get("type") == "error":
            self.errors.append(error_text(message))
        if message.get("type") == "transcription" and message.get("is_final"):
            self.finals += 1
            ends = [segment["end_time"] for segment in message.get("segments") or []]
            self.last_final_end_s = max([self.last_final_end_s, *ends])

    def summary(self) -> str:
        """What came of the audio."""
        if not self.finals:
            return f"{self.sent_s:.1f} s of audio were sent and no final came back"
        finals = "1 final" if self.finals == 1 else f"{self.finals} finals"
        return (
            f"{self.sent_s:.1f} s of audio were sent, {finals} came back; "
            f"what follows {self.last_final_end_s:.2f} s is not transcribed"
        )


@dataclass(frozen=True)
class Packet:
    """The bytes of one websocket message, and how much audio they hold."""

    data: bytes
    duration_s: float


async def run_session(
    url: str,
    metadata: Message,
    packets: AsyncIterator[Packet],
    on_message: Callable[[Message], None],
    *,
    api_key: str | None = None,
    progress: Progress | None = None,
) -> Progress:
    """Stream all packets, say `end_audio`, and hand over messages until `finished`.

    Raises:
        SessionError: no connection, connection lost, or an error that ended the session.
    """
    progress = progress or Progress()
    connection = await _open(url, metadata, api_key)
    progress.connected = True
    try:
        sender = asyncio.create_task(_send(connection, packets, progress))
        try:
            await _receive_unless_sender_fails(connection, sender, on_message, progress)
        finally:
            sender.cancel()
            await asyncio.wait([sender])
    finally:
        await connection.close()
    return progress


async def run_lasting_session(
    url: str,
    metadata: Message,
    packets: AsyncIterator[Packet],
    on_message: Callable[[Message], None],
    *,
    api_key: str | None = None,
    progress: Progress,
) -> None:
    """The same, but a lost connection is made anew and goes on where the last final ended.

    Raises:
        SessionError: no connection, none for too long, or an error that trying again does not mend.
    """
    with _naming_keys():
        async with Session(url, Options(more=metadata), api_key=api_key) as session:
            progress.connected = True
            sending = asyncio.create_task(session.send_all(_counted(packets, progress)))
            try:
                async for message in session:
                    told = message.model_dump()
                    progress.note(told)
                    on_message(told)
                await sending
            finally:
                sending.cancel()
                await asyncio.wait([sending])
    progress.finished = True


async def _counted(packets: AsyncIterator[Packet], progress: Progress) -> AsyncIterator[bytes]:
    async for packet in packets:
        yield packet.data
        progress.sent_s += packet.duration_s


async def _open(url: str, metadata: Message, api_key: str | None) -> Connection:
    with _naming_keys():
        return await Connection.open(url, metadata, api_key)


@contextmanager
def _naming_keys() -> Iterator[None]:
    """A missing key is told with where the scripts take one from."""
    try:
        yield
    except UnauthorizedError as error:
        told = UnauthorizedError(f"{error} ({WHERE_KEYS_COME_FROM})", error.status, error.kind)
        raise told from error


async def _send(connection: Connection, packets: AsyncIterator[Packet], progress: Progress) -> None:
    """Everything that goes out. A closed connection ends it; the receiver says why."""
    try:
        async for packet in packets:
            await connection.send(packet.data)
            progress.sent_s += packet.duration_s
        await connection.request(END_AUDIO)
    except LostError:
        return


async def _receive_unless_sender_fails(
    connection: Connection,
    sender: asyncio.Task[None],
    on_message: Callable[[Message], None],
    progress: Progress,
) -> None:
    """A source of audio that breaks must not leave the receiver waiting for its finals."""
    receiver = asyncio.create_task(_receive(connection, on_message, progress))
    try:
        await asyncio.wait([sender, receiver], return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()
        await receiver
    finally:
        receiver.cancel()
        await asyncio.wait([receiver])


async def _receive(
    connection: Connection, on_message: Callable[[Message], None], progress: Progress
) -> None:
    while not progress.finished:
        message = await connection.receive()
        progress.note(message)
        on_message(message)
        progress.finished = is_finished(message)
