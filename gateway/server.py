"""The HTTP side: routes, health, who may upgrade, and the sessions that are live.

What is said on a websocket is `gateway.session`'s. Logs one line when a session starts and one
when it ends, never audio, text or keys.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator

from aiohttp import web

from gateway.auth import WHY_REFUSED, is_authorized
from gateway.closing import Close
from gateway.connection import Connection, Socket
from gateway.messages import cut
from gateway.session import Session
from gateway.settings import Settings
from gateway.triton import Triton

WEBSOCKET_PATHS = (
    "/environments/{environment}/websocket",
    "/deployment/{deployment}/websocket",
    "/development/websocket",
    "/websocket",
    "/v1/websocket",
)
"""Paths that clients in the field use. They all mean the same session."""
RETRY_AFTER_S = 5
STOP_TIMEOUT_S = 3.0
"""For all sessions to end when the server is told to stop; what is left then is cancelled."""

logger = logging.getLogger(__name__)


class Gateway:
    """The sessions of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._triton: Triton
        self._stopping = asyncio.Event()
        self._all_left = asyncio.Event()
        self.sessions: set[str] = set()
        """Ids of the live sessions."""

    def routes(self) -> list[web.RouteDef]:
        """Everything that is served."""
        return [
            *(web.get(path, self.serve_websocket) for path in WEBSOCKET_PATHS),
            web.get("/healthz", self.report_health),
            web.get("/readyz", self.report_readiness),
            web.get("/{path:.*}", _report_unknown_path),
        ]

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Hold the connection to Triton while the application runs."""
        self._triton = Triton(self._settings.triton)
        yield
        await self._triton.close()

    async def stop(self, _: web.Application | None = None) -> None:
        """Have every session send its open utterance's final and end, and wait for them."""
        self._stopping.set()
        if self.sessions:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._all_left.wait()

    async def report_health(self, _: web.Request) -> web.Response:
        """`/healthz`: the process is alive."""
        return web.json_response({"status": "ok", "streams": len(self.sessions)})

    async def report_readiness(self, _: web.Request) -> web.Response:
        """`/readyz`: a stream would be served."""
        reason = await self._triton.why_not_ready()
        if reason is None:
            return web.json_response({"ready": True})
        return web.json_response({"ready": False, "reason": reason}, status=503)

    async def serve_websocket(self, request: web.Request) -> web.StreamResponse:
        """Upgrade and serve one session, or say in JSON why not."""
        socket = Socket(self._settings.max_message_bytes)
        refusal = self._refusal(request, socket)
        if refusal is not None:
            return refusal
        session_id = secrets.token_hex(4)
        self.sessions.add(session_id)
        try:
            await socket.prepare(request)
            await self._serve(session_id, socket, request)
        finally:
            self.sessions.discard(session_id)
            if not self.sessions and self._stopping.is_set():
                self._all_left.set()
        return socket

    def _refusal(self, request: web.Request, socket: Socket) -> web.Response | None:
        if not is_authorized(request.headers.get("Authorization"), self._settings.api_keys):
            return _error(401, f"the API key is missing or unknown; {WHY_REFUSED}")
        if not socket.can_prepare(request).ok:
            return _error(426, "this path speaks websocket (RFC 6455)", {"Upgrade": "websocket"})
        retry = {"Retry-After": str(RETRY_AFTER_S)}
        if self._stopping.is_set():
            return _error(503, "this server is stopping", retry)
        if len(self.sessions) >= self._settings.max_streams:
            return _error(503, f"all {self._settings.max_streams} streams are taken", retry)
        return None

    async def _serve(self, session_id: str, socket: Socket, request: web.Request) -> None:
        settings = self._settings
        connection = Connection(
            socket, request, send_timeout_s=settings.send_timeout_s, ping_s=settings.ping_s
        )
        session = Session(connection, self._triton, settings, self._stopping)
        logger.info("session %s starts: %s", session_id, request.remote)
        started_at = time.monotonic()
        end: Close | None = None
        try:
            end = await session.run()
        finally:
            logger.info(
                "session %s ends: code %s, %.1f s of audio in %.1f s",
                session_id,
                "none" if end is None else int(end.code),
                session.audio_s,
                time.monotonic() - started_at,
            )


GATEWAY = web.AppKey("gateway", Gateway)


def create_app(settings: Settings) -> web.Application:
    """The application; run it with aiohttp's runner."""
    app = web.Application()
    app[GATEWAY] = gateway = Gateway(settings)
    app.add_routes(gateway.routes())
    app.cleanup_ctx.append(gateway.run)
    app.on_shutdown.append(gateway.stop)
    return app


async def _report_unknown_path(request: web.Request) -> web.Response:
    path = cut(request.path)
    return _error(404, f"there is no {path}; a session is at {', '.join(WEBSOCKET_PATHS)}")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"error": message, "body": {"message": message}}, status=status, headers=headers
    )
