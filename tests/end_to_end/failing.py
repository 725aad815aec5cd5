"""Servers whose parts tests take away: Tritons of their own, a gateway in front of them, and
streams that go on meanwhile.

A stream's finals are what it was told for good: number, text, language and times. They are compared
with those of the same recordings when nothing happens.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import psutil

from build import fetch_weights
from scripts import shared_memory, triton_server
from scripts.child import Child
from scripts.preflight import free_port
from scripts.server import OUTPUT
from tests.end_to_end import recordings
from tests.end_to_end.sessions import END_AUDIO, FINISHED, Frame, Session, talk_at
from tests.processes import until
from tests.serving import serving_environment

START_LIMIT_S = 90
"""Two at once on a busy machine."""
SETTLED_S = 2
"""By then the little that may be in flight without speech is answered."""
BREATH_S = 0.7
"""Longer than the silence that ends an utterance."""
PATIENT = {"GATEWAY_MAX_PARTIAL_DELAY_S": "60", "GATEWAY_MAX_FINAL_DELAY_S": "60"}
"""Nobody is refused because words come late: while a Triton starts, they do."""


class RealTriton:
    """An embedded Triton on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._regions = shared_memory.prefix(os.getpid(), self.port)
        self._log = folder / f"triton-{self.port}.log"
        backends = OUTPUT / "triton_backends"
        triton_server.make_backends(backends)
        self._command = triton_server.command(
            triton_server.ROOT / "model_repository",
            "127.0.0.1",
            self.port,
            free_port(),
            backends,
            self._regions,
        )
        self._environment = triton_server.environment(
            serving_environment(),
            fetch_weights.model_folder(fetch_weights.DEFAULT_MODEL),
            OUTPUT / fetch_weights.SILERO_VAD_FILE,
        )
        self._child: Child | None = None

    @property
    def process(self) -> psutil.Process:
        assert self._child is not None
        return psutil.Process(self._child.pid)

    @property
    def is_ready(self) -> bool:
        return triton_server.is_ready(self.address)

    def start(self) -> None:
        """Does not wait until it is ready."""
        assert self._child is None
        self._child = Child(self._command, self._environment, self._log)

    def stop(self, grace_s: float = 0) -> None:
        """End what is left of it."""
        if self._child is not None:
            self._child.stop(grace_s)
            self._child = None
        shared_memory.remove(self._regions)

    async def started(self) -> None:
        """Return when it serves."""
        self.start()
        async with asyncio.timeout(START_LIMIT_S):
            while not await asyncio.to_thread(triton_server.is_ready, self.address):
                await asyncio.sleep(0.1)

    async def die(self) -> None:
        """kill -9, and start again."""
        self.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.stop)
        await self.started()


class RealGateway:
    """A gateway process in front of Tritons."""

    def __init__(self, folder: Path, tritons: Sequence[RealTriton], **settings: str) -> None:
        self.port = free_port()
        addresses = ",".join(triton.address for triton in tritons)
        own = {"GATEWAY_PORT": str(self.port), "GATEWAY_TRITON": addresses, **PATIENT}
        self.url = f"ws://127.0.0.1:{self.port}/v1/websocket"
        environment = {**serving_environment(own), "PYTHONPATH": str(triton_server.ROOT)}
        self.log = folder / f"gateway-{self.port}.log"
        self._child = Child([sys.executable, "-m", "gateway"], environment | settings, self.log)

        until(self._listens, START_LIMIT_S)

    def stop(self) -> None:
        self._child.stop(3)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def losses(log: Path) -> int:
    """How often sessions have lost their Triton, by a gateway's log."""
    return log.read_text().count("has lost Triton")


class Final(NamedTuple):
    """What a client was told for good of an utterance."""

    number: int
    language: str
    text: str
    times: tuple[tuple[float, float], ...]
    """Of its segments, then of its words, in seconds."""


@dataclass(frozen=True)
class Stream:
    """Recordings, one after the other, and how they are asked for."""

    names: tuple[str, ...]
    language: str = "en"
    partials: bool = False
    words: bool = False
    """Whether their times are asked for."""
    pause_s: float = BREATH_S
    """Between two recordings. 0: they are one utterance."""

    @property
    def metadata(self) -> Frame:
        return {
            "whisper_params": {"audio_language": self.language, "show_word_timestamps": self.words},
            "streaming_params": {"enable_partial_transcripts": self.partials},
        }

    def audio(self, count: int) -> bytes:
        """So many recordings, over and over in their order, with a pause behind the last one."""
        parts = []
        for index, name in zip(range(count), cycle(self.names), strict=False):
            if index:
                begins_anew = index % len(self.names) == 0
                parts.append(recordings.silence(BREATH_S if begins_anew else self.pause_s))
            parts.append(recordings.audio(name))
        return b"".join(parts)


class Said(NamedTuple):
    """A stream that has come to its regular end."""

    stream: Stream
    length: int
    """In recordings."""
    finals: list[Final]


async def say(url: str, stream: Stream, count: int) -> Said:
    """Stream so many of its recordings, as fast as it goes."""
    async with talk_at(url, stream.metadata) as talking, asyncio.TaskGroup() as tasks:
        received = tasks.create_task(talking.receive_all())
        await talking.send_audio(stream.audio(count))
        await talking.send(END_AUDIO)
    return Said(stream, count, finals_of(received.result()))


async def say_until(url: str, stream: Stream, over: asyncio.Event) -> Said:
    """Stream in real time, one recording after the other, until it is over."""
    count = 0
    async with talk_at(url, stream.metadata) as talking, asyncio.TaskGroup() as tasks:
        received = tasks.create_task(talking.receive_all())
        while not over.is_set():
            sent = len(stream.audio(count))
            count += 1
            await talking.send_audio(stream.audio(count)[sent:], speed=1)
        await talking.send(END_AUDIO)
    return Said(stream, count, finals_of(received.result()))


async def say_all_while(
    url: str, streams: Sequence[Stream], happening: Callable[[], Awaitable[None]]
) -> list[Said]:
    """All of them at once, and until what happens meanwhile is over."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        saying = [tasks.create_task(say_until(url, stream, over)) for stream in streams]
        await happening()
        over.set()
    return [each.result() for each in saying]


async def say_both(
    url: str, before: bytes, behind: bytes, between: Callable[[], Awaitable[None]] | None = None
) -> list[Final]:
    """Stream English audio as fast as it goes, and let something happen in the middle of it."""
    async with talk_at(url, {}) as talking, asyncio.TaskGroup() as tasks:
        received = tasks.create_task(talking.receive_all())
        await talking.send_audio(before)
        await asyncio.sleep(SETTLED_S)
        if between is not None:
            await between()
        await talking.send_audio(behind)
        await talking.send(END_AUDIO)
    return finals_of(received.result())


def finals_of(session: Session) -> list[Final]:
    """What was told for good. Holds the session to what never changes, whatever happens."""
    assert session.errors == []
    assert session.frames[-1] == FINISHED
    assert session.close_code == 1000
    assert_partials_lead_to_their_finals(session.transcriptions)
    return [_final(frame) for frame in session.finals]


def assert_partials_lead_to_their_finals(transcriptions: list[Frame]) -> None:
    """Numbers rise without a gap, and no partial follows its final."""
    ended = -1
    for frame in transcriptions:
        assert frame["transcription_num"] == ended + 1
        ended += frame["is_final"]


def _final(frame: Frame) -> Final:
    segments = frame["segments"]
    words = [word for segment in segments for word in segment["word_timestamps"] or []]
    return Final(
        frame["transcription_num"],
        frame["language_code"],
        frame["transcript"],
        tuple((span["start_time"], span["end_time"]) for span in (*segments, *words)),
    )
