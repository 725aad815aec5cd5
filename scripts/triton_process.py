"""How a process becomes Triton, with its settings taken from the environment: what containers run.

| variable | default | meaning |
|---|---|---|
| `TRITON_HOST` | `127.0.0.1` | where gRPC and the metrics listen |
| `TRITON_GRPC_PORT`, `TRITON_HTTP_PORT`, `TRITON_METRICS_PORT` | 8001, 8000, 8002 | their ports |

HTTP, for health checks, is at 127.0.0.1 always.

It knows no engine. It imports the standard library alone, as `scripts/triton_options.py` does.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from scripts.preflight import Port, PreflightError, check_ports, port_setting
from scripts.triton_options import LOCAL, Endpoints

EXIT_TIMEOUT_S = 5
"""For streams that are open when Triton is told to stop. Gateways are stopped first, so few are."""


def endpoints_of(environment: Mapping[str, str]) -> Endpoints:
    """Where Triton is to listen.

    Raises:
        PreflightError: a port is none.
    """
    host = environment.get("TRITON_HOST") or LOCAL
    return Endpoints(
        host,
        port_setting(environment, "TRITON_GRPC_PORT", 8001),
        port_setting(environment, "TRITON_METRICS_PORT", 8002),
        metrics_host=host,
        http_port=port_setting(environment, "TRITON_HTTP_PORT", 8000),
    )


def check_endpoints(endpoints: Endpoints) -> None:
    """See that nothing listens there: a second Triton would fill the GPU before it noticed.

    Raises:
        PreflightError: names the address and the setting that moves it.
    """
    wanted = [
        Port(endpoints.host, endpoints.grpc_port, "Triton", "TRITON_GRPC_PORT"),
        Port(LOCAL, endpoints.http_port or 0, "Triton's health", "TRITON_HTTP_PORT"),
        Port(
            endpoints.metrics_host,
            endpoints.metrics_port,
            "Triton's metrics",
            "TRITON_METRICS_PORT",
        ),
    ]
    check_ports(wanted)


def become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Replace this process: signals reach Triton, and its exit status is this process's.

    Raises:
        PreflightError: the program cannot be run.
    """
    sys.stdout.flush()
    try:
        os.execvpe(command[0], list(command), dict(environment))
    except OSError as error:
        raise PreflightError(f"{command[0]} cannot be run: {error.strerror}") from error


def complain(script: str, problems: Sequence[str]) -> int:
    """A line for each problem; the exit status of a process that does not become Triton."""
    for problem in problems:
        print(f"{script}: {problem}", file=sys.stderr)
    return 1
