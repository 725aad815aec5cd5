"""Triton and the gateway on this machine, as one thing to start, to keep up and to stop.

`scripts/serve.py` runs one for people, the tests run theirs. It knows how the two are started and
how to see that they are ready; it does not know what they do.
"""

import http.client
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from build import fetch_weights
from gateway.settings import Settings as GatewaySettings
from scripts import preflight, shared_memory, triton_server
from scripts.child import tail
from scripts.part import Part, shown
from scripts.preflight import Port, PreflightError
from scripts.triton_options import LOCAL, reachable, trace_options
from scripts.triton_pulse import Patience
from scripts.triton_server import ROOT
from scripts.triton_watch import TritonWatch

OUTPUT = fetch_weights.OUTPUT
LOGS = OUTPUT / "logs"

TRITON_START_TIMEOUT_S = 180
GATEWAY_START_TIMEOUT_S = 30
# Together under the 5 s in which everything has to end. The gateway gets most of it: it sends the
# finals of what is being said. Triton has nothing left to do by then.
GATEWAY_GRACE_S = 3.3
TRITON_GRACE_S = triton_server.EXIT_TIMEOUT_S + 0.3


@dataclass(frozen=True)
class Settings:
    """Where everything listens, and which model decodes."""

    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    metrics_port: int = 8002
    model: str = fetch_weights.DEFAULT_MODEL

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The gateway's own settings, and ours beside them; `GATEWAY_PORT=0` finds a free port.

        Raises:
            SettingsError, PreflightError: a value cannot be used.
        """
        gateway = GatewaySettings.from_environment(environment)
        return cls(
            gateway if gateway.port else replace(gateway, port=preflight.free_port()),
            preflight.port_setting(environment, "TRITON_METRICS_PORT", cls.metrics_port),
            environment.get("WHISPER_MODEL") or cls.model,
        )

    @property
    def address(self) -> str:
        """Host and port at which a client on this machine reaches the gateway."""
        host = reachable(self.gateway.host)
        return f"{f'[{host}]' if ':' in host else host}:{self.gateway.port}"

    @property
    def url(self) -> str:
        """The websocket's URL."""
        return f"ws://{self.address}/v1/websocket"

    @property
    def triton(self) -> tuple[str, int]:
        """Host and port of Triton's gRPC endpoint: the first that the gateway knows."""
        host, _, port = self.gateway.tritons[0].rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def ports(self) -> tuple[Port, ...]:
        """Every address that is listened on."""
        return (
            Port(self.gateway.host, self.gateway.port, "the gateway", "GATEWAY_PORT"),
            Port(*self.triton, "Triton", "GATEWAY_TRITON=HOST:PORT"),
            Port(LOCAL, self.metrics_port, "Triton's metrics", "TRITON_METRICS_PORT"),
        )


@dataclass(frozen=True)
class Models:
    """Which configurations of the model repository are served, and with what."""

    repository: Path = ROOT / "model_repository"
    config_name: str = triton_server.EMBEDDED
    backends: Path = OUTPUT / "triton_backends"
    """The Python backend is laid out there; other backends may stand beside it."""
    engine: Path | None = None
    """Folder of a compiled engine. None: the CTranslate2 weights of WHISPER_MODEL."""


class Server:
    """Triton and the gateway as one thing to start and stop."""

    def __init__(
        self,
        settings: Settings,
        *,
        environment: Mapping[str, str] = os.environ,
        logs: Path = LOGS,
        models: Models | None = None,
        report: Callable[[str], None] = print,
        patience: Patience | None = None,
    ) -> None:
        """`patience`: with a Triton that shows no life."""
        self.settings = settings
        self._environment = environment
        self._logs = logs
        self._models = models or Models()
        self._report = report
        self._patience = patience
        self._parts: list[Part] = []
        self._regions = shared_memory.prefix(os.getpid(), settings.triton[1])

    def __enter__(self) -> Self:
        """Start, or leave nothing behind."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Return when both are ready.

        Raises:
            PreflightError: the machine or a setting is in the way.
            ServerError: one of the two failed to start.
        """
        self.check()
        shared_memory.remove_abandoned()
        self._start_triton()
        self._start_gateway()

    def check(self) -> None:
        """Raises PreflightError when the start would fail for a reason that is known already."""
        preflight.check_python_version()
        preflight.check_python_library()
        preflight.check_ports(self.settings.ports)
        if self.settings.gateway.tls_certificate is not None:
            raise PreflightError(
                "GATEWAY_TLS_CERTIFICATE is set, and the proof at the start speaks no TLS: run the "
                "gateway by itself (python -m gateway) or in its container, or unset it"
            )
        model = fetch_weights.model_folder(self.settings.model)
        if fetch_weights.missing_model_files(model) or not _silero_vad().is_file():
            raise PreflightError(
                f"the weights of WHISPER_MODEL={self.settings.model} are not in {model}: "
                "fetch them with python build/fetch_weights.py"
            )

    def check_parts(self) -> None:
        """Raises ServerError when one of the two has ended."""
        for part in self._parts:
            part.check()

    def tend(self) -> None:
        """Start again what has ended, and a Triton that works no more; returns soon otherwise.

        The gateway and its sessions outlive Triton's restart. Its own restart costs the sessions,
        but clients that connect again find it there.

        Raises:
            ServerError: one of the two fails too often.
        """
        for part in self._parts:
            part.tend()

    def stop(self) -> None:
        """End the gateway, then Triton, and all that they have started."""
        while self._parts:
            self._parts.pop().stop()

    def _start_triton(self) -> None:
        settings, models = self.settings, self._models
        address = settings.gateway.tritons[0]
        regions = self._regions
        triton_server.make_backends(models.backends)
        command = triton_server.command(
            models.repository,
            *settings.triton,
            settings.metrics_port,
            models.backends,
            regions,
            models.config_name,
        ) + trace_options(self._environment)
        weights = fetch_weights.model_folder(settings.model)
        environment = triton_server.environment(
            self._environment,
            models.engine or weights,
            _silero_vad(),
            companion=None if models.engine is None else weights,
        )
        self._start_part(
            Part(
                "Triton",
                command,
                environment,
                self._logs / "triton.log",
                is_ready=lambda: triton_server.is_ready(address),
                start_timeout_s=TRITON_START_TIMEOUT_S,
                grace_s=TRITON_GRACE_S,
                error_lines=triton_server.error_lines,
                report=self._report,
                tidy=lambda: shared_memory.remove(regions),
                make_watch=lambda pid: TritonWatch(pid, address, self._patience),
            )
        )

    def _start_gateway(self) -> None:
        settings = self.settings
        environment = {
            **self._environment,
            "PYTHONPATH": str(ROOT),
            "GATEWAY_HOST": settings.gateway.host,
            "GATEWAY_PORT": str(settings.gateway.port),
            "GATEWAY_TRITON": settings.gateway.triton,
            "GATEWAY_DRAIN_S": "0",  # everything ends within 5 s
        }
        self._start_part(
            Part(
                "The gateway",
                [sys.executable, "-m", "gateway"],
                environment,
                self._logs / "gateway.log",
                is_ready=lambda: _answers(settings.address),
                start_timeout_s=GATEWAY_START_TIMEOUT_S,
                grace_s=GATEWAY_GRACE_S,
                error_lines=tail,
                report=self._report,
            )
        )

    def _start_part(self, part: Part) -> None:
        """Wait until it is ready, or raise ServerError."""
        self._parts.append(part)
        part.launch()
        self._report(f"{part.name} is starting (its log: {shown(part.log)}) ...")
        part.wait_until_ready(self.check_parts)


def _silero_vad() -> Path:
    return OUTPUT / fetch_weights.SILERO_VAD_FILE


def _answers(address: str) -> bool:
    """Whether the gateway calls itself ready."""
    connection = http.client.HTTPConnection(address, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
