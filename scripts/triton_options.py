"""What Triton is started with, whichever engine decodes and wherever it runs.

Options of its command line and the environment that helps its Python stages. It imports the
standard library alone, so that it also runs where only NVIDIA's own packages are.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOCAL = "127.0.0.1"
_EVERYWHERE = {"0.0.0.0": LOCAL, "::": "::1"}
HEADER_PATTERN = "^options$"
"""The gRPC header that becomes a request parameter of its name: perf_analyzer cannot send JSON in
any other way."""

TRACES = "TRITON_OTLP_ENDPOINT"
_NEVER = 2**31 - 1

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Stages and workers share the cores better than threads share a layer."""
AVX512_FLAGS = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"})


@dataclass(frozen=True)
class Endpoints:
    """Where Triton listens."""

    host: str
    """For gRPC."""
    grpc_port: int
    metrics_port: int
    metrics_host: str = LOCAL
    http_port: int | None = None
    """For health checks on this machine; None: no HTTP at all."""

    def options(self) -> list[str]:
        """As Triton's command line says it."""
        http = [f"--http-address={LOCAL}", f"--http-port={self.http_port}"]
        return [
            *(["--allow-http=false"] if self.http_port is None else http),
            f"--grpc-address={self.host}",
            f"--grpc-port={self.grpc_port}",
            "--allow-metrics=true",
            f"--metrics-address={self.metrics_host}",
            f"--metrics-port={self.metrics_port}",
        ]


def options(
    repository: Path,
    configuration: str,
    endpoints: Endpoints,
    shared_memory: str,
    *,
    gpu_metrics: bool,
    exit_timeout_s: int,
) -> list[str]:
    """Triton's options.

    Models with a `configs/<configuration>.pbtxt` take that, the others their `config.pbtxt`.
    `shared_memory` is the prefix of its regions' names; streams that are open when it is told to
    stop have `exit_timeout_s` to end.
    """
    return [
        f"--model-repository={repository}",
        f"--model-config-name={configuration}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        *endpoints.options(),
        f"--grpc-header-forward-pattern={HEADER_PATTERN}",
        f"--allow-gpu-metrics={str(gpu_metrics).lower()}",
        f"--exit-timeout-secs={exit_timeout_s}",
    ]


def reachable(host: str) -> str:
    """Where a client on this machine reaches a server that listens at `host`, maybe everywhere."""
    return _EVERYWHERE.get(host, host)


def trace_options(environment: Mapping[str, str]) -> list[str]:
    """What sends Triton's spans to OpenTelemetry's collector, if `TRITON_OTLP_ENDPOINT` names one
    (OTLP over HTTP: `http://collector:4318/v1/traces`).

    Triton traces the requests of streams that carry a trace's context, and of the others one in two
    thousand million, which is to say none. It may crash when traced hops of one stream overlap:
    docs/operations.md.
    """
    endpoint = environment.get(TRACES)
    if not endpoint:
        return []
    return [
        "--trace-config=mode=opentelemetry",
        f"--trace-config=opentelemetry,url={endpoint}",
        "--trace-config=level=TIMESTAMPS",
        f"--trace-config=rate={_NEVER}",
    ]


def instruction_set() -> dict[str, str]:
    """CTranslate2 does not use AVX-512 by itself on processors that are not Intel's."""
    return {"CT2_FORCE_CPU_ISA": "AVX512"} if _cpu_flags() >= AVX512_FLAGS else {}


def joined(*paths: Path | str | None) -> str:
    """Folders as PATH and its like hold them, without those that are None or empty."""
    return os.pathsep.join(str(path) for path in paths if path)


def _cpu_flags() -> frozenset[str]:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()
