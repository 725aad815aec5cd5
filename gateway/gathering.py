"""Packets of audio are gathered where aiohttp takes them in, until a session has use for them.

A session sends Triton hops, and a hop is several packets of most clients. Waking a session for each
packet costs more than the packet; so it says how much audio it is waiting for, and gets that as one
packet (`PacketDecoder` minds the bytes alone, not how they were cut), where it can at a moment that
others have theirs at too (`gateway.ticks`). Whatever else comes, a text, a ping, the end, an empty
packet, which means something to some protocols, goes on at once behind what came before it: order
stays. Knows no session.
"""

import asyncio

from aiohttp import web_ws

from gateway.pieces import BoundedReader
from gateway.ticks import ANYTHING, Portion, Ticks

HELD_S = 0.5
"""Packets are held no longer, however little has come: longer than a hop, so that real time rarely
meets it, and shorter than what is taken for a pause in the audio."""
MOST_PACKETS = 32
"""Packets that are held: the tiniest cost time too, which `gateway.pace` counts afterwards."""
_BINARY = 2
_NOT_COMPRESSED = 0


class GatheringReader(BoundedReader):
    """aiohttp's parser of one connection's frames. It holds nothing before `gather` is called."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._wanted = ANYTHING
        self._ticks: Ticks | None = None
        self._held: list[bytes | bytearray] = []
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._packets = 0

    def gather(self, wanted: Portion, ticks: Ticks) -> None:
        """From now on packets are held until there is as much as is wanted."""
        self._wanted, self._ticks = wanted, ticks
        if self._held_bytes >= wanted.at_once:
            self.release()
        else:
            self._await_tick()

    def release(self) -> bool:
        """Hand over what is held; whether there was anything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._held:
            return False
        audio = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._packets += len(self._held) - 1
        self._held.clear()
        self._held_bytes = 0
        super()._handle_frame(True, _BINARY, audio, _NOT_COMPRESSED)
        return True

    def gathered(self) -> int:
        """How many packets have been joined to others since the last call."""
        packets, self._packets = self._packets, 0
        return packets

    def feed_eof(self) -> None:
        """The client says no more."""
        self.release()
        super().feed_eof()

    def _handle_frame(
        self, fin: bool, opcode: int, payload: bytes | bytearray, compressed: int
    ) -> None:
        if fin and opcode == _BINARY and payload and self._wanted.at_once and not self.is_in_pieces:
            self._hold(payload)
            return
        self.release()
        super()._handle_frame(fin, opcode, payload, compressed)

    def _hold(self, packet: bytes | bytearray) -> None:
        self._held.append(packet)
        self._held_bytes += len(packet)
        if self._held_bytes >= self._wanted.at_once or len(self._held) >= MOST_PACKETS:
            self.release()
            return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HELD_S, self.release)
        self._await_tick()

    def _await_tick(self) -> None:
        if self._ticks is not None and self._wanted.tick_ms and self._is_ripe:
            self._ticks.join(self._tick, self._wanted.tick_ms)

    @property
    def _is_ripe(self) -> bool:
        return self._held_bytes >= max(1, self._wanted.at_tick)

    def _tick(self) -> None:
        if self._is_ripe:
            self.release()


def install() -> None:
    """Have aiohttp's server use it, for which it has no setting."""
    web_ws.WebSocketReader = GatheringReader  # type: ignore[attr-defined]
