"""Starts the gateway: `python -m gateway`. Settings are environment variables, see
`gateway.settings`.

Exit codes: 0 after SIGTERM or Ctrl-C, 1 when the port cannot be had, 2 for a bad setting.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys

from aiohttp import web

from gateway.server import GATEWAY, create_app
from gateway.settings import Settings, SettingsError, unknown_variables

SHUTDOWN_TIMEOUT_S = 0.5
"""aiohttp's own patience, after the gateway has ended its sessions."""

logger = logging.getLogger("gateway")


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    argparse.ArgumentParser(
        prog="python -m gateway",
        description="The websocket gateway. It takes no arguments: its settings are environment "
        "variables, listed in docs/architecture.md.",
    ).parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for variable in unknown_variables(os.environ):
        logger.warning("%s is not a setting of the gateway and is ignored", variable)
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    app = create_app(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port)
    try:
        await site.start()
    except OSError as error:
        sys.stderr.write(f"{_why_no_port(settings, error)}\n")
        await runner.cleanup()
        return 1
    _log_start(runner, settings)
    await told_to_stop.wait()
    await site.stop()
    await app[GATEWAY].stop()  # before aiohttp's cleanup, which makes connections deaf first
    await runner.cleanup()
    return 0


def _why_no_port(settings: Settings, error: OSError) -> str:
    return (
        f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
        "set GATEWAY_PORT to a free port or GATEWAY_HOST to an address of this machine"
    )


def _log_start(runner: web.AppRunner, settings: Settings) -> None:
    for address in runner.addresses:
        logger.info("listening on %s:%s, Triton at %s", *address[:2], settings.triton)
    if not settings.api_keys:
        logger.info("GATEWAY_API_KEYS is empty: clients need no key")


if __name__ == "__main__":
    sys.exit(main())
