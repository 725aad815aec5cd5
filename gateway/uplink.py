"""A session's way up: packets are decoded, blocked into hops and sent to Triton in order.

It knows no websocket. One caller at a time uses it, the others wait. Waiting for room among the
hops in flight is the back-pressure: whoever feeds packets is held up, and reads no more of them.
"""

import asyncio
import contextlib
from collections.abc import Iterator

from gateway.audio import PacketDecoder
from gateway.closing import EngineUnavailable
from gateway.hops import HopBlocker
from gateway.in_flight import HopsInFlight
from gateway.protocol import SessionOptions
from gateway.sequence import Hop, Sequencer
from gateway.triton import TritonStream

SLICE_BYTES = 16_384
"""Decoded at a time, so that a packet of megabytes does not hold up other sessions."""
DISCARD_TIMEOUT_S = 1.0
"""How long the end of an abandoned session may take Triton."""


class Uplink:
    """One session's audio on its way to Triton."""

    def __init__(
        self, stream: TritonStream, options: SessionOptions, hop_samples: int, max_in_flight: int
    ) -> None:
        self.stream = stream
        self.sequencer = Sequencer(options.stream)
        self.in_flight = HopsInFlight(max_in_flight)
        self.ended = False
        """Whether the audio is over: no packet is taken any more."""
        self.unflushed = False
        """Whether audio has come since the last flush."""
        self._decoder = PacketDecoder(options.audio)
        self._blocker = HopBlocker(hop_samples)
        self._turn = asyncio.Lock()

    async def take(self, packet: bytes) -> None:
        """Send the hops that this packet completes."""
        async with self._turn:
            self.unflushed = True
            for part in _slices(packet):
                for samples in self._blocker.push(self._decoder.decode(part)):
                    await self._send(self.sequencer.audio(samples))

    async def flush(self) -> None:
        """Send what is left and end the sequence: the open utterance gets its final."""
        async with self._turn:
            self.unflushed = False
            hops = self._blocker.push(self._decoder.flush()) + self._blocker.flush()
            for samples in hops:
                await self._send(self.sequencer.audio(samples))
            if self.sequencer.is_open:
                await self._send(self.sequencer.end())

    async def end(self) -> None:
        """The audio is over: flush, and take no more."""
        self.ended = True
        await self.flush()

    async def close(self) -> None:
        """Leave nothing behind: an open utterance is dropped undecoded, the stream is closed."""
        try:
            if self.sequencer.is_open:
                with contextlib.suppress(TimeoutError, EngineUnavailable):
                    async with asyncio.timeout(DISCARD_TIMEOUT_S):
                        await self._discard()
        finally:
            await self.stream.close()

    async def _send(self, hop: Hop) -> None:
        await self.in_flight.enter(hop)
        await self.stream.send(hop)

    async def _discard(self) -> None:
        end = self.sequencer.end(discard=True)
        await self.stream.send(end)
        while (await self.stream.receive()).hop != end.index:
            pass


def _slices(packet: bytes) -> Iterator[bytes]:
    for start in range(0, len(packet), SLICE_BYTES):
        yield packet[start : start + SLICE_BYTES]
