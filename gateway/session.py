"""One session, from its first message to its close.

It knows no websocket: a `Peer` does. A task group per session: one task reads the peer, one relays
Triton's answers, one pings, one waits for the server's shutdown; the first to raise ends them all,
and its exception says how the session ends. No audio is looked at here and no order decided.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from gateway.admission import Admission, StreamDelays
from gateway.closing import ClientGone, Close, CloseCode, EngineUnavailable
from gateway.downlink import Downlink
from gateway.legacy import MetadataError
from gateway.messages import (
    ACKNOWLEDGED,
    FINISHED,
    FLUSHED,
    HEALTHY,
    Alive,
    Configure,
    Flush,
    Request,
    RequestError,
    error_frame,
    parse_request,
)
from gateway.patience import Patience
from gateway.peer import Incoming, Peer
from gateway.protocol import SessionOptions, parse_metadata
from gateway.relay import Relay
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.ticks import Portion
from gateway.triton import Answer
from gateway.tritons import Tritons
from gateway.uplink import Uplink
from pipeline.audio import SAMPLE_RATE, samples_to_s

FINISH_GRACE_S = 0.1
"""Between `finished` and the close, for clients that close themselves."""
QUIET_S = 1.0
"""A client from which no audio has come for so long is idle. Who pauses in speech is not: a
microphone sends silence too."""
LOOK_S = 0.1
"""How often to look whether it is, while the server drains."""
STOP_TIMEOUT_S = 2.0
"""How long the open utterance's final may take when the server is told to stop."""
ENGINE_UNAVAILABLE = "the speech engine is unavailable; try again later"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of the process share."""

    settings: Settings
    tritons: Tritons
    admission: Admission
    """Is told how late the answers come."""
    hop_size: Callable[[bool], Portion]
    """How long a hop is now, of a stream that is ahead of real time or not."""
    draining: asyncio.Event
    """Set when the server takes no new sessions any more: idle ones end."""
    stopping: asyncio.Event
    """Set when the server shuts down: all end."""
    telemetry: Telemetry = field(default_factory=Telemetry)
    """Is told what happens."""


class Session:
    """Serves one peer."""

    def __init__(self, peer: Peer, shared: Shared, delays: StreamDelays | None = None) -> None:
        """`delays`: of a stream that has been let in; None opens them."""
        self._peer = peer
        self._delays = delays or shared.admission.open(time.monotonic())
        self._shared = shared
        self._settings = shared.settings
        self._stopping = shared.stopping
        self._loop = asyncio.get_running_loop()
        self._audio_at = self._heard_at = self._loop.time()
        self._uplink: Uplink | None = None
        self._tasks: asyncio.TaskGroup
        self._told_ended = False
        self._is_stopped = False  # whether the server has ended the audio

    @property
    def audio_s(self) -> float:
        """Seconds of audio that have gone to Triton."""
        return 0 if self._uplink is None else samples_to_s(self._uplink.sequencer.position)

    async def run(self) -> Close:
        """Serve until the end, close, leave nothing behind; how it ended comes back."""
        try:
            end = await self._serve()
        except asyncio.CancelledError:
            await self._leave()
            raise
        await asyncio.gather(self._peer.close(end), self._leave())
        return end

    async def _serve(self) -> Close:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._converse(), name="session-read")
                self._tasks.create_task(self._peer.keep_alive(), name="session-ping")
                self._tasks.create_task(self._stop_when_told(), name="session-stop")
        except BaseExceptionGroup as group:
            return _end_of(group)
        raise AssertionError("a session's tasks end by raising")

    async def _leave(self) -> None:
        self._delays.close()
        if self._uplink is not None:
            await self._uplink.close()

    # Reading the peer.

    async def _converse(self) -> NoReturn:
        options = await self._receive_metadata()
        self._check_load()
        uplink = self._open(options)
        while True:
            message = await self._peer.receive(self._silent_at(uplink), uplink.wanted)
            if message is None:
                await self._on_silence(uplink)
            else:
                self._heard_at = self._loop.time()
                await self._on_message(uplink, message)

    async def _on_message(self, uplink: Uplink, message: Incoming) -> None:
        match message:
            case bytes():
                await self._on_packet(uplink, message)
            case str():
                await self._on_text(uplink, message)
            case Alive():
                pass
            case Flush(discard):
                await self._settle(uplink, discard)
                await self._peer.send(FLUSHED)
            case Configure():
                await self._settle(uplink)
                uplink.configure(parse_metadata(message.metadata, self._settings.cadence))

    async def _receive_metadata(self) -> SessionOptions:
        timeout_s = self._settings.metadata_timeout_s
        until = self._loop.time() + timeout_s
        message = await self._peer.receive(until)
        while isinstance(message, Alive):
            message = await self._peer.receive(until)
        if message is None:
            raise Close(CloseCode.REFUSED, f"no metadata has come within {timeout_s:g} s")
        if not isinstance(message, str):
            raise Close(
                CloseCode.REFUSED,
                "audio has come before the metadata; the first message must be JSON, {} at least",
            )
        try:
            return parse_metadata(message, self._settings.cadence)
        except MetadataError as error:
            raise Close(CloseCode.REFUSED, f"metadata: {error}") from None

    def _check_load(self) -> None:
        """A client that has long been let in and only now begins is asked about once more."""
        now = time.monotonic()
        if not self._delays.is_live(now):
            problem = self._shared.admission.why_full(now)
            if problem is not None:
                raise Close(CloseCode.OVERLOADED, f"{problem}; try again later")

    def _open(self, options: SessionOptions) -> Uplink:
        shared, settings, relay = self._shared, self._settings, Relay()
        self._delays.partials = options.stream.partials
        self._uplink = uplink = Uplink(
            shared.tritons,
            options,
            self._delays,
            relay,
            shared.hop_size,
            int(settings.max_audio_in_flight_s * SAMPLE_RATE),
            settings.recovery_timeout_s,
            shared.telemetry,
        )
        downlink = Downlink(uplink.in_flight, relay, options.timing_info)
        self._tasks.create_task(self._relay(uplink, downlink), name="session-relay")
        return uplink

    def _silent_at(self, uplink: Uplink) -> float:
        idle_at = self._heard_at + self._settings.idle_timeout_s
        if not uplink.unflushed:
            return idle_at
        return min(idle_at, self._audio_at + self._settings.idle_flush_s)

    async def _on_silence(self, uplink: Uplink) -> None:
        if uplink.unflushed:
            await uplink.flush()
        else:
            raise Close(CloseCode.NORMAL)

    async def _settle(self, uplink: Uplink, discard: bool = False) -> None:
        """Return when the finals of all audio so far have been sent. Reading waits meanwhile, so
        nothing that comes later can overtake them."""
        await uplink.flush(discard)
        await uplink.in_flight.drained()

    async def _on_packet(self, uplink: Uplink, packet: bytes) -> None:
        if not uplink.ended:
            await uplink.take(packet)
            self._audio_at = self._loop.time()
        elif not self._told_ended and not self._is_stopped:
            self._told_ended = True
            await self._send_error("the audio has ended with end_audio; more audio is ignored")

    async def _on_text(self, uplink: Uplink, text: str) -> None:
        try:
            request = parse_request(text)
        except RequestError as error:
            await self._send_error(str(error))
            return
        if request is Request.HEALTH_CHECK:
            await self._peer.send(HEALTHY)
        elif uplink.ended:
            if not self._is_stopped:  # else we have ended it
                await self._send_error("the audio has already ended")
        else:
            await self._peer.send(ACKNOWLEDGED)
            await uplink.end()
            self._tasks.create_task(self._finish(uplink), name="session-finish")

    async def _send_error(self, message: str) -> None:
        await self._peer.send(error_frame(message))

    # Ends, and the way down.

    async def _finish(self, uplink: Uplink) -> NoReturn:
        await uplink.in_flight.drained()
        await self._peer.send(FINISHED)
        await asyncio.sleep(FINISH_GRACE_S)
        raise Close(CloseCode.NORMAL)

    async def _stop_when_told(self) -> NoReturn:
        await self._shared.draining.wait()
        while not (self._stopping.is_set() or self._is_idle):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._stopping.wait()
        self._is_stopped = True
        if self._uplink is not None:
            self._peer.hurry()
            await asyncio.sleep(0)  # for who reads it
            self._uplink.hurry()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._uplink.end()
                    await self._uplink.in_flight.drained()
        raise Close(CloseCode.RESTART)

    @property
    def _is_idle(self) -> bool:
        """Whether nobody speaks, so that now is the moment to end for a server that drains."""
        uplink = self._uplink
        if uplink is None:
            return True
        is_quiet = self._loop.time() - self._audio_at >= QUIET_S
        return is_quiet and not uplink.ended and uplink.in_flight.is_drained

    async def _relay(self, uplink: Uplink, downlink: Downlink) -> NoReturn:
        patience = Patience()
        try:
            while True:
                answer = await self._next_answer(uplink, patience)
                for frame in downlink.frames(answer):
                    await self._peer.send(frame)
                    self._shared.telemetry.metrics.told(frame)
                uplink.relayed(answer)
        finally:
            patience.close()

    async def _next_answer(self, uplink: Uplink, patience: Patience) -> Answer:
        limit_s = self._settings.answer_timeout_s
        while True:
            stream = uplink.stream
            try:
                answer = await patience.wait(stream.receive(), self._loop.time() + limit_s)
            except TimeoutError:
                if uplink.in_flight.longest_wait_s() < limit_s:
                    continue
                uplink.lose(stream, f"no answer for {limit_s:g} s")
            except EngineUnavailable as error:
                uplink.lose(stream, str(error))
            else:
                if answer.error is None or not uplink.may_try_again:
                    return answer
                uplink.lose(stream, answer.error)
            await uplink.replaced(stream)


def _end_of(group: BaseExceptionGroup[BaseException]) -> Close:
    """How the session ends: what was raised first, unless the client went at the same time."""
    ends = [_as_close(error) for error in group.exceptions]
    return next((end for end in ends if not isinstance(end, ClientGone)), ends[0])


def _as_close(error: BaseException) -> Close:
    if isinstance(error, Close):
        return error
    if isinstance(error, EngineUnavailable):
        logger.warning("the engine is unavailable: %s", error)
        return Close(CloseCode.INTERNAL, ENGINE_UNAVAILABLE)
    logger.error("a session failed by a defect", exc_info=error)
    return Close(CloseCode.INTERNAL, "the server has failed in this session")
