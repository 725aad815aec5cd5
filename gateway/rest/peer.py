"""A file as a session's peer: its audio goes in as fast as the session takes it, finals come out.

It knows no HTTP library and no format. Back-pressure is the session's: the next block is decoded
when the last one has been taken. Decoding runs in a thread, one block at a time. An error that the
session would survive ends it here: a transcript with a hole in it would not show it.
"""

import asyncio
import contextlib
import json
from typing import NoReturn, Protocol

from gateway.closing import ClientGone, Close, CloseCode
from gateway.messages import FINISHED, Frame, Request
from gateway.rest.decoding import AudioFile, UndecodableError
from gateway.ticks import ANYTHING, Portion

LOOK_S = 0.5
"""How often to look whether the client is still there."""
END_AUDIO = json.dumps({"type": Request.END_AUDIO.value})


class Listener(Protocol):
    """Whoever the transcript is for."""

    async def take(self, final: Frame) -> None:
        """Take a final; they come in order.

        Raises:
            ClientGone: there is nobody any more.
            Close: the session must end so.
        """

    async def is_there(self) -> bool:
        """Whether somebody still waits."""


class FilePeer:
    """One request's side of a session. `release` it when the session is over."""

    def __init__(self, audio: AudioFile, metadata: str, listener: Listener) -> None:
        """`metadata` is the session's first message."""
        self._audio = audio
        self._blocks = audio.blocks()
        self._metadata: str | None = metadata
        self._listener = listener
        self._decoding: asyncio.Future[bytes | None] | None = None
        self._all_is_sent = False
        self.finished = False
        """Whether all audio has been transcribed and every final handed over."""
        self.undecodable: UndecodableError | None = None
        """Why the file could not be read to its end."""

    async def receive(self, until: float, wanted: Portion = ANYTHING) -> bytes | str | None:
        """The metadata, then the audio, then its end; then nothing more comes. Always enough.

        Raises:
            Close: the file cannot be decoded.
        """
        if self._metadata is not None:
            metadata, self._metadata = self._metadata, None
            return metadata
        if self._all_is_sent:
            await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))
            return None
        block = await self._next_block()
        if block is not None:
            return block
        self._all_is_sent = True
        return END_AUDIO

    def hurry(self) -> None:
        """Nothing is held back."""

    async def send(self, frame: Frame) -> None:
        """Take a final.

        Raises:
            ClientGone: with the last of them, since there is nothing to wait for any more.
            Close: a part of the audio could not be transcribed.
        """
        if frame["type"] == "transcription" and frame["is_final"]:
            await self._listener.take(frame)
        elif frame["type"] == "error":
            raise Close(CloseCode.INTERNAL, frame["message"])
        elif frame == FINISHED:
            self.finished = True
            raise ClientGone

    async def keep_alive(self) -> NoReturn:
        """Watch whether the client still waits.

        Raises:
            ClientGone: it does not.
        """
        while await self._listener.is_there():  # noqa: ASYNC110, nobody tells
            await asyncio.sleep(LOOK_S)
        raise ClientGone

    async def close(self, end: Close) -> None:
        """The session's result tells how it ended."""

    async def release(self) -> None:
        """Close the file once no thread is in it any more."""
        if self._decoding is not None:
            with contextlib.suppress(UndecodableError):
                await self._decoding
        await asyncio.to_thread(self._audio.close)

    async def _next_block(self) -> bytes | None:
        if self._decoding is None:
            self._decoding = asyncio.ensure_future(asyncio.to_thread(next, self._blocks, None))
        try:
            # A thread cannot be cancelled, so who gives up waiting leaves it to `release`.
            block = await asyncio.shield(self._decoding)
        except UndecodableError as error:
            self.undecodable = error
            raise Close(CloseCode.REFUSED, str(error)) from None
        self._decoding = None
        return block
