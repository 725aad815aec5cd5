"""The HTTP side: routes, health, who may upgrade, and the sessions that are live.

What is said on a websocket is `gateway.session`'s. Logs one line when a session starts, ends or is
refused, never audio, text or keys.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial

from aiohttp import web

from gateway import listening
from gateway.admission import Admission
from gateway.auth import WHY_REFUSED, is_authorized
from gateway.closing import Close
from gateway.connection import Connection, Socket
from gateway.dialects.dialect import Dialect, Entrance, RefusedUpgrade, Upgrade
from gateway.dialects.entrances import entrances
from gateway.dialects.peer import TranslatedPeer
from gateway.dialects.twilio.calls import Calls
from gateway.messages import cut
from gateway.page import serve as page
from gateway.peer import Peer
from gateway.refusal import Refusal, RefusalType, refuse
from gateway.rest import routes as rest
from gateway.schemas import routes as schemas
from gateway.session import Session, Shared
from gateway.settings import Settings
from gateway.tritons import Tritons

WEBSOCKET_PATHS = (
    "/environments/{environment}/websocket",
    "/deployment/{deployment}/websocket",
    "/development/websocket",
    "/websocket",
    "/v1/websocket",
)
"""Paths that clients in the field use. They all mean the same session."""
STOP_TIMEOUT_S = 3.0
"""For all sessions to end when the server is told to stop; what is left then is cancelled."""

Shape = Callable[[Refusal], Refusal]
"""Gives a refusal the shape that a protocol's clients expect."""

logger = logging.getLogger(__name__)


def _as_it_is(refusal: Refusal) -> Refusal:
    return refusal


class Gateway:
    """The sessions of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.shared: Shared
        """What a session takes; there while the application runs."""
        self._admission = Admission(settings.max_partial_delay_s, settings.max_final_delay_s)
        self._stopping = asyncio.Event()
        self._all_left = asyncio.Event()
        self._over = asyncio.Event()
        self._calls = Calls()
        self.sessions: set[str] = set()
        """Ids of the live sessions."""

    def routes(self) -> list[web.RouteDef]:
        """Everything that is served."""
        return [
            *(web.get(path, self.serve_websocket) for path in WEBSOCKET_PATHS),
            *(
                web.get(path, partial(self.serve_dialect, entrance))
                for entrance in entrances(self._calls)
                for path in entrance.paths
            ),
            web.get(listening.PATH, self.serve_listener),
            web.get("/healthz", self.report_health),
            web.get("/readyz", self.report_readiness),
            *schemas.routes(WEBSOCKET_PATHS),
            *rest.routes(self),
            *page.routes(),
            web.get("/{path:.*}", _report_unknown_path),
        ]

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Hold the connection to Triton while the application runs."""
        settings = self._settings
        tritons = Tritons(settings.tritons, settings.hang_timeout_s)
        self.shared = Shared(settings, tritons, self._admission, self._hop_samples, self._stopping)
        yield
        await tritons.close()

    async def stop(self, _: web.Application | None = None) -> None:
        """Have every session send its open utterance's final and end, and wait for them."""
        self._stopping.set()
        if self.sessions:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._all_left.wait()
        self._over.set()

    async def report_health(self, _: web.Request) -> web.Response:
        """`/healthz`: the process is alive, and how late the engine is."""
        now = time.monotonic()
        delays = {
            "partial_delay_s": self._admission.partial_delay_s(now),
            "final_delay_s": self._admission.final_delay_s(now),
        }
        rounded = {name: None if s is None else round(s, 3) for name, s in delays.items()}
        return web.json_response({"status": "ok", "streams": len(self.sessions), **rounded})

    async def report_readiness(self, _: web.Request) -> web.Response:
        """`/readyz`: a stream would be served."""
        reason = await self.shared.tritons.why_not_ready()
        if reason is None:
            return web.json_response({"ready": True})
        return web.json_response({"ready": False, "reason": reason}, status=503)

    async def serve_websocket(self, request: web.Request) -> web.StreamResponse:
        """Upgrade and serve one session, or say in JSON why not."""
        refusal = self.refusal(request.headers)
        if refusal is not None:
            return _refused(request, refusal)
        return await self._upgrade(request, Socket(self._settings.max_message_bytes))

    async def serve_dialect(self, entrance: Entrance, request: web.Request) -> web.StreamResponse:
        """The same for a client of another protocol, in its own terms."""
        upgrade = Upgrade(
            request.path_qs, tuple(request.query.items()), request.headers, time.time()
        )
        key_shown = entrance.shows_key(upgrade, self._settings.api_keys)
        refusal = self.refusal(request.headers, key_shown=key_shown)
        if refusal is not None:
            return _refused(request, refusal, entrance.refuse)
        try:
            dialect = entrance.begin(upgrade)
        except RefusedUpgrade as refused:
            logger.info("%s is refused: it asks for what cannot be served", request.remote)
            return _response(refused.refusal)
        socket = Socket(self._settings.max_message_bytes, dialect.farewell)
        socket.headers.update(dialect.response_headers)
        return await self._upgrade(request, socket, entrance.refuse, dialect)

    async def serve_listener(self, request: web.Request) -> web.StreamResponse:
        """Upgrade, and tell what is said in a call."""
        refusal = self._key_refusal(request.headers)
        if refusal is not None:
            return _refused(request, refusal)
        socket = Socket(self._settings.max_message_bytes)
        if not socket.can_prepare(request).ok:
            return _refused(request, _no_upgrade())
        await socket.prepare(request)
        connection, call = self._connection(socket, request), request.match_info["call"]
        await listening.listen(connection, self._calls, call, self._over)
        return socket

    async def _upgrade(
        self,
        request: web.Request,
        socket: Socket,
        shape: Shape = _as_it_is,
        dialect: Dialect | None = None,
    ) -> web.StreamResponse:
        if not socket.can_prepare(request).ok:
            # The last reason, so a plain request learns the others: a browser tells its page
            # nothing of a refused upgrade.
            return _refused(request, _no_upgrade(), shape)
        with self.place() as session_id:
            await socket.prepare(request)
            connection = self._connection(socket, request)
            peer = TranslatedPeer(connection, dialect) if dialect else connection
            await self.serve(peer, session_id, request.remote)
        return socket

    def refusal(self, headers: Mapping[str, str], *, key_shown: bool = False) -> Refusal | None:
        """Why a request with these headers gets no session now. `key_shown`: it has shown a key
        in another way already."""
        refusal = None if key_shown else self._key_refusal(headers)
        if refusal is not None:
            return refusal
        if self._stopping.is_set():
            return refuse(RefusalType.STOPPING, "this server is stopping")
        most = self._settings.max_streams
        if len(self.sessions) >= most:
            return refuse(RefusalType.TOO_MANY_STREAMS, f"all {most} streams are taken")
        if self._admission.is_overloaded(time.monotonic()):
            return refuse(RefusalType.OVERLOADED, "the server is overloaded: words come late")
        return None

    def _key_refusal(self, headers: Mapping[str, str]) -> Refusal | None:
        authorization = headers.get("Authorization")
        subprotocols = headers.get("Sec-WebSocket-Protocol")
        if is_authorized(authorization, self._settings.api_keys, subprotocols):
            return None
        problem = f"the API key is missing or unknown; {WHY_REFUSED}"
        return refuse(RefusalType.UNAUTHORIZED, problem)

    @contextlib.contextmanager
    def place(self) -> Iterator[str]:
        """One of the sessions' places, and the id of who has it. Ask for a `refusal` before, with
        no await between the two."""
        session_id = secrets.token_hex(4)
        self.sessions.add(session_id)
        try:
            yield session_id
        finally:
            self.sessions.discard(session_id)
            if not self.sessions and self._stopping.is_set():
                self._all_left.set()

    async def serve(self, peer: Peer, session_id: str, remote: str | None) -> Close:
        """A whole session, for whoever has the place; how it ended comes back."""
        session = Session(peer, self.shared)
        logger.info("session %s starts: %s", session_id, remote)
        started_at = time.monotonic()
        end: Close | None = None
        try:
            end = await session.run()
            return end
        finally:
            logger.info(
                "session %s ends: code %s, %.1f s of audio in %.1f s",
                session_id,
                "none" if end is None else int(end.code),
                session.audio_s,
                time.monotonic() - started_at,
            )

    def _connection(self, socket: Socket, request: web.Request) -> Connection:
        settings = self._settings
        return Connection(
            socket, request, send_timeout_s=settings.send_timeout_s, ping_s=settings.ping_s
        )

    def _hop_samples(self, is_ahead: bool) -> int:
        return self._settings.hop_samples(len(self.sessions), is_ahead)


GATEWAY = web.AppKey("gateway", Gateway)


def create_app(settings: Settings) -> web.Application:
    """The application; run it with aiohttp's runner."""
    app = web.Application()
    app[GATEWAY] = gateway = Gateway(settings)
    app.add_routes(gateway.routes())
    app.cleanup_ctx.append(gateway.run)
    app.on_shutdown.append(gateway.stop)
    return app


def _no_upgrade() -> Refusal:
    return refuse(RefusalType.UPGRADE_REQUIRED, "this path speaks websocket (RFC 6455)")


def _refused(request: web.Request, refusal: Refusal, shape: Shape = _as_it_is) -> web.Response:
    logger.info("%s is refused: %s", request.remote, refusal.body["type"])
    return _response(shape(refusal))


async def _report_unknown_path(request: web.Request) -> web.Response:
    problem = f"there is no {cut(request.path)}; a session is at {', '.join(WEBSOCKET_PATHS)}"
    return _response(refuse(RefusalType.NOT_FOUND, problem))


def _response(refusal: Refusal) -> web.Response:
    return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
