"""A client that is no websocket library: bytes as they are, also what no library would send."""

import asyncio
import secrets
from dataclasses import dataclass

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
HEADERS = (
    "Host: {host}",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """A frame of RFC 6455, section 5.2, or nearly one."""
    head = bytes([0x80 * fin | rsv << 4 | opcode])
    mask = secrets.token_bytes(4) if masked else b""
    hidden = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload
    bit = 0x80 * masked
    if len(payload) < 126:
        return head + bytes([bit | len(payload)]) + mask + hidden
    if len(payload) < 2**16:
        return head + bytes([bit | 126]) + len(payload).to_bytes(2, "big") + mask + hidden
    return head + bytes([bit | 127]) + len(payload).to_bytes(8, "big") + mask + hidden


@dataclass
class Raw:
    """A TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send; that nobody is there any more is no news."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            pass

    async def rest(self, within_s: float = 5) -> bytes:
        """All that comes until the server closes.

        Raises:
            TimeoutError: it has not, by then.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self.reader.read()
        except ConnectionError:
            return b""
        finally:
            self.leave()

    def leave(self) -> None:
        """Without a word."""
        self.writer.transport.abort()


async def connect(address: str) -> Raw:
    host, _, port = address.rpartition(":")
    return Raw(*await asyncio.open_connection(host, int(port)))


async def upgrade(address: str, path: str = "/websocket") -> Raw:
    """A websocket on which anything may be sent.

    Raises:
        AssertionError: the server has refused.
    """
    raw = await connect(address)
    lines = [f"GET {path} HTTP/1.1", *(line.format(host=address) for line in HEADERS), "", ""]
    await raw.send("\r\n".join(lines).encode())
    head = await raw.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    return raw


def close_code(sent: bytes) -> int | None:
    """The code of the close frame at the end of what the server has sent."""
    at = sent.rfind(b"\x88")
    return int.from_bytes(sent[at + 2 : at + 4], "big") if at >= 0 else None
