"""The HTTP side: routes, health, who may upgrade, and the sessions that are live.

What is said on a websocket is `gateway.session`'s. Logs one line when a session starts, ends or is
refused, never audio, text or keys.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from functools import partial

from aiohttp import web

from gateway import listening
from gateway.addresses import behind
from gateway.admission import Admission
from gateway.closing import Close
from gateway.connection import Connection, Socket
from gateway.dialects.dialect import Dialect, Entrance, RefusedUpgrade, Upgrade
from gateway.dialects.entrances import entrances
from gateway.dialects.peer import TranslatedPeer
from gateway.dialects.twilio.calls import Calls
from gateway.door import STOPPING, Door, Place
from gateway.gauges import Gauges, State
from gateway.keys import Key
from gateway.logs import fields
from gateway.messages import cut
from gateway.metrics import BAD_REQUEST
from gateway.page import serve as page
from gateway.peer import Peer
from gateway.refusal import Refusal, RefusalType, refuse
from gateway.rest import routes as rest
from gateway.schemas import routes as schemas
from gateway.session import Session, Shared
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.ticks import Portion, Ticks
from gateway.tracing import Off, Tracing
from gateway.tritons import Tritons

WEBSOCKET_PATHS = (
    "/environments/{environment}/websocket",
    "/deployment/{deployment}/websocket",
    "/development/websocket",
    "/websocket",
    "/v1/websocket",
)
"""Paths that clients in the field use. They all mean the same session."""
WEBSOCKET = "websocket"
"""The name of our own protocol, beside those of the dialects."""
STOP_TIMEOUT_S = 3.0
"""For all sessions to end when the server is told to stop; what is left then is cancelled."""

Shape = Callable[[Refusal], Refusal]
"""Gives a refusal the shape that a protocol's clients expect."""

logger = logging.getLogger(__name__)


def _as_it_is(refusal: Refusal) -> Refusal:
    return refusal


class Gateway:
    """The sessions of one process."""

    def __init__(self, settings: Settings, tracing: Tracing) -> None:
        """Raises KeysError when the file of keys cannot be used."""
        self._settings = settings
        self.telemetry = Telemetry(tracing=tracing)
        self.shared: Shared
        """What a session takes; there while the application runs."""
        self._admission = Admission(
            settings.max_partial_delay_s, settings.max_final_delay_s, settings.burst_streams
        )
        self.door = Door(settings, settings.keys(), self._admission)
        self.door.on_left = self._note_left
        self._draining, self._stopping = asyncio.Event(), asyncio.Event()
        self._all_left = asyncio.Event()
        self._over = asyncio.Event()
        self._calls = Calls()
        self._ticks = Ticks()

    @property
    def sessions(self) -> Collection[str]:
        """Ids of the live sessions."""
        return self.door.places.keys()

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
        self.shared = Shared(
            settings,
            tritons,
            self._admission,
            self._hop_size,
            self._draining,
            self._stopping,
            self.telemetry,
        )
        self.telemetry.metrics.registry.register(Gauges(self._state))
        yield
        await tritons.close()

    async def drain(self, grace_s: float) -> None:
        """Let nobody in any more, have the sessions that are idle end, and wait for the others for
        so long at most. `stop` ends what is left."""
        self.door.is_closed = True
        self._draining.set()
        await self._wait_until_all_have_left(grace_s)

    async def stop(self, _: web.Application | None = None) -> None:
        """Have every session send its open utterance's final and end, and wait for them."""
        self.door.is_closed = True
        self._draining.set()
        self._stopping.set()
        await self._wait_until_all_have_left(STOP_TIMEOUT_S)
        self._over.set()

    async def _wait_until_all_have_left(self, timeout_s: float) -> None:
        if self.sessions:
            self._all_left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._all_left.wait()

    def _note_left(self) -> None:
        if not self.sessions:
            self._all_left.set()

    def _state(self) -> State:
        now, admission = time.monotonic(), self._admission
        return State(
            max_streams=self._settings.max_streams,
            free_streams=self.door.free_streams(),
            is_draining=self.door.is_closed,
            is_overloaded=admission.is_overloaded(now),
            partial_delay_s=admission.partial_delay_s(now),
            final_delay_s=admission.final_delay_s(now),
            audio_in_flight_s=self.telemetry.metrics.audio_in_flight_s,
            tritons=self.shared.tritons.states(),
        )

    async def report_health(self, _: web.Request) -> web.Response:
        """`/healthz`: the process is alive, how full it is, and how late the engine is."""
        now = time.monotonic()
        delays = {
            "partial_delay_s": self._admission.partial_delay_s(now),
            "final_delay_s": self._admission.final_delay_s(now),
        }
        rounded = {name: None if s is None else round(s, 3) for name, s in delays.items()}
        streams = {"streams": len(self.sessions), "free_streams": self.door.free_streams()}
        return web.json_response({"status": "ok", **streams, **rounded})

    async def report_readiness(self, _: web.Request) -> web.Response:
        """`/readyz`: a stream would be served."""
        closed = STOPPING if self.door.is_closed else None
        reason = closed or await self.shared.tritons.why_not_ready()
        if reason is None:
            return web.json_response({"ready": True})
        return web.json_response({"ready": False, "reason": reason}, status=503)

    async def serve_websocket(self, request: web.Request) -> web.StreamResponse:
        """Upgrade and serve one session, or say in JSON why not."""
        answer = self.door.ask(request.headers, request.remote)
        if isinstance(answer, Refusal):
            return self._refuse(request, answer)
        socket = Socket(self._settings.max_message_bytes)
        return await self._upgrade(request, answer, socket, WEBSOCKET)

    async def serve_dialect(self, entrance: Entrance, request: web.Request) -> web.StreamResponse:
        """The same for a client of another protocol, in its own terms."""
        upgrade = Upgrade(
            request.path_qs, tuple(request.query.items()), request.headers, time.time()
        )
        shown = entrance.shown_key(upgrade, self.door.keys.secrets)
        answer = self.door.ask(request.headers, request.remote, shown)
        if isinstance(answer, Refusal):
            return self._refuse(request, answer, entrance.refuse)
        try:
            dialect = entrance.begin(upgrade)
        except RefusedUpgrade as refused:
            self.telemetry.metrics.refused(BAD_REQUEST)
            logger.info(
                "%s is refused: it asks for what cannot be served",
                request.remote,
                extra=fields(reason=BAD_REQUEST),
            )
            return _response(refused.refusal)
        socket = Socket(self._settings.max_message_bytes, dialect.farewell)
        socket.headers.update(dialect.response_headers)
        return await self._upgrade(request, answer, socket, entrance.name, entrance.refuse, dialect)

    async def serve_listener(self, request: web.Request) -> web.StreamResponse:
        """Upgrade, and tell what is said in a call."""
        answer = self.door.identify(request.headers)
        if isinstance(answer, Refusal):
            return self._refuse(request, answer)
        socket = Socket(self._settings.max_message_bytes)
        if not socket.can_prepare(request).ok:
            return self._refuse(request, _no_upgrade())
        await socket.prepare(request)
        connection, call = self._connection(socket, request), request.match_info["call"]
        await listening.listen(connection, self._calls, call, self._over)
        return socket

    async def _upgrade(
        self,
        request: web.Request,
        key: Key,
        socket: Socket,
        protocol: str,
        shape: Shape = _as_it_is,
        dialect: Dialect | None = None,
    ) -> web.StreamResponse:
        if not socket.can_prepare(request).ok:
            # The last reason, so a plain request learns the others: a browser tells its page
            # nothing of a refused upgrade.
            return self._refuse(request, _no_upgrade(), shape)
        with self.place(key, protocol, request) as place:
            await socket.prepare(request)
            connection = self._connection(socket, request)
            peer = TranslatedPeer(connection, dialect) if dialect else connection
            await self.serve(peer, place, request.remote)
        return socket

    @contextlib.contextmanager
    def place(self, key: Key, protocol: str, request: web.Request) -> Iterator[Place]:
        """One of the places, for as long as it is held; whatever is done inside is watched."""
        with (
            self.door.place(key, request.remote) as place,
            self.telemetry.session(place.id, protocol, request.headers),
        ):
            yield place

    async def serve(self, peer: Peer, place: Place, remote: str | None) -> Close:
        """A whole session, for whoever has the place; how it ended comes back."""
        session = Session(peer, self.shared, place.delays)
        logger.info(
            "the session starts: %s with %s",
            remote,
            place.key.name,
            extra=fields(remote=remote, key=place.key.name),
        )
        started_at = time.monotonic()
        end: Close | None = None
        try:
            end = await session.run()
            return end
        finally:
            self._note_end(end, session.audio_s, time.monotonic() - started_at)

    def _note_end(self, end: Close | None, audio_s: float, took_s: float) -> None:
        code = None if end is None else int(end.code)
        self.telemetry.metrics.ended(code)
        logger.info(
            "the session ends: code %s, %.1f s of audio in %.1f s",
            "none" if code is None else code,
            audio_s,
            took_s,
            extra=fields(code=code, audio_s=round(audio_s, 3), duration_s=round(took_s, 3)),
        )

    def _refuse(
        self, request: web.Request, refusal: Refusal, shape: Shape = _as_it_is
    ) -> web.Response:
        reason = refusal.body["type"]
        self.telemetry.metrics.refused(reason)
        logger.info("%s is refused: %s", request.remote, reason, extra=fields(reason=reason))
        return _response(shape(refusal))

    def _connection(self, socket: Socket, request: web.Request) -> Connection:
        settings = self._settings
        return Connection(
            socket,
            request,
            self._ticks,
            send_timeout_s=settings.send_timeout_s,
            ping_s=settings.ping_s,
        )

    def _hop_size(self, is_ahead: bool) -> Portion:
        live = self._admission.live_streams(time.monotonic())
        return self._settings.hop_size(live, is_ahead)


GATEWAY = web.AppKey("gateway", Gateway)


def create_app(settings: Settings, tracing: Tracing | None = None) -> web.Application:
    """The application; run it with aiohttp's runner."""
    app = web.Application(middlewares=[behind(settings.proxies)] if settings.proxies else [])
    app[GATEWAY] = gateway = Gateway(settings, tracing or Off())
    app.add_routes(gateway.routes())
    app.cleanup_ctx.append(gateway.run)
    app.on_shutdown.append(gateway.stop)
    return app


def _no_upgrade() -> Refusal:
    return refuse(RefusalType.UPGRADE_REQUIRED, "this path speaks websocket (RFC 6455)")


async def _report_unknown_path(request: web.Request) -> web.Response:
    problem = f"there is no {cut(request.path)}; a session is at {', '.join(WEBSOCKET_PATHS)}"
    return _response(refuse(RefusalType.NOT_FOUND, problem))


def _response(refusal: Refusal) -> web.Response:
    return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
