"""One session of the websocket protocol, seen from the client: audio out, messages in.

Sends and receives concurrently, so a server that is slow to take audio still has its messages
read. It does not know where the audio comes from, nor what becomes of the messages.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

DEFAULT_URL = "ws://127.0.0.1:8000/v1/websocket"

PING_TIMEOUT_S = 120
"""A pong waits behind the audio that the sockets' buffers hold; as fast as the server takes it,
that can be a minute's worth of work, so the usual 20 s would end healthy sessions."""

CLOSE_TIMEOUT_S = 1
"""Nothing is expected after `finished`, and an interrupted client should not linger."""

Message = dict[str, Any]


class SessionError(Exception):
    """The session did not come to its regular end; the message says what happened."""


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
    socket = await _open(url, api_key)
    progress.connected = True
    try:
        sender = asyncio.create_task(_send(socket, metadata, packets, progress))
        try:
            await _receive_unless_sender_fails(socket, sender, on_message, progress)
        finally:
            sender.cancel()
            await asyncio.wait([sender])
    finally:
        await socket.close()
    return progress


def error_text(message: Message) -> str:
    """The text of an `error` message, wherever the server put it."""
    body = message.get("body")
    nested = body.get("message") if isinstance(body, dict) else None
    return str(message.get("message") or nested or "no reason given")


async def _open(url: str, api_key: str | None) -> ClientConnection:
    headers = {"Authorization": f"Api-Key {api_key}"} if api_key else None
    try:
        return await connect(
            url,
            additional_headers=headers,
            proxy=None if _is_loopback(url) else True,
            ping_timeout=PING_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=None,  # a final with words and beams is as long as it is
        )
    except InvalidStatus as error:
        raise SessionError(_refusal(url, error, api_key)) from error
    except (InvalidURI, ValueError) as error:
        raise SessionError(f"{url} is no websocket address: {error}") from error
    except (OSError, InvalidHandshake) as error:
        raise SessionError(f"cannot connect to {url}: {error or type(error).__name__}") from error


def _is_loopback(url: str) -> bool:
    """A proxy of the environment is not for servers on this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _refusal(url: str, error: InvalidStatus, api_key: str | None) -> str:
    status = error.response.status_code
    if status != 401:
        reason = (error.response.body or b"").decode(errors="replace").strip()
        return f"{url} refused the connection with HTTP {status} {reason[:200]}".rstrip()
    hint = "the API key is wrong" if api_key else "it wants an API key"
    return f"{url} refused the connection with HTTP 401: {hint} (--api-key or GATEWAY_API_KEY)"


async def _send(
    socket: ClientConnection,
    metadata: Message,
    packets: AsyncIterator[Packet],
    progress: Progress,
) -> None:
    """Everything that goes out. A closed connection ends it; the receiver says why."""
    try:
        await socket.send(json.dumps(metadata))
        async for packet in packets:
            await socket.send(packet.data)
            progress.sent_s += packet.duration_s
        await socket.send(json.dumps({"type": "end_audio"}))
    except ConnectionClosed:
        return


async def _receive_unless_sender_fails(
    socket: ClientConnection,
    sender: asyncio.Task[None],
    on_message: Callable[[Message], None],
    progress: Progress,
) -> None:
    """A source of audio that breaks must not leave the receiver waiting for its finals."""
    receiver = asyncio.create_task(_receive(socket, on_message, progress))
    try:
        await asyncio.wait([sender, receiver], return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()
        await receiver
    finally:
        receiver.cancel()
        await asyncio.wait([receiver])


async def _receive(
    socket: ClientConnection, on_message: Callable[[Message], None], progress: Progress
) -> None:
    try:
        while not progress.finished:
            message = _decode(await socket.recv())
            progress.note(message)
            on_message(message)
            progress.finished = _is_finished(message)
    except ConnectionClosed as closed:
        raise SessionError(_loss(closed)) from closed


def _decode(text: str | bytes) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise SessionError(f"the server sent what is not JSON: {text[:80]!r}") from error
    if not isinstance(message, dict):
        raise SessionError(f"the server sent what is not a JSON object: {text[:80]!r}")
    return message


def _is_finished(message: Message) -> bool:
    body = message.get("body")
    status = body.get("status") if isinstance(body, dict) else None
    return message.get("type") == "end_audio" and status == "finished"


def _loss(closed: ConnectionClosed) -> str:
    close = closed.rcvd
    if close is None:
        return "lost the connection"
    return f"the server closed the connection: {close.code} {close.reason}".rstrip()
