"""Sessions with the real server: audio out, frames in, and what tests ask of the frames.

`Talk` is a session under way, step by step; `transcribe` is a whole one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from scripts.server import Server
from tests.contract import assert_promised

Frame = dict[str, Any]

PACKET_BYTES = 4096
END_AUDIO = json.dumps({"type": "end_audio"})
ACKNOWLEDGED: Frame = {"type": "end_audio", "body": {"status": "acknowledged"}}
FINISHED: Frame = {"type": "end_audio", "body": {"status": "finished"}}
ENDED_S = 5
"""How long the server may take to notice that a session is over."""


@dataclass
class Session:
    """What the server said in one session, and how it closed."""

    frames: list[Frame] = field(default_factory=list)
    received_at: list[float] = field(default_factory=list)
    """When each frame came, of the loop's clock."""
    close_code: int | None = None

    @property
    def transcriptions(self) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == "transcription"]

    @property
    def finals(self) -> list[Frame]:
        return [frame for frame in self.transcriptions if frame["is_final"]]

    @property
    def partials(self) -> list[Frame]:
        return [frame for frame in self.transcriptions if not frame["is_final"]]

    @property
    def errors(self) -> list[str]:
        return [frame["message"] for frame in self.frames if frame["type"] == "error"]

    @property
    def text(self) -> str:
        """The finals' text."""
        return " ".join(final["transcript"] for final in self.finals)

    @property
    def segments(self) -> list[Frame]:
        """The finals' segments."""
        return [segment for final in self.finals for segment in final["segments"]]

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Where the finals' segments start and end, in seconds."""
        return [(segment["start_time"], segment["end_time"]) for segment in self.segments]


class Talk:
    """A session under way. What has come in stands in `session`."""

    def __init__(
        self, client: ClientConnection, check: Callable[[Frame], object] = assert_promised
    ) -> None:
        """`check` is asked of every frame."""
        self.client = client
        self._check = check
        self.session = Session()

    async def send(self, *messages: str | bytes | Frame) -> None:
        for message in messages:
            await self.client.send(json.dumps(message) if isinstance(message, dict) else message)

    async def send_audio(
        self, audio: bytes, packet_bytes: int = PACKET_BYTES, speed: float = 0
    ) -> None:
        """Send 16 kHz PCM at `speed` times real time; 0 is as fast as it is taken."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for start in range(0, len(audio), packet_bytes):
            await self.client.send(audio[start : start + packet_bytes])
            due_s = (start + packet_bytes) / (SAMPLE_RATE * SAMPLE_BYTES * speed) if speed else 0
            await asyncio.sleep(max(0.0, started + due_s - loop.time()))

    async def receive(self) -> Frame:
        """The next frame, which must be one that is published."""
        frame: Frame = json.loads(await self.client.recv())
        self._check(frame)
        self.session.frames.append(frame)
        self.session.received_at.append(asyncio.get_running_loop().time())
        return frame

    async def receive_all(self) -> Session:
        """Every frame until the server closes."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed:
            self.session.close_code = self.client.close_code
            return self.session


@asynccontextmanager
async def talk_at(
    url: str,
    metadata: str | Frame | None = None,
    check: Callable[[Frame], object] = assert_promised,
    **options: Any,
) -> AsyncIterator[Talk]:
    """An open session. `metadata` goes out first if it is given; `options` are `connect`'s."""
    defaults: dict[str, Any] = {"max_size": None, "ping_timeout": None, "proxy": None}
    client = await connect(url, **(defaults | options))
    try:
        talking = Talk(client, check)
        if metadata is not None:
            await talking.send(metadata)
        yield talking
    finally:
        if client.state is not State.CLOSED:  # closing twice fails when something was unsent
            await client.close()


def foreign(url: str, **options: Any) -> AbstractAsyncContextManager[Talk]:
    """The same in another protocol, whose frames are none of ours."""
    return talk_at(url, check=lambda _: None, **options)


def talk(
    server: Server, metadata: str | Frame | None = None, **options: Any
) -> AbstractAsyncContextManager[Talk]:
    """`talk_at` the server."""
    return talk_at(server.settings.url, metadata, **options)


async def transcribe(
    server: Server,
    audio: bytes,
    metadata: Frame | None = None,
    *,
    packet_bytes: int = PACKET_BYTES,
    speed: float = 0,
) -> Session:
    """A whole session that comes to its regular end."""
    async with talk(server, metadata or {}) as talking:
        async with asyncio.TaskGroup() as tasks:
            received = tasks.create_task(talking.receive_all())
            await talking.send_audio(audio, packet_bytes, speed)
            await talking.send(END_AUDIO)
        session = received.result()
    assert session.frames[-1] == FINISHED
    assert session.close_code == 1000
    return session


async def live_streams(server: Server) -> int:
    """How many sessions the server says it has."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{server.settings.address}/healthz") as response,
    ):
        health = await response.json()
    streams: int = health["streams"]
    return streams


async def no_stream_is_left(server: Server) -> bool:
    """Whether the server forgets all sessions within `ENDED_S`."""
    try:
        async with asyncio.timeout(ENDED_S):
            while await live_streams(server):
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True
