"""A session's way up: packets are decoded, blocked into hops and sent to Triton in order.

It knows no websocket. One caller at a time uses it, the others wait. Waiting for room among the
hops in flight is the back-pressure: whoever feeds packets is held up, and reads no more of them.
What an answer says of the hops to come is heard as soon as it arrives; relaying it is not done
here.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from gateway.admission import StreamDelays
from gateway.audio import PacketDecoder
from gateway.closing import EngineUnavailable
from gateway.hops import HopBlocker
from gateway.in_flight import HopsInFlight
from gateway.protocol import SessionOptions
from gateway.sequence import Hop, Sequencer
from gateway.triton import Answer, Triton
from pipeline.audio import samples_to_s

SLICE_BYTES = 16_384
"""Decoded at a time, so that a packet of megabytes does not hold up other sessions."""
ANSWERS_TIMEOUT_S = 1.0
"""How long END waits for the answers to the hops before it: it is the last that can tell the
voice-activity stage of them. In real time one window is unanswered at most, and its answer comes
sooner; an engine that is later than this delays the final no further."""
DISCARD_TIMEOUT_S = 1.0
"""How long the end of an abandoned session may take Triton."""


class Uplink:
    """One session's audio on its way to Triton."""

    def __init__(
        self,
        triton: Triton,
        options: SessionOptions,
        delays: StreamDelays,
        hop_samples: Callable[[bool], int],
        max_samples_in_flight: int,
    ) -> None:
        """`hop_samples` is asked for each hop, and told whether the stream is ahead of time."""
        self.stream = triton.open_stream(self._hear)
        self.sequencer = Sequencer(options.stream)
        self.in_flight = HopsInFlight(max_samples_in_flight)
        self.ended = False
        """Whether the audio is over: no packet is taken any more."""
        self.unflushed = False
        """Whether audio has come since the last flush."""
        self._delays = delays
        self._decoder = PacketDecoder(options.audio)
        self._blocker = HopBlocker(lambda: hop_samples(delays.is_ahead))
        self._turn = asyncio.Lock()

    async def take(self, packet: bytes) -> None:
        """Send the hops that this packet completes."""
        async with self._turn:
            self.unflushed = True
            for part in _slices(packet):
                for pcm in self._blocker.push(self._decoder.decode(part)):
                    await self._send(self.sequencer.audio(pcm))

    async def flush(self, discard: bool = False) -> None:
        """Send what is left and end the sequence: the open utterance gets its final.

        `discard`: it gets none, and what is left is sent only for the clock to go on.
        """
        async with self._turn:
            self.unflushed = False
            for pcm in self._blocker.push(self._decoder.flush()) + self._blocker.flush():
                await self._send(self.sequencer.audio(pcm))
            if self.sequencer.is_open:
                if not discard:
                    await self._hear_all_answers()
                await self._send(self.sequencer.end(discard))

    async def end(self) -> None:
        """The audio is over: flush, and take no more."""
        self.ended = True
        await self.flush()

    def configure(self, options: SessionOptions) -> None:
        """Other options from here on. Flush before, so that no utterance is under way."""
        self.sequencer.configure(options.stream)
        self._delays.partials = options.stream.partials
        self._decoder = PacketDecoder(options.audio)

    def hurry(self) -> None:
        """The server stops: END waits for no answer any more."""
        self.in_flight.hurry()

    async def close(self) -> None:
        """Leave nothing behind: an open utterance is dropped undecoded, the stream is closed."""
        self._delays.close()
        try:
            if self.sequencer.is_open:
                with contextlib.suppress(TimeoutError, EngineUnavailable):
                    async with asyncio.timeout(DISCARD_TIMEOUT_S):
                        await self._discard()
        finally:
            await self.stream.close()

    async def _send(self, hop: Hop) -> None:
        held_up = not self.in_flight.has_room(hop)
        await self.in_flight.enter(hop)
        self._delays.sent(hop.index, samples_to_s(hop.samples), held_up, time.monotonic())
        await self.stream.send(hop)

    async def _hear_all_answers(self) -> None:
        """Wait for the answers to all hops, and echo what they say until nothing follows from it.

        A window may have waited for that: then it is made now, and is not a part of END's.
        """
        until = asyncio.get_running_loop().time() + ANSWERS_TIMEOUT_S
        with contextlib.suppress(TimeoutError):
            await self._wait_for_answers(until)
            while self.sequencer.has_feedback and not self.in_flight.hurries:
                await self._send(self.sequencer.audio(b""))
                await self._wait_for_answers(until)

    async def _wait_for_answers(self, until: float) -> None:
        async with asyncio.timeout_at(until):
            await self.in_flight.drained_or_hurried()

    def _hear(self, answer: Answer) -> None:
        is_final = None if answer.transcript is None else answer.transcript.get("is_final")
        self._delays.answered(answer.hop, is_final, answer.arrived_at)
        if answer.feedback is not None:
            self.sequencer.take_feedback(answer.hop, answer.feedback)

    async def _discard(self) -> None:
        end = self.sequencer.end(discard=True)
        await self.stream.send(end)
        while (await self.stream.receive()).hop != end.index:
            pass


def _slices(packet: bytes) -> Iterator[bytes]:
    if len(packet) <= SLICE_BYTES:
        yield packet
        return
    for start in range(0, len(packet), SLICE_BYTES):
        yield packet[start : start + SLICE_BYTES]
