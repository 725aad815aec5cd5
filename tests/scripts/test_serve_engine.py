"""Triton starts with the engine's own profile, or not at all and with a line that says why."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline.engine_manifest import BuiltOn, EngineFile, EngineLimits, EngineManifest
from scripts import serve_engine
from scripts.preflight import free_port
from tests.build.engine.support import H100, SLICE, FakeMachine
from tests.processes import until

ROOT = Path(__file__).resolve().parents[2]
LIMITS = EngineLimits(
    encoder_max_batch_size=16,
    decoder_max_batch_size=64,
    max_beam_width=1,
    max_input_len=228,
    max_seq_len=448,
    max_encoder_input_len=3000,
)
FILES = ("tokenizer.json", "encoder/rank0.engine", "decoder/rank0.engine")
RECORDER = """#!/bin/sh
# In the place of tritonserver: notes what it was given, and lives until it is told to stop.
echo "$0" "$@" > "$RECORD"
env >> "$RECORD.env"
echo $$ > "$RECORD.pid"
exec sleep 60
"""


def write_engine(folder: Path, profile: str = "h100") -> Path:
    """An engine's folder with its manifest; the files are small."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    gpu = SLICE if "mig" in profile else H100
    manifest = EngineManifest(
        model="large-v3",
        precision="float16",
        profile=profile,
        image="the pinned one",
        tensorrt_llm="1.2.1",
        tensorrt="10.14.1.48",
        cuda="13.1",
        gpu=BuiltOn(
            name=gpu.name,
            mig_profile=gpu.mig_profile,
            memory_mib=gpu.memory_mib,
            compute_capability=gpu.compute_capability,
        ),
        limits=LIMITS,
        n_mels=128,
        vocab_size=51866,
        files={
            name: EngineFile(bytes=len(name), sha256=hashlib.sha256(name.encode()).hexdigest())
            for name in FILES
        },
        commands={},
        built_at="2026-11-27T03:00:00+00:00",
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a container has: an engine, the files of the stages, a `tritonserver`, free ports."""
    engine = write_engine(tmp_path / "engine")
    monkeypatch.setattr(serve_engine, "ENGINE", engine)
    (tmp_path / "companion").mkdir()
    (tmp_path / "companion/model.bin").touch()
    (tmp_path / "vad.onnx").touch()
    program = tmp_path / "bin/tritonserver"
    program.parent.mkdir()
    program.write_text(RECORDER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return {
        "PATH": os.environ["PATH"],
        "RECORD": str(tmp_path / "record"),
        "WHISPER_MODEL_DIR": str(engine),
        "WHISPER_COMPANION_DIR": str(tmp_path / "companion"),
        "SILERO_VAD_ONNX": str(tmp_path / "vad.onnx"),
        "TRITON_GRPC_PORT": str(free_port()),
        "TRITON_HTTP_PORT": str(free_port()),
        "TRITON_METRICS_PORT": str(free_port()),
    }


def refusal(
    environment: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    machine: FakeMachine | None = None,
    repository: Path = serve_engine.REPOSITORY,
) -> list[str]:
    """The lines with which nothing was started."""
    machine = machine or FakeMachine()
    assert serve_engine.main(list(arguments), environment, machine, repository) == 1
    assert not Path(environment["RECORD"]).exists()
    return capsys.readouterr().err.splitlines()


def started(environment: Mapping[str, str], signal_number: int = signal.SIGTERM) -> list[str]:
    """The command line with which Triton was started; it has ended by the signal."""
    code = (
        "import sys, pathlib\n"
        "from scripts import serve_engine\n"
        "from tests.build.engine.support import FakeMachine, SLICE\n"
        f"serve_engine.ENGINE = pathlib.Path({environment['WHISPER_MODEL_DIR']!r})\n"
        "machine = FakeMachine([SLICE]) if 'slice' in sys.argv else FakeMachine()\n"
        "sys.exit(serve_engine.main([], machine=machine))\n"
    )
    manifest = json.loads((Path(environment["WHISPER_MODEL_DIR"]) / "manifest.json").read_text())
    kind = ["slice"] if manifest["gpu"]["mig_profile"] else []
    told = {"PYTHONPATH": str(ROOT), **environment}
    record = Path(environment["RECORD"])
    with subprocess.Popen([sys.executable, "-c", code, *kind], env=told) as process:
        pid = record.with_suffix(".pid")
        until(lambda: pid.exists() and bool(pid.read_text().strip()))
        assert psutil.Process(int(pid.read_text())).ppid() == process.pid
        process.send_signal(signal_number)
        assert process.wait(5) == 128 + signal_number
    return record.read_text().split()


def test_the_process_runs_triton_and_signals_reach_it(environment: dict[str, str]) -> None:
    program, *options = started(environment)
    assert program.endswith("/bin/tritonserver")
    assert f"--model-repository={ROOT / 'model_repository'}" in options
    assert "--model-config-name=h100" in options
    assert f"--grpc-port={environment['TRITON_GRPC_PORT']}" in options
    assert f"--http-port={environment['TRITON_HTTP_PORT']}" in options
    assert f"--metrics-port={environment['TRITON_METRICS_PORT']}" in options
    assert "--grpc-address=127.0.0.1" in options
    assert "--allow-gpu-metrics=true" in options


def test_a_slice_is_not_asked_for_gpu_metrics(environment: dict[str, str]) -> None:
    write_engine(Path(environment["WHISPER_MODEL_DIR"]), "h100-mig-3g.40gb")
    options = started({**environment, "TRITON_HOST": "0.0.0.0"})
    assert "--model-config-name=h100-mig-3g.40gb" in options
    assert "--allow-gpu-metrics=false" in options
    assert "--grpc-address=0.0.0.0" in options
    assert "--metrics-address=0.0.0.0" in options
    assert "--http-address=127.0.0.1" in options


def test_the_stages_find_code_and_weights(environment: dict[str, str]) -> None:
    started({**environment, "PYTHONPATH": f"{ROOT}:/packages"})
    told = dict(
        line.split("=", 1)
        for line in Path(f"{environment['RECORD']}.env").read_text().splitlines()
        if "=" in line
    )
    assert told["PYTHONPATH"] == f"{ROOT}:{ROOT}:/packages"
    assert told["OMP_NUM_THREADS"] == "1"
    assert told["WHISPER_MODEL_DIR"] == environment["WHISPER_MODEL_DIR"]
    assert not [name for name in told if name.startswith("MALLOC_")]


def test_without_settings_everything_is_where_an_image_has_it() -> None:
    told = serve_engine.stage_environment({})
    assert told["WHISPER_MODEL_DIR"] == "/engine"
    assert told["WHISPER_COMPANION_DIR"] == str(ROOT / "build/output/whisper/base")
    assert told["SILERO_VAD_ONNX"] == str(ROOT / "build/output/silero_vad_16k_op15.onnx")


def test_the_engines_place_is_the_configurations() -> None:
    config = (ROOT / "model_repository/whisper/config.pbtxt").read_text()
    assert f'"{serve_engine.ENGINE}/decoder"' in config
    assert f'"{serve_engine.ENGINE}/encoder"' in config


def test_a_check_starts_nothing_and_reads_every_byte(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Path(environment["WHISPER_MODEL_DIR"])
    assert serve_engine.main(["--check"], environment, FakeMachine()) == 0
    assert f"{engine} is whole and fits: large-v3 (float16) for h100" in capsys.readouterr().out
    (engine / FILES[0]).write_text(FILES[0].upper())
    (line,) = refusal(environment, capsys, "--check")
    assert "tokenizer.json is damaged" in line


def test_a_missing_engine_is_one_line_with_the_command_that_builds_it(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (line,) = refusal({**environment, "WHISPER_MODEL_DIR": str(tmp_path / "none")}, capsys)
    assert line.startswith(f"serve_engine.py: there is no engine at {tmp_path / 'none'}")
    assert "docker compose run --rm build-engine --profile" in line


def test_an_engine_of_another_gpu_is_refused(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(H100, name="NVIDIA L40S")
    (line,) = refusal(environment, capsys, machine=FakeMachine([other]))
    assert "was built on NVIDIA H100 80GB HBM3, and this is NVIDIA L40S" in line


def test_every_missing_file_has_its_line(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "vad.onnx").unlink()
    (tmp_path / "companion/model.bin").unlink()
    companion, vad = refusal(environment, capsys)
    assert (
        "companion/model.bin is missing: fetch it with python build/fetch_weights.py" in companion
    )
    assert "or set SILERO_VAD_ONNX" in vad


def test_an_engine_that_triton_would_not_read_is_refused(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = write_engine(tmp_path / "other")
    (line,) = refusal({**environment, "WHISPER_MODEL_DIR": str(other)}, capsys)
    assert line.endswith(f"ln -sfn {other} {environment['WHISPER_MODEL_DIR']}")


def test_a_profile_without_a_configuration_is_refused(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    engine = write_engine(Path(environment["WHISPER_MODEL_DIR"]), "h100-mig-3g.40gb")
    assert engine.is_dir()
    machine = FakeMachine([SLICE])
    (line,) = refusal(environment, capsys, machine=machine, repository=tmp_path)
    assert "h100-mig-3g.40gb.pbtxt is missing" in line
    assert "Triton would take h100's numbers" in line


def test_a_second_triton_is_refused_before_it_loads_anything(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", int(environment["TRITON_HTTP_PORT"]))):
        (line,) = refusal(environment, capsys)
    assert f"port {environment['TRITON_HTTP_PORT']} on 127.0.0.1 is in use" in line
    assert line.endswith("TRITON_HTTP_PORT")


def test_a_port_that_is_none_is_refused(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = refusal({**environment, "TRITON_METRICS_PORT": "x"}, capsys)
    assert "TRITON_METRICS_PORT='x' cannot be used" in line


def test_a_machine_without_triton_is_told(
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(serve_engine, "PROGRAM", tmp_path / "tritonserver")
    (line,) = refusal(environment, capsys)
    assert line.endswith(f"{tmp_path / 'tritonserver'} cannot be run: there is no such program")
