"""Triton's options and the environment of its stages, for every engine."""

from pathlib import Path

import pytest

from scripts import triton_options
from scripts.triton_options import (
    AVX512_FLAGS,
    Endpoints,
    instruction_set,
    joined,
    options,
    trace_options,
)


def test_the_models_configuration_and_every_endpoint_are_named() -> None:
    told = options(
        Path("/models"),
        "h100",
        Endpoints("0.0.0.0", 8001, 8002, metrics_host="0.0.0.0", http_port=8000),
        "whisper_",
        gpu_metrics=True,
        exit_timeout_s=5,
    )
    assert told == [
        "--model-repository=/models",
        "--model-config-name=h100",
        "--backend-config=python,shm-region-prefix-name=whisper_",
        "--http-address=127.0.0.1",
        "--http-port=8000",
        "--grpc-address=0.0.0.0",
        "--grpc-port=8001",
        "--allow-metrics=true",
        "--metrics-address=0.0.0.0",
        "--metrics-port=8002",
        "--grpc-header-forward-pattern=^options$",
        "--allow-gpu-metrics=true",
        "--exit-timeout-secs=5",
    ]


def test_without_an_http_port_there_is_no_http() -> None:
    told = Endpoints("127.0.0.1", 8001, 8002).options()
    assert "--allow-http=false" in told
    assert not any(option.startswith("--http") for option in told)


def test_avx512_is_forced_only_where_all_of_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_options, "_cpu_flags", lambda: AVX512_FLAGS | {"sse2"})
    assert instruction_set() == {"CT2_FORCE_CPU_ISA": "AVX512"}
    monkeypatch.setattr(triton_options, "_cpu_flags", lambda: AVX512_FLAGS - {"avx512_vnni"})
    assert instruction_set() == {}


def test_folders_that_are_not_there_leave_no_gap_in_a_path() -> None:
    assert joined(Path("/a"), None, "", "/b:/c") == "/a:/b:/c"


@pytest.mark.parametrize("environment", [{}, {"TRITON_OTLP_ENDPOINT": ""}])
def test_triton_sends_no_traces_unless_asked(environment: dict[str, str]) -> None:
    assert trace_options(environment) == []


def test_triton_traces_what_carries_a_context_and_samples_nothing_by_itself() -> None:
    endpoint = "http://collector:4318/v1/traces"
    options = trace_options({"TRITON_OTLP_ENDPOINT": endpoint})
    assert f"--trace-config=opentelemetry,url={endpoint}" in options
    assert "--trace-config=rate=2147483647" in options
