"""The process: listen, do what signals say, end.

Knows aiohttp's runner and sites, and the gateway as something that drains and stops. Rules:

1. SIGTERM drains: nobody is let in any more, idle sessions end, the others have `drain_s` more.
   The port stays open meanwhile, for refusals and `/readyz` to say so.
2. SIGINT (Ctrl-C), or a second signal, ends all sessions at once: each gets its final.
3. SIGHUP reads the files of keys and the certificate again.
4. Where the event loop is stuck, the process ends by itself (`gateway.stuck`).
"""

import asyncio
import logging
import resource
import signal
import sys

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway import stuck
from gateway.exposition import PATH as METRICS_PATH
from gateway.exposition import create_metrics_app
from gateway.keys import KeysError
from gateway.server import GATEWAY, Gateway, create_app
from gateway.settings import Settings
from gateway.tls import Certificate, CertificateError
from gateway.tracing import TracingUnavailable, tracing_to

SHUTDOWN_TIMEOUT_S = 0.5
"""aiohttp's own patience, after the gateway has ended its sessions."""
NO_REQUEST_S = 75.0
"""A connection on which no request comes for so long, or not all of one, is closed. Browsers keep
theirs open for the next file of the page, most of them for a minute or so."""
BACKLOG = 1024
"""Connections that may wait to be accepted: all clients of a server that has been restarted."""
FILES_OF_THE_PROCESS = 128
"""Open files besides the clients' connections, generously."""

logger = logging.getLogger(__name__)


class _NoBadRequests(logging.Filter):
    """Leaves out requests that are no HTTP: a line for each would be theirs to write, with what
    they sent, which may be half of somebody's key."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


http_logger = logging.getLogger("gateway.http")
http_logger.addFilter(_NoBadRequests())


def make_runner(app: web.Application) -> web.AppRunner:
    """aiohttp's runner of the application, with the limits that hold before a session begins."""
    return web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        keepalive_timeout=NO_REQUEST_S,
        logger=http_logger,
        auto_decompress=False,  # a compressed form could be a bomb, and no client sends one
    )


async def serve(settings: Settings) -> int:
    """Serve until told to stop; the exit code."""
    signals = _listen_for_signals()
    try:
        certificate = _certificate(settings)
        tracing = tracing_to(settings.otlp_endpoint)
        app = create_app(settings, tracing)
    except (CertificateError, KeysError, TracingUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    gateway = app[GATEWAY]
    _allow_open_files(settings.max_streams)
    runner = make_runner(app)
    await runner.setup()
    context = None if certificate is None else certificate.context
    site = web.TCPSite(runner, settings.host, settings.port, ssl_context=context, backlog=BACKLOG)
    try:
        await site.start()
    except OSError as error:
        sys.stderr.write(f"{_why_no_port(settings, error)}\n")
        await runner.cleanup()
        return 1
    metrics = await _serve_metrics(settings, gateway)
    if metrics is None:
        await runner.cleanup()
        return 1
    _log_start(runner, settings, gateway)
    async with stuck.guarded():
        await _run(signals, settings, gateway, certificate)
    await site.stop()
    await gateway.stop()  # before aiohttp's cleanup, which makes connections deaf first
    await runner.cleanup()
    await metrics.cleanup()  # to the end, since it is there that a drain shows
    tracing.close()
    return 0


async def _serve_metrics(settings: Settings, gateway: Gateway) -> web.AppRunner | None:
    """The metrics' own server, which listens nowhere without a port; None: its port is taken."""
    app = create_metrics_app(gateway.telemetry.metrics.registry)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    if settings.metrics_port is None:
        return runner
    site = web.TCPSite(runner, settings.metrics_host, settings.metrics_port)
    try:
        await site.start()
    except OSError as error:
        where = f"{settings.metrics_host}:{settings.metrics_port}"
        sys.stderr.write(
            f"cannot listen on {where} for metrics: {error.strerror or error}; set "
            "GATEWAY_METRICS_PORT to a free port or GATEWAY_METRICS_HOST to an address of this "
            "machine\n"
        )
        await runner.cleanup()
        return None
    for host, port, *_ in runner.addresses:
        logger.info("metrics on http://%s:%s%s", host, port, METRICS_PATH)
    return runner


async def _run(
    signals: asyncio.Queue[int],
    settings: Settings,
    gateway: Gateway,
    certificate: Certificate | None,
) -> None:
    """Return when the sessions are to be ended at once."""
    draining: asyncio.Task[None] | None = None
    while True:
        waiting = asyncio.ensure_future(signals.get())
        both = {waiting} if draining is None else {waiting, draining}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            return  # drained
        number = waiting.result()
        if number == signal.SIGHUP:
            gateway.door.keys.reload()
            if certificate is not None:
                certificate.reload()
        elif number == signal.SIGTERM and draining is None:
            logger.info("draining: no new streams; %d are open", len(gateway.sessions))
            draining = asyncio.create_task(gateway.drain(settings.drain_s), name="gateway-drain")
        else:
            if draining is not None:
                draining.cancel()
            return


def _listen_for_signals() -> asyncio.Queue[int]:
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    return signals


def _certificate(settings: Settings) -> Certificate | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key)


def _allow_open_files(max_streams: int) -> None:
    """Every connection is an open file, and so is one that waits to be refused: twice as many as
    there are streams, where the system lets us."""
    wanted = 2 * max_streams + FILES_OF_THE_PROCESS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < max_streams + FILES_OF_THE_PROCESS:
        logger.warning(
            "GATEWAY_MAX_STREAMS=%d needs %d open files, and this process may have %d: raise the "
            "hard limit (ulimit -Hn, LimitNOFILE=, --ulimit nofile=) or lower the setting",
            max_streams,
            max_streams + FILES_OF_THE_PROCESS,
            soft,
        )


def _why_no_port(settings: Settings, error: OSError) -> str:
    return (
        f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
        "set GATEWAY_PORT to a free port or GATEWAY_HOST to an address of this machine"
    )


def _log_start(runner: web.AppRunner, settings: Settings, gateway: Gateway) -> None:
    with_tls = " with TLS" if settings.tls_certificate is not None else ""
    for host, port, *_ in runner.addresses:
        logger.info("listening on %s:%s%s, Triton at %s", host, port, with_tls, settings.triton)
    if not gateway.door.keys.secrets:
        logger.info("GATEWAY_API_KEYS is empty: clients need no key")
