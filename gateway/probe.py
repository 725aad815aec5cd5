"""Says whether the gateway on this machine is ready: `python -m gateway.probe`, what an image's
health check runs.

It finds the gateway by the same settings, with TLS where those say so; whose certificate it is does
not matter on the way from a machine to itself. Exit codes: 0 a session would be served, 1 not.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping

from gateway.settings import Settings, SettingsError

TIMEOUT_S = 4.0
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a server that listens on all addresses is reached from its own machine."""


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Ask; the exit code."""
    try:
        problem = why_not_ready(Settings.from_environment(environment))
    except SettingsError as error:
        problem = str(error)
    if problem is not None:
        sys.stderr.write(f"{problem}\n")
    return 0 if problem is None else 1


def why_not_ready(settings: Settings) -> str | None:
    """What the gateway says, or why it says nothing; None when it is ready."""
    host = _HERE.get(settings.host, settings.host)
    if settings.tls_certificate is None:
        connection = http.client.HTTPConnection(host, settings.port, timeout=TIMEOUT_S)
    else:
        connection = http.client.HTTPSConnection(
            host, settings.port, timeout=TIMEOUT_S, context=_trusting()
        )
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        said = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{host}:{settings.port} cannot be asked: {error}"
    finally:
        connection.close()
    return None if response.status == http.HTTPStatus.OK else said


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if __name__ == "__main__":
    sys.exit(main())
