"""The real Triton under scripts/perf_analyzer.py, and the real perf_analyzer where it is there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from build import fetch_perf_analyzer, fetch_weights
from pipeline.audio import SAMPLE_RATE
from pipeline.contract import ENGINE_INPUTS, ENSEMBLE, LOG_MEL, WHISPER
from pipeline.log_mel import LogMel, WindowPolicy
from pipeline.tokens import WhisperTokenizer
from scripts import perf_analyzer
from scripts.perf.server import MeasuredServer, window_info
from scripts.recording import read_recording
from scripts.server import Server, Settings

DATA = Path(__file__).parents[1] / "data"
SPEECH = DATA / "jfk.wav"

needs_the_program = pytest.mark.skipif(
    not fetch_perf_analyzer.is_runnable(),
    reason="perf_analyzer is not there: python build/fetch_perf_analyzer.py",
)


class NoDetector:
    """The language is always given here."""

    def detect(self, waveform: NDArray[np.float32], options: list[str]) -> tuple[str, float]:
        raise AssertionError(options)


@pytest.fixture
def measured(server: Server) -> MeasuredServer:
    return MeasuredServer(server.settings.gateway.triton)


def run(server: Server, tmp_path: Path, what: str, *more: str) -> dict[str, Any]:
    """The JSON of a run that has succeeded."""
    flags = [f"--triton={server.settings.gateway.triton}", f"--output={tmp_path}"]
    result = tmp_path / "result.json"
    assert perf_analyzer.main([what, str(SPEECH), *flags, f"--json={result}", *more]) == 0
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def test_the_embedded_server_takes_options_from_headers(measured: MeasuredServer) -> None:
    measured.check_ready(ENSEMBLE, LOG_MEL, WHISPER)
    assert measured.takes_options_from_headers()
    assert measured.remembers_windows()


def test_the_servers_features_are_the_pipelines(measured: MeasuredServer) -> None:
    audio = read_recording(SPEECH, SAMPLE_RATE).pcm[: 6 * SAMPLE_RATE]
    folder = fetch_weights.model_folder(Settings.model)
    stage = LogMel(WindowPolicy(), WhisperTokenizer(str(folder)), NoDetector())
    ours = stage.prepare(audio, window_info(len(audio), "en"))
    theirs = measured.engine_inputs(audio, "en")
    assert list(theirs) == [each.name for each in ENGINE_INPUTS]
    for name, array in theirs.items():
        assert array.dtype == ours[name].dtype
        assert np.array_equal(array, ours[name])


@needs_the_program
def test_perf_analyzer_gets_partials_and_finals_of_real_time_streams(
    server: Server, tmp_path: Path
) -> None:
    found = run(server, tmp_path, "ensemble", "--streams=2", "--duration=4", "--interval=0.5")
    (step,) = found["steps"]
    assert step["hops"]["sent"] >= 50
    assert step["hops"]["answers_ms"]["partial"]["number"] >= 4
    assert step["hops"]["answers_ms"]["final"]["number"] >= 2
    assert step["perf_analyzer"]["per_s"] > 0


@needs_the_program
def test_perf_analyzer_measures_the_engine_alone(server: Server, tmp_path: Path) -> None:
    flags = ["--measure-s=2", "--stability=10000", "--concurrency=2", "--speech-s=2"]
    (step,) = run(server, tmp_path, "whisper", *flags)["steps"]
    report = step["perf_analyzer"]
    assert report["per_s"] > 0
    assert 10 < report["p50_ms"] <= report["p99_ms"]
