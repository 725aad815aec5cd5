"""Triton as containers run it: with its settings from the environment, and a watch over it.

| variable | default | meaning |
|---|---|---|
| `TRITON_HOST` | `127.0.0.1` | where gRPC and the metrics listen |
| `TRITON_GRPC_PORT`, `TRITON_HTTP_PORT`, `TRITON_METRICS_PORT` | 8001, 8000, 8002 | their ports |
| `TRITON_OTLP_ENDPOINT` | none | where traces are sent; see `triton_options.trace_options` |

HTTP, for health checks, is at 127.0.0.1 always.

A Triton that works no more is ended, and with it the container, which its restart policy starts
anew. It knows no engine.
"""

import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from scripts import shared_memory
from scripts.child import Child
from scripts.preflight import Port, PreflightError, check_ports, port_setting
from scripts.triton_options import LOCAL, Endpoints, reachable
from scripts.triton_watch import TritonWatch

EXIT_TIMEOUT_S = 5
"""For streams that are open when Triton is told to stop. Gateways are stopped first, so few are."""
POLL_S = 0.2
CONDEMNED = 1
"""Exit status."""


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


def serve(
    command: Sequence[str], environment: Mapping[str, str], endpoints: Endpoints, regions: str
) -> int:
    """Run Triton until it ends, or until the watch over it finds that it works no more.

    Signals are passed on. `regions`: the prefix of the shared memory that a killed one leaves.
    The exit status comes back, as shells count it for one that ended by a signal; it is never 0
    for a Triton that was condemned, so whatever has started the container starts it again.

    Raises:
        PreflightError: the program cannot be run.
    """
    if shutil.which(command[0]) is None:
        raise PreflightError(f"{command[0]} cannot be run: there is no such program")
    sys.stdout.flush()
    child = Child(command, environment)
    watch = TritonWatch(child.pid, _address(endpoints))
    told_to_stop = _pass_signals_to(child)
    try:
        while (status := child.wait(POLL_S)) is None:
            if watch.verdict is not None and not told_to_stop:
                print(f"Triton {watch.verdict}: it is ended", file=sys.stderr, flush=True)
                return CONDEMNED
    finally:
        child.kill()
        watch.close()
        shared_memory.remove(regions)
    return status if status >= 0 else 128 - status


def _address(endpoints: Endpoints) -> str:
    """Of gRPC, for a client in the same container."""
    host = reachable(endpoints.host)
    return f"{f'[{host}]' if ':' in host else host}:{endpoints.grpc_port}"


def _pass_signals_to(child: Child) -> list[int]:
    """From here on; those that have come are in the list."""
    come: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        come.append(number)
        child.send_signal(number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, pass_on)
    return come


def complain(script: str, problems: Sequence[str]) -> int:
    """A line for each problem; the exit status of a process that runs no Triton."""
    for problem in problems:
        print(f"{script}: {problem}", file=sys.stderr)
    return 1
