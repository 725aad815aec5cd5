"""A session's way up: packets are decoded, blocked into hops and sent to Triton in order.

It knows no websocket. One caller at a time uses it, the others wait. Waiting for room among the
hops in flight is the back-pressure: whoever feeds packets is held up, and reads no more of them.
What an answer says of the hops to come is heard as soon as it arrives; relaying it is not done
here.

When Triton is lost (`lose`), a task of its own opens a stream to one that is well and sends again
what no final has settled. Callers wait meanwhile, so nothing more is read and nothing is lost.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.admission import StreamDelays
from gateway.audio import PacketDecoder
from gateway.closing import EngineUnavailable
from gateway.hops import LONGEST_HOP_MS, HopBlocker
from gateway.in_flight import HopsInFlight
from gateway.logs import fields
from gateway.protocol import SessionOptions
from gateway.relay import Relay
from gateway.sequence import Hop, Sequencer
from gateway.tape import Tape
from gateway.telemetry import Telemetry
from gateway.ticks import Portion
from gateway.triton import Answer, TritonStream
from gateway.tritons import Tritons
from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, ms_to_samples, samples_to_s

SLICE_BYTES = 16_384
"""Decoded at a time, so that a packet of megabytes does not hold up other sessions."""
ANSWERS_TIMEOUT_S = 10.0
"""How long END waits for the answers to the hops before it: it is the last that can tell the
voice-activity stage of them. A segment that is not answered by then is decoded again with what
follows it, and the final's text may be another: finals must not depend on the load. An engine that
is later than this delays the final no further."""
DISCARD_TIMEOUT_S = 1.0
"""How long the end of an abandoned session may take Triton."""
END_TIMEOUT_S = 0.3
"""How long a session that is over waits for the answer to its END. Triton drops what it has not
read of a stream that is cancelled, and would keep the sequence until it has been idle for long."""
MAX_LOSSES = 4
"""A session that loses Triton as often as this over the same audio is given up: most likely that is
what Triton dies of. Fewer than the restarts after which `scripts/serve.py` gives Triton up."""
MAX_ATTEMPTS = 3
"""A part that Triton answers with an error is sent again as long as it was lost less often."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 4.0
"""Before a Triton that has just been lost is tried again while there is no other; twice as long
each time. One of its stages may be dead, which takes time to be noticed there."""
_REPLAY_HOP_BYTES = ms_to_samples(LONGEST_HOP_MS) * SAMPLE_BYTES

logger = logging.getLogger(__name__)


class Uplink:
    """One session's audio on its way to Triton."""

    def __init__(
        self,
        tritons: Tritons,
        options: SessionOptions,
        delays: StreamDelays,
        relay: Relay,
        hop_size: Callable[[bool], Portion],
        max_samples_in_flight: int,
        recovery_timeout_s: float,
        telemetry: Telemetry,
    ) -> None:
        """`hop_size` is asked for each hop, and told whether the stream is ahead of time.

        `recovery_timeout_s`: how long the session waits for a Triton that is well.
        """
        self._telemetry = telemetry
        self._metrics = telemetry.metrics
        self.stream = tritons.open_stream(self._hear, telemetry.tracing.metadata())
        self.sequencer = Sequencer(options.stream)
        self.in_flight = HopsInFlight(max_samples_in_flight)
        self._metrics.owed.add(self.in_flight)
        self.ended = False
        """Whether the audio is over: no packet is taken any more."""
        self.unflushed = False
        """Whether audio has come since the last flush."""
        self._tritons = tritons
        self._delays = delays
        self._relay = relay
        self._recovery_timeout_s = recovery_timeout_s
        self._tape = Tape(options.stream)
        self._decoder = PacketDecoder(options.audio)
        self._blocker = HopBlocker(lambda: hop_size(delays.is_ahead))
        self._turn = asyncio.Lock()
        self._end_hop: int | None = None  # while its answer, or one before it, is owed
        self._last_end = -1  # hop
        self._unsent_end: Hop | None = None
        self._end_is_heard = True  # whether Triton has answered it
        self._loop = asyncio.get_running_loop()
        self._lost = False  # whether the present stream has been given up
        self._losses = 0  # since Triton has last answered all that had been sent when it was lost
        self._lost_at = 0  # position
        self._recovery: asyncio.Task[None] | None = None
        self._recovered, self._reopened = asyncio.Event(), asyncio.Event()
        self._failure: EngineUnavailable | None = None

    @property
    def wanted(self) -> Portion:
        """How much audio makes a hop to send, about."""
        return self._blocker.missing.through(self._decoder.bytes_for)

    async def take(self, packet: bytes) -> None:
        """Send the hops that this packet completes.

        Raises:
            EngineUnavailable: Triton is lost for good.
        """
        async with self._turn:
            self.unflushed = True
            for part in _slices(packet):
                for pcm in self._blocker.push(self._decoder.decode(part)):
                    await self._send_audio(pcm)
            for pcm in self._blocker.pause():
                await self._send_audio(pcm)

    async def flush(self, discard: bool = False) -> None:
        """Send what is left and end the sequence: the open utterance gets its final.

        `discard`: it gets none, and what is left is sent only for the clock to go on.
        """
        async with self._turn:
            self.unflushed = False
            for pcm in self._blocker.push(self._decoder.flush()) + self._blocker.flush():
                await self._send_audio(pcm)
            await self._unbroken()
            if self.sequencer.is_open:
                await self._end_sequence(discard)

    async def end(self) -> None:
        """The audio is over: flush, and take no more."""
        self.ended = True
        await self.flush()

    def configure(self, options: SessionOptions) -> None:
        """Other options from here on. Flush before, so that no utterance is under way."""
        self.sequencer.configure(options.stream)
        self._tape.configure(options.stream)
        self._delays.partials = options.stream.partials
        self._decoder = PacketDecoder(options.audio)

    def hurry(self) -> None:
        """The server stops: END waits for no answer any more."""
        self.in_flight.hurry()

    def relayed(self, answer: Answer) -> None:
        """An answer has been relayed: what it settles need not be kept."""
        if self.in_flight.get(answer.hop) is not None:
            self.in_flight.leave(answer.hop)
            if self.in_flight.oldest_position() is None:
                self._end_hop = None  # a final may still wait for that of an earlier utterance
        self._settle()
        if self._lost:
            return  # nothing is in flight, and it is not because all has been answered
        oldest = self.in_flight.oldest_position()
        answered = self.sequencer.position if oldest is None else oldest
        self._tape.answered(answered)
        if answered >= self._lost_at:
            self._losses = 0

    def _settle(self) -> None:
        """Keep nothing of what the client is told for good, nor of silence."""
        for resume in (self._relay.resume, self._relay.asked):
            if resume is not None:
                self._tape.settle(resume)

    async def close(self) -> None:
        """Leave nothing behind: an open utterance is dropped undecoded, the stream is closed."""
        self._delays.close()
        self._metrics.owed.discard(self.in_flight)
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        try:
            if not await self._discard():
                with contextlib.suppress(TimeoutError, EngineUnavailable):
                    async with asyncio.timeout(END_TIMEOUT_S):
                        await self._hear_end()
        finally:
            await self.stream.close()

    async def _send_audio(self, pcm: bytes) -> None:
        await self._unbroken()
        if not self.sequencer.is_open and self.in_flight.is_drained:
            self._tape.begin_sequence()
        self._end_hop = None
        self._tape.append(pcm)
        hop = self.sequencer.audio(pcm)
        self._metrics.audio(samples_to_s(hop.samples))
        held_up = not self.in_flight.has_room(hop)
        if await self._send(hop):
            self._delays.sent(hop.index, samples_to_s(hop.samples), held_up, time.monotonic())
            if self.sequencer.is_open and self._tape.needs_resume():
                await self._send(self.sequencer.ask())

    async def _end_sequence(self, discard: bool) -> None:
        if discard:
            await self._send(self._end(discard=True))
            return
        await self._hear_all_answers()
        while self._recovery is not None:  # then the answers are those to the replay
            await self._unbroken()
            await self._hear_all_answers()
        await self._send_end()

    async def _send_end(self) -> None:
        end = self._end()
        self._end_hop = end.index
        await self._send(end)

    def _end(self, discard: bool = False) -> Hop:
        end = self.sequencer.end(discard)
        self._unsent_end, self._last_end, self._end_is_heard = end, end.index, False
        return end

    async def _send(self, hop: Hop) -> bool:
        """Send a hop; whether it is on its way. If not, Triton is lost, and its audio on tape."""
        stream = self.stream
        await self.in_flight.enter(hop)
        if stream is not self.stream or self._lost:
            self.in_flight.leave(hop.index)
            return False
        try:
            await stream.send(hop)
        except EngineUnavailable as error:
            self.lose(stream, str(error))
            return False
        if hop is self._unsent_end:
            self._unsent_end = None
        self._metrics.hop_sent()
        return True

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
        sent = self.in_flight.get(answer.hop)
        self._telemetry.answered(answer, sent, self.stream.triton.address)
        is_final = None if answer.transcript is None else answer.transcript.get("is_final")
        delay_s = self._delays.answered(answer.hop, is_final, answer.arrived_at)
        if delay_s is not None:
            self._metrics.answered(bool(is_final), delay_s)
        if answer.hop == self._last_end:
            self._end_is_heard = True
        if answer.feedback is not None:
            self.sequencer.take_feedback(answer.hop, answer.feedback)

    async def _discard(self) -> bool:
        """Have Triton forget the open sequence, or one whose END was not sent after all, if it can
        hear that; whether there was any."""
        if self.sequencer.is_open:
            self._end(discard=True)
        end, self._unsent_end = self._unsent_end, None
        if end is None:
            return False
        with contextlib.suppress(TimeoutError, EngineUnavailable):
            async with asyncio.timeout(DISCARD_TIMEOUT_S):
                await self.stream.send(replace(end, discard=True))
                await self._hear_end()
        return True

    async def _hear_end(self) -> None:
        """Wait for the answer to the last END, if it is owed. Nobody else may receive."""
        while not self._end_is_heard:
            await self.stream.receive()

    # When Triton is lost.

    @property
    def may_try_again(self) -> bool:
        """Whether a part that Triton has failed at is worth another attempt."""
        return self._losses < MAX_ATTEMPTS

    def lose(self, stream: TritonStream, why: str) -> None:
        """A stream is of no use any more: another takes its place, and what it owes comes again."""
        if stream is not self.stream or self._lost:
            return
        self._lost = True
        self.in_flight.interrupt()
        self._delays.interrupt()
        if self._recovery is None and self._failure is None:
            self._recovered.clear()
            self._recovery = asyncio.create_task(self._recover(why), name="session-recovery")

    async def replaced(self, stream: TritonStream) -> None:
        """Return when another stream has taken the place of this one.

        Raises:
            EngineUnavailable: none could in time.
        """
        while stream is self.stream:
            if self._failure is not None:
                raise self._failure
            self._reopened.clear()
            await self._reopened.wait()

    async def _unbroken(self) -> None:
        """Wait until Triton is there."""
        while self._recovery is not None:
            await self._recovered.wait()
        if self._failure is not None:
            raise self._failure

    async def _recover(self, why: str) -> None:
        logger.warning("a session has lost Triton: %s", why)
        self._telemetry.lost(why)
        lost_at = self._loop.time()
        until = lost_at + self._recovery_timeout_s
        was_open = self.sequencer.is_open
        is_owed = was_open or self._end_hop is not None
        try:
            while self._lost:
                self._count_loss(why)
                await self._reopen(until)
                if is_owed:
                    await self._replay(end=not was_open)
            self.in_flight.resume()
            self._metrics.recovered(self._loop.time() - lost_at)
        except EngineUnavailable as error:
            self._failure = error
        finally:
            self._recovery = None
            self._recovered.set()
            self._reopened.set()

    def _count_loss(self, why: str) -> None:
        self._losses += 1
        self._lost_at = self._tape.end
        if self._losses == MAX_LOSSES:
            raise EngineUnavailable(f"lost {MAX_LOSSES} times over the same audio, at last: {why}")

    async def _reopen(self, until: float) -> None:
        broken = self.stream
        await self._discard()
        await broken.close()
        metadata = self._telemetry.tracing.metadata()
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._losses - 1))
        self.stream = await self._tritons.reopen_stream(
            broken, self._hear, until, pause_s, metadata
        )
        self._lost = False
        self._relay.interrupt(self.sequencer.next_hop)
        self._reopened.set()

    async def _replay(self, end: bool) -> None:
        """Send what no final has settled. Returns early when Triton is lost again."""
        self._settle()  # a final may be on its way to a client that takes its time
        replay = self._tape.rewind()
        audio_s = len(replay.pcm) / SAMPLE_BYTES / SAMPLE_RATE
        logger.info("%.1f s of audio are sent again", audio_s, extra=fields(audio_s=audio_s))
        self._telemetry.replayed(audio_s)
        self.sequencer.restart(replay.start, replay.resume)
        for start in range(0, len(replay.pcm), _REPLAY_HOP_BYTES):
            pcm = replay.pcm[start : start + _REPLAY_HOP_BYTES]
            if not await self._send(self.sequencer.audio(pcm)):
                return
        if end and self.sequencer.is_open:
            await self._hear_all_answers()
            await self._send_end()


def _slices(packet: bytes) -> Iterator[bytes]:
    if len(packet) <= SLICE_BYTES:
        yield packet
        return
    for start in range(0, len(packet), SLICE_BYTES):
        yield packet[start : start + SLICE_BYTES]
