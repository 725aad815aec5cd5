"""One websocket as a client has it: the handshake, messages as plain JSON, and typed errors.

The only module here that knows the websocket library. It keeps no state of the session, so it does
not know what is final; it does not reconnect.
"""

import contextlib
import json
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from gateway.client.errors import (
    AddressError,
    ClientError,
    ConnectError,
    GarbledError,
    LostError,
    RefusedError,
    closed,
    refused,
)

DEFAULT_URL = "ws://127.0.0.1:8000/v1/websocket"
END_AUDIO = "end_audio"
HEALTH_CHECK = "health_check"

PING_TIMEOUT_S = 120
"""A pong waits behind the audio that the sockets' buffers hold; as fast as the server takes it,
that can be a minute's worth of work, so the usual 20 s would end healthy sessions."""
CLOSE_TIMEOUT_S = 1
"""Nothing is expected after `finished`, and an interrupted client should not linger."""
MAX_SHOWN_CHARS = 200

Message = dict[str, Any]


class Connection:
    """An open connection. One task receives; one task sends."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._told: str | None = None

    @classmethod
    async def open(cls, url: str, metadata: Message, api_key: str | None = None) -> "Connection":
        """Connect, and send the metadata.

        Raises:
            ConnectError: there is no connection to be had.
        """
        connection = cls(await _connected(url, api_key))
        with contextlib.suppress(LostError):  # `receive` says why
            await connection._send(json.dumps(metadata))
        return connection

    async def send(self, packet: bytes) -> None:
        """Send audio; waits while the server takes no more.

        Raises:
            LostError: the connection is closed. `receive` says why.
        """
        await self._send(packet)

    async def request(self, kind: str) -> None:
        """Send `END_AUDIO` or `HEALTH_CHECK`.

        Raises:
            LostError: the connection is closed. `receive` says why.
        """
        await self._send(json.dumps({"type": kind}))

    async def receive(self) -> Message:
        """The next message.

        Raises:
            ClosedError: the server has closed the connection; the class tells the close code.
            LostError: the connection broke.
            GarbledError: what has come is no JSON object.
        """
        try:
            message = _decoded(await self._socket.recv())
        except ConnectionClosed as closing:
            raise self._ending(closing) from closing
        if message.get("type") == "error":
            self._told = error_text(message)
        return message

    async def close(self) -> None:
        """Close it, in whatever state it is."""
        await self._socket.close()

    async def _send(self, data: str | bytes) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed as closing:
            raise LostError("lost the connection") from closing

    def _ending(self, closing: ConnectionClosed) -> ClientError:
        if closing.rcvd is None:
            return LostError("lost the connection")
        return closed(closing.rcvd.code, closing.rcvd.reason, self._told)


def error_text(message: Message) -> str:
    """The text of an `error` message, wherever the server put it."""
    body = message.get("body")
    nested = body.get("message") if isinstance(body, dict) else None
    return str(message.get("message") or nested or "no reason given")


def is_finished(message: Message) -> bool:
    """Whether this is the last message of a session."""
    body = message.get("body")
    status = body.get("status") if isinstance(body, dict) else None
    return message.get("type") == END_AUDIO and status == "finished"


async def _connected(url: str, api_key: str | None) -> ClientConnection:
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
        raise _refusal(url, error, has_key=bool(api_key)) from error
    except (InvalidURI, ValueError) as error:
        raise AddressError(f"{url} is no websocket address: {error}") from error
    except (OSError, InvalidHandshake) as error:
        raise ConnectError(f"cannot connect to {url}: {error or type(error).__name__}") from error


def _is_loopback(url: str) -> bool:
    """A proxy of the environment is not for servers on this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _refusal(url: str, error: InvalidStatus, has_key: bool) -> RefusedError:
    text = (error.response.body or b"").decode(errors="replace").strip()
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    told = body if isinstance(body, dict) else {}
    retry_after_s = told.get("retry_after_s")
    return refused(
        url,
        error.response.status_code,
        text[:MAX_SHOWN_CHARS],
        told.get("type"),
        retry_after_s if isinstance(retry_after_s, int | float) else None,
        has_key,
    )


def _decoded(text: str | bytes) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise GarbledError(f"the server sent what is not JSON: {text[:80]!r}") from error
    if not isinstance(message, dict):
        raise GarbledError(f"the server sent what is not a JSON object: {text[:80]!r}")
    return message
