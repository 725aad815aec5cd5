"""A peer in memory: what it is given beforehand is received, what it is sent is kept."""

import asyncio
from typing import NoReturn

from gateway.closing import Close
from gateway.messages import Frame
from gateway.peer import Incoming
from gateway.ticks import ANYTHING, Portion


class MemoryPeer:
    """Says these messages one after the other, and then nothing."""

    def __init__(self, *messages: Incoming) -> None:
        self._messages = list(messages)
        self.frames: list[Frame] = []
        self.end: Close | None = None

    async def receive(self, until: float, wanted: Portion = ANYTHING) -> Incoming | None:
        if self._messages:
            return self._messages.pop(0)
        await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))
        return None

    def hurry(self) -> None: ...

    async def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    async def keep_alive(self) -> NoReturn:
        while True:
            await asyncio.sleep(60)

    async def close(self, end: Close) -> None:
        self.end = end
