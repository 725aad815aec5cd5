"""How many pieces a client's message may come in, where aiohttp takes them in.

RFC 6455 lets a message come in any number of frames, empty ones too, and aiohttp bounds their bytes
alone. It parses what has come before anybody reads a message, so endless empty pieces would take a
whole core, and no message would ever show it. The parser that is here counts them. Knows no
session.
"""

from aiohttp import WSCloseCode
from aiohttp.http_websocket import WebSocketError, WebSocketReader

PIECES = 64
"""Of a message, however short. A client has no use for more: each costs it a header."""
PIECE_BYTES = 1024
"""A message may have a piece more for each of these."""
_LAST_OF_DATA = 2
"""Opcodes up to this are of data: continuation, text, binary. The others are of control frames,
which may stand between two pieces."""


class BoundedReader(WebSocketReader):
    """aiohttp's parser of one connection's frames. A message in too many pieces ends it."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._pieces = self._bytes = 0

    @property
    def is_in_pieces(self) -> bool:
        """Whether a message has begun of which more pieces are to come."""
        return self._pieces > 0

    def _handle_frame(
        self, fin: bool, opcode: int, payload: bytes | bytearray, compressed: int
    ) -> None:
        if opcode <= _LAST_OF_DATA:
            self._count(fin, len(payload))
        super()._handle_frame(fin, opcode, payload, compressed)

    def _count(self, fin: bool, size: int) -> None:
        if fin:
            self._pieces = self._bytes = 0
            return
        self._pieces += 1
        self._bytes += size
        if self._pieces >= PIECES + self._bytes // PIECE_BYTES:
            raise WebSocketError(WSCloseCode.POLICY_VIOLATION, "a message in too many pieces")
