"""A dialect between a connection and a session: the order of frames, and clients who go."""

import asyncio
from typing import Any, cast

from gateway.closing import Close, CloseCode, Farewell
from gateway.connection import Connection
from gateway.dialects.dialect import Dialect, Turn
from gateway.dialects.peer import TranslatedPeer
from gateway.messages import Alive, Frame
from gateway.ticks import ANYTHING, Portion


class SlowConnection:
    """Takes a while for every frame, and has heard these messages."""

    def __init__(self, *messages: str) -> None:
        self._messages = list(messages)
        self.sent: list[Frame] = []
        self.end: Close | None = None
        self.wanted: list[Portion] = []

    async def receive(self, until: float, wanted: Portion = ANYTHING) -> str | None:
        self.wanted.append(wanted)
        return self._messages.pop(0) if self._messages else None

    async def send(self, frame: Frame) -> None:
        await asyncio.sleep(0.001)
        self.sent.append(frame)

    async def close(self, end: Close) -> None:
        self.end = end


class Echo(Dialect):
    """Says everything three times, numbered as it was made."""

    def __init__(self) -> None:
        self._number = 0

    def open(self) -> Turn:
        return Turn(("{}",), tuple(self._three("open")))

    def bytes_for(self, audio_bytes: int) -> int:
        return audio_bytes // 2

    def hear(self, message: str | bytes) -> Turn:
        return Turn(replies=tuple(self._three(message)))

    def tell(self, frame: Frame) -> list[Frame]:
        return self._three(frame)

    def farewell(self, end: Close) -> Farewell:
        return Farewell((), end.code)

    def _three(self, what: Any) -> list[Frame]:
        self._number += 3
        return [{"what": what, "number": self._number - 3 + n} for n in range(3)]


def peer(connection: SlowConnection) -> TranslatedPeer:
    return TranslatedPeer(cast(Connection, connection), Echo())


async def test_frames_go_out_in_the_order_in_which_they_were_made() -> None:
    connection = SlowConnection("a", "b")
    talking = peer(connection)
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(talking.send({"number": number}))
        tasks.create_task(talking.receive(0))
    await talking.receive(0)
    numbers = [frame["number"] for frame in connection.sent]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) == 3 * (5 + 1 + 1)


async def test_what_is_not_for_the_session_is_a_sign_of_life() -> None:
    talking = peer(SlowConnection("a"))
    assert [await talking.receive(0) for _ in range(3)] == ["{}", Alive(), None]


async def test_the_close_is_the_connection_s() -> None:
    connection = SlowConnection()
    end = Close(CloseCode.NORMAL)
    await peer(connection).close(end)
    assert connection.end is end


async def test_the_dialect_says_how_many_bytes_make_up_what_the_session_waits_for() -> None:
    connection = SlowConnection("a")
    talking = peer(connection)
    await talking.receive(0)
    await talking.receive(0, Portion(6000, 8192, 64))
    assert connection.wanted == [Portion(3000, 4096, 64)]
