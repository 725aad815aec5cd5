"""Who hears a transcript over HTTP: one that waits for the whole, and one that reads events.

Both know the connection through aiohttp, and nothing of the audio. A client that goes away ends its
session; so does one that does not read its events.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import NoReturn

from aiohttp import web

from gateway.closing import ClientGone, Close, CloseCode
from gateway.messages import Frame
from gateway.rest import events
from gateway.rest.errors import ApiError, Problem
from gateway.rest.form import Request
from gateway.rest.formats import Language, LogProbability, answer, log_probabilities
from gateway.rest.transcript import TimedWord, Transcript

ANSWER_STARTED = web.RequestKey("answer-started", bool)
"""Set in a request when its answer has begun: no status can be told any more."""
COMMENT_AFTER_S = 15.0
"""Proxies give up on a connection that says nothing, after a minute or so."""


class WholeListener:
    """Collects the transcript and answers once."""

    def __init__(self, request: web.Request, asked: Request) -> None:
        self._request = request
        self._asked = asked
        self._transcript = Transcript(asked.form.language)

    async def start(self) -> None:
        """Nothing is told before the end."""

    async def take(self, final: Frame) -> None:
        """Keep a final."""
        self._transcript.add(final)

    async def is_there(self) -> bool:
        """Whether the connection is still open."""
        return _is_open(self._request)

    async def finish(self, duration_s: float) -> web.StreamResponse:
        """The answer; `duration_s` is that of the audio."""
        # Subtitles of many hours take a second.
        body, content_type = await asyncio.to_thread(
            answer, self._transcript, self._asked, duration_s
        )
        return web.Response(text=body, content_type=content_type, charset="utf-8")

    async def fail(self, problem: Problem) -> NoReturn:
        """Answer with a problem.

        Raises:
            ApiError: always.
        """
        raise ApiError(problem)


class EventListener:
    """Tells each final as an event. `start` it first."""

    def __init__(self, request: web.Request, asked: Request, send_timeout_s: float) -> None:
        self._request = request
        self._asked = asked
        self._send_timeout_s = send_timeout_s
        self._transcript = Transcript(asked.form.language)
        self._loop = asyncio.get_running_loop()
        self._written_at = self._loop.time()
        self._response = web.StreamResponse(
            headers={"Content-Type": events.CONTENT_TYPE, "Cache-Control": "no-store"}
        )

    async def start(self) -> None:
        """Send the headers: from here on a problem is an event."""
        self._request[ANSWER_STARTED] = True
        await self._sent(self._response.prepare(self._request))

    async def take(self, final: Frame) -> None:
        """Tell what a final adds to the text."""
        delta = self._transcript.add(final)
        if delta:
            log_probs = self._log_probabilities(self._transcript.last_words())
            await self._write(events.event(events.TextDelta(delta=delta, logprobs=log_probs)))

    async def is_there(self) -> bool:
        """Whether the connection is still open; a comment when nothing has been said for long."""
        if self._loop.time() - self._written_at >= COMMENT_AFTER_S:
            await self._write(events.COMMENT)
        return _is_open(self._request)

    async def finish(self, duration_s: float) -> web.StreamResponse:
        """Tell the whole text and end the stream."""
        transcript = self._transcript
        done = events.TextDone(
            text=transcript.text,
            languages=[Language(code=code) for code in transcript.languages],
            logprobs=self._log_probabilities(transcript.words()),
        )
        await self._write(events.event(done))
        return await self._end()

    async def fail(self, problem: Problem) -> web.StreamResponse:
        """Tell a problem and end the stream."""
        await self._write(events.failure(problem))
        return await self._end()

    def _log_probabilities(self, words: Iterable[TimedWord]) -> list[LogProbability] | None:
        """Those of these words, if they are asked for."""
        return log_probabilities(words) if self._asked.form.include else None

    async def _write(self, text: str) -> None:
        self._written_at = self._loop.time()
        await self._sent(self._response.write(text.encode()))

    async def _end(self) -> web.StreamResponse:
        await self._sent(self._response.write_eof())
        return self._response

    async def _sent(self, sending: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await sending
        except TimeoutError:
            raise Close(CloseCode.OVERLOADED) from None
        except ConnectionError:
            raise ClientGone from None


def _is_open(request: web.Request) -> bool:
    transport = request.transport
    return transport is not None and not transport.is_closing()
