"""What the tests of whole sessions share: audio to send, clients, and a running gateway."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiohttp import web
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.server import Gateway
from gateway.settings import Settings
from tests.gateway.fake_triton import FakeTriton

HOP_MS = 32
HOP_SAMPLES = 512


@dataclass
class Server:
    """A running gateway."""

    settings: Settings
    gateway: Gateway
    runner: web.AppRunner

    @property
    def address(self) -> str:
        host, port = self.runner.addresses[0][:2]
        return f"{host}:{port}"

    def connect(self, path: str = "/websocket", **options: Any) -> connect:
        """A client's connection; `async with` it."""
        return connect(f"ws://{self.address}{path}", **options)

    def sessions_tasks(self) -> list[str]:
        """Names of the tasks that belong to a session or to its stream."""
        names = [task.get_name() for task in asyncio.all_tasks()]
        return [name for name in names if name.startswith(("session-", "triton-"))]

    async def leaves_nothing(self, triton: FakeTriton) -> None:
        """Every session has ended: no task, no open sequence is left."""
        async with asyncio.timeout(5):
            while self.gateway.sessions or self.sessions_tasks() or triton.sequences:
                await asyncio.sleep(0.005)


def tone(samples: int, seed: int = 0) -> NDArray[np.int16]:
    """Sound without a single zero, different for each seed."""
    return np.random.default_rng(seed).integers(1, 8_000, samples).astype(np.int16)


def silence(samples: int) -> NDArray[np.int16]:
    return np.zeros(samples, np.int16)


def speech(*seeds: int, hops: int = 3) -> NDArray[np.int16]:
    """Utterances of whole hops, with a hop of silence behind each."""
    return np.concatenate(
        [np.concatenate((tone(hops * HOP_SAMPLES, s), silence(HOP_SAMPLES))) for s in seeds]
    )


async def send_all(client: ClientConnection, audio: bytes, packet_bytes: int = 1024) -> None:
    for start in range(0, len(audio), packet_bytes):
        await client.send(audio[start : start + packet_bytes])


async def receive_all(client: ClientConnection) -> list[dict[str, Any]]:
    """Every frame until the server closes."""
    frames = []
    try:
        while True:
            frames.append(json.loads(await client.recv()))
    except ConnectionClosed:
        return frames


END_AUDIO = json.dumps({"type": "end_audio"})


async def transcribe(
    server: Server,
    audio: bytes,
    metadata: dict[str, Any] | None = None,
    packet_bytes: int = 1024,
) -> list[dict[str, Any]]:
    """A whole session; what the server said."""
    async with server.connect() as client:
        await client.send(json.dumps(metadata or {}))
        await send_all(client, audio, packet_bytes)
        await client.send(END_AUDIO)
        frames = await receive_all(client)
        assert client.close_code == 1000
        return frames


def finals(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame.get("is_final")]


def errors(frames: list[dict[str, Any]]) -> list[str]:
    found = [frame for frame in frames if frame["type"] == "error"]
    assert all(frame["message"] == frame["body"]["message"] for frame in found)
    return [frame["message"] for frame in found]
