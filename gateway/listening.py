"""`GET /v1/twilio/calls/{call}`: what is said in a phone call, for whoever listens to it.

Twilio is sent nothing on its own connection, so a call's transcripts go to those who have opened
one of these. A listener takes no session's place: it costs the engine nothing. What waits for one
who does not read is bounded by the connection's patience with him.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import NoReturn

from gateway.closing import ClientGone, Close, CloseCode
from gateway.connection import Connection
from gateway.dialects.twilio.calls import Calls
from gateway.messages import Frame, error_frame

PATH = "/v1/twilio/calls/{call}"
_FOR_EVER_S = 10.0 * 365 * 24 * 3600
_DEAF = "a listener is told what is said in a call, and can ask for nothing"

logger = logging.getLogger(__name__)


async def listen(connection: Connection, calls: Calls, call: str, over: asyncio.Event) -> None:
    """Send a call's frames until it is over, or the server is (`over`), and close."""
    frames: asyncio.Queue[Frame | None] = asyncio.Queue()
    calls.join(call, frames.put_nowait)
    tasks = [
        asyncio.create_task(ending, name="session-listen")
        for ending in (
            _read(connection),
            connection.keep_alive(),
            _send(connection, frames),
            _wait_until(over),
        )
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        end = _end_of(done)
    finally:
        calls.leave(call, frames.put_nowait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await connection.close(end)


async def _read(connection: Connection) -> NoReturn:
    loop = asyncio.get_running_loop()
    while True:
        if await connection.receive(loop.time() + _FOR_EVER_S) is not None:
            await connection.send(error_frame(_DEAF))


async def _send(connection: Connection, frames: asyncio.Queue[Frame | None]) -> NoReturn:
    while (frame := await frames.get()) is not None:
        await connection.send(frame)
    raise Close(CloseCode.NORMAL)


async def _wait_until(over: asyncio.Event) -> NoReturn:
    await over.wait()
    raise Close(CloseCode.RESTART)


def _end_of(tasks: Iterable[asyncio.Task[NoReturn]]) -> Close:
    ends = [_as_close(task.exception()) for task in tasks]
    return next((end for end in ends if not isinstance(end, ClientGone)), ends[0])


def _as_close(error: BaseException | None) -> Close:
    if isinstance(error, Close):
        return error
    logger.error("a listener failed by a defect", exc_info=error)
    return Close(CloseCode.INTERNAL, "the server has failed here")
