"""Starts the gateway: `python -m gateway`. Settings are environment variables, see
`gateway.settings`.

Exit codes: 0 after SIGTERM or Ctrl-C, 1 when the port cannot be had or it is stuck, 2 for a bad
setting or a file of keys or a certificate that cannot be used. What signals do: `gateway.running`.
"""

import argparse
import logging
import os
import sys

import uvloop

from gateway import logs
from gateway.running import serve
from gateway.settings import Settings, SettingsError, unknown_variables

logger = logging.getLogger("gateway")


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    argparse.ArgumentParser(
        prog="python -m gateway",
        description="The websocket gateway. It takes no arguments: its settings are environment "
        "variables, listed in docs/architecture.md.",
    ).parse_args(arguments)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(settings.log_format)
    for variable in unknown_variables(os.environ):
        logger.warning("%s is not a setting of the gateway and is ignored", variable)
    return uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
