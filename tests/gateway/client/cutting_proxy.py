"""A network that breaks: a TCP proxy that cuts connections after so many bytes from the client."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Self

READ_BYTES = 1024


class CuttingProxy:
    """`async with` it. The n-th connection is cut after the n-th of `cuts`, later ones never."""

    def __init__(self, host: str, port: int, cuts: Iterable[int]) -> None:
        self._target = host, port
        self._cuts = iter(cuts)
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.address = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    def lead_to(self, address: str) -> None:
        """From now on connections lead to another server."""
        host, port = address.split(":")
        self._target = host, int(port)

    def take_no_more(self) -> None:
        """No more connections are taken."""
        self._server.close()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        cut = next(self._cuts, None)
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        try:
            up = asyncio.create_task(_pass_on(reader, server_writer, cut))
            down = asyncio.create_task(_pass_on(server_reader, writer, None))
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            for one in (up, down):
                one.cancel()
            await asyncio.wait([up, down])
        finally:
            for each in (writer, server_writer):
                each.transport.abort()
            self._tasks.discard(task)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_most: int | None
) -> None:
    passed = 0
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
            passed += len(data)
            if at_most is not None and passed >= at_most:
                return
