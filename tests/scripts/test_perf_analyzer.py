"""`scripts/perf_analyzer.py`: what it tells perf_analyzer, what it reports, and its errors."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from pipeline.audio import SAMPLE_RATE
from pipeline.contract import ENSEMBLE, OPTIONS_PARAMETER, WHISPER
from pipeline.options import StreamOptions
from scripts import perf_analyzer
from scripts.load.processes import Sample, Usage, Watched
from scripts.perf import machine, program
from scripts.perf.machine import Meter, Used
from scripts.triton_options import HEADER_PATTERN
from tests.scripts.fake_measured_triton import FakeMeasuredTriton

FAKE = Path(__file__).parent / "fake_perf_analyzer.py"
DATA = Path(__file__).parents[1] / "data/perf_analyzer"
NOISE = np.random.default_rng(1)


@pytest.fixture
def triton() -> Iterator[FakeMeasuredTriton]:
    with FakeMeasuredTriton() as running:
        yield running


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "speech.wav"
    pcm = NOISE.integers(-99, 99, 7 * SAMPLE_RATE).astype(np.int16)
    soundfile.write(path, pcm, SAMPLE_RATE)
    return str(path)


@pytest.fixture(autouse=True)
def starter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "program", lambda: [sys.executable, "-S", str(FAKE), str(DATA)])


def run(triton: FakeMeasuredTriton, what: str, recording: str, *more: str) -> int:
    output = Path(recording).parent / "output"
    where = ["--triton", triton.address, "--output", str(output)]
    return perf_analyzer.main([what, recording, *where, *more])


def commands(recording: str, what: str) -> list[list[str]]:
    """perf_analyzer's arguments of each step."""
    folder = Path(recording).parent / "output" / what
    steps = sorted((int(path.name), path) for path in folder.iterdir())
    return [(path / program.COMMAND_FILE).read_text().split()[4:] for _, path in steps]


def test_streams_come_in_real_time_one_thread_each(
    triton: FakeMeasuredTriton, recording: str
) -> None:
    assert run(triton, "ensemble", recording, "--streams", "1,4", "--duration", "8") == 0
    for streams, line in zip((1, 4), commands(recording, "ensemble"), strict=True):
        assert line[:8] == [
            "-m",
            ENSEMBLE,
            "-u",
            triton.address,
            *"-i grpc --async".split(),
            line[7],
        ]
        assert line[7] == "--streaming"
        assert f"--request-rate-range={streams * 6.25:g}" in line
        assert f"--num-of-sequences={streams}" in line
        assert f"--max-threads={streams}" in line
        assert f"--request-count={streams * 50}" in line


def test_options_go_in_a_header_since_a_parameter_cannot_hold_a_colon(
    triton: FakeMeasuredTriton, recording: str
) -> None:
    assert run(triton, "ensemble", recording, "--streams=1", "--interval=0.5", "--language=es") == 0
    (line,) = commands(recording, "ensemble")
    name, _, value = " ".join(line[line.index("-H") + 1 :]).strip("'").partition(":")
    assert name == OPTIONS_PARAMETER
    asked = StreamOptions.model_validate_json(value)
    assert asked == StreamOptions(language="es", partials=True, partial_interval_s=0.5)


def test_a_triton_that_forwards_no_header_is_measured_by_its_defaults_and_it_is_said(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeMeasuredTriton(forwards_options=False) as triton:
        assert run(triton, "ensemble", recording, "--streams", "1") == 0
    assert "-H" not in commands(recording, "ensemble")[0]
    assert f"--grpc-header-forward-pattern={HEADER_PATTERN}" in capsys.readouterr().out


def test_the_header_that_triton_forwards_is_the_contracts_parameter() -> None:
    assert re.search(HEADER_PATTERN, OPTIONS_PARAMETER)
    assert not re.search(HEADER_PATTERN, f"{OPTIONS_PARAMETER}2")


def test_ids_of_sequences_fit_into_what_perf_analyzer_reads(
    triton: FakeMeasuredTriton, recording: str
) -> None:
    assert run(triton, "ensemble", recording, "--streams", "1,2") == 0
    for line in commands(recording, "ensemble"):
        ids = next(each for each in line if each.startswith("--sequence-id-range="))
        first, end = map(int, ids.partition("=")[2].split(":"))
        assert 0 < first < end < 2**31


def test_the_engine_gets_different_windows_in_every_step(
    triton: FakeMeasuredTriton, recording: str
) -> None:
    assert run(triton, "whisper", recording, "--concurrency", "1,8", "--measure-s", "2") == 0
    for concurrency, line in zip((1, 8), commands(recording, "whisper"), strict=True):
        assert line[:4] == ["-m", WHISPER, "-u", triton.address]
        assert f"--concurrency-range={concurrency}" in line
        assert "--measurement-interval=2000" in line
        assert "--streaming" not in line
    asked = [audio.tobytes() for audio in triton.windows[1:]]  # the first shows what it makes
    assert len(asked) == len(set(asked)) == 2 * 160


def test_features_are_the_servers_own(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeMeasuredTriton(n_mels=128, backend="tensorrtllm") as triton:
        assert run(triton, "whisper", recording, "--concurrency", "1", "--windows", "3") == 0
    told = capsys.readouterr().out
    assert "4 frames of 128 mel bins" in told
    assert "whisper on the backend tensorrtllm" in told
    sent = json.loads((Path(recording).parent / "output/whisper/1/input.json").read_text())
    assert [each["encoder_input_features"]["shape"] for each in sent["data"]] == [[4, 128]] * 3


def test_too_few_windows_for_an_engine_that_remembers_are_refused(
    triton: FakeMeasuredTriton, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(triton, "whisper", recording, "--windows", "100") == 2
    assert "fewer than 160 different windows would measure its memory" in capsys.readouterr().err


def test_tables_go_where_they_are_asked_for(
    triton: FakeMeasuredTriton, recording: str, tmp_path: Path
) -> None:
    outputs = {kind: tmp_path / "new" / f"out.{kind}" for kind in ("json", "markdown")}
    flags = [f"--{kind}={path}" for kind, path in outputs.items()]
    assert run(triton, "ensemble", recording, "--streams", "1,2", *flags) == 0
    document = json.loads(outputs["json"].read_text())
    assert [step["streams"] for step in document["steps"]] == [1, 2]
    assert document["steps"][0]["hops"]["answered"] == 4
    assert document["facts"]["server"] == "Triton 2.99.0, whisper on the backend python"
    lines = outputs["markdown"].read_text().splitlines()
    assert sum(line.startswith(("| 1 ", "| 2 ")) for line in lines) == 2
    assert any(line.startswith("- perf_analyzer: `perf_analyzer -m streaming_w") for line in lines)


def test_a_step_without_a_stable_measurement_says_so_and_the_next_one_follows(
    triton: FakeMeasuredTriton,
    recording: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_SAYS", "unstable_errors.txt")
    monkeypatch.setenv("FAKE_FAILS_AT", "4")
    assert run(triton, "whisper", recording, "--concurrency", "4,8") == 1
    told = capsys.readouterr().out
    assert "4 windows under way: perf_analyzer says: Failed to obtain stable measurement" in told
    assert "measure for longer with --measure-s, or accept more deviation" in told
    assert any(line.split()[:1] == ["8"] for line in told.splitlines())


def test_recordings_that_get_no_answer_say_what_to_give(
    triton: FakeMeasuredTriton,
    recording: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_SAYS", "unanswered_errors.txt")
    assert run(triton, "ensemble", recording, "--streams", "1") == 1
    told = capsys.readouterr().out
    assert "1 stream for 30 s: perf_analyzer says: No valid requests recorded" in told
    assert "recordings with more speech" in told


def test_what_perf_analyzer_warns_of_is_shown(
    triton: FakeMeasuredTriton,
    recording: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = "Perf Analyzer was not able to keep up with the desired request rate."
    monkeypatch.setenv("FAKE_WARNS", f"    [WARNING] {said} 3% of the requests were delayed.")
    assert run(triton, "ensemble", recording, "--streams", "2") == 0
    assert f"2 streams for 30 s: {said}" in capsys.readouterr().out


def test_a_server_elsewhere_is_not_looked_into() -> None:
    assert Meter.of_server("192.0.2.1:8001").used() == Used()


def test_others_are_neither_the_server_nor_perf_analyzer_nor_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = iter(
        [
            Sample({"whisper": Usage(10.0)}, Usage(1.0), 100.0),
            Sample({"whisper": Usage(13.0), "gateway": Usage(1.0)}, Usage(1.5), 110.0),
        ]
    )
    children, clock = iter([0.0, 2.0]), iter([50.0, 60.0])
    monkeypatch.setattr(machine, "sample", lambda server: next(taken))
    monkeypatch.setattr(machine, "_children_s", lambda: next(children))
    monkeypatch.setattr(machine, "monotonic", lambda: next(clock))
    meter = Meter([Watched("whisper", psutil.Process())])
    used = meter.used()
    assert used.server_cores == pytest.approx(0.4)
    assert used.others_cores == pytest.approx(0.35)


def test_a_machine_that_is_not_calm_is_remarked_upon() -> None:
    assert list(Used(1.0, 0.1).remarks()) == list(Used().remarks()) == []
    assert list(Used(1.0, 0.5).remarks()) == ["others on the machine took 0.50 cores meanwhile"]


def test_nothing_that_listens_is_one_line(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert perf_analyzer.main(["ensemble", recording, "--triton", "127.0.0.1:9"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Triton at 127.0.0.1:9 cannot be asked" in told
    assert "make run" in told


def test_a_model_that_is_not_served_is_named(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeMeasuredTriton(models=(WHISPER,)) as triton:
        assert run(triton, "whisper", recording) == 1
    assert "has no model log_mel that is ready" in capsys.readouterr().err


def test_a_program_that_is_missing_names_the_target_that_fetches_it(
    triton: FakeMeasuredTriton,
    recording: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("build.fetch_perf_analyzer.is_runnable", lambda: False)
    assert run(triton, "ensemble", recording) == 1
    assert "perf_analyzer is missing: fetch it with make perf" in capsys.readouterr().err


def test_a_run_that_does_not_end_is_ended(tmp_path: Path) -> None:
    seen: list[float] = []
    with pytest.raises(program.ProgramError, match="has not ended after 0 s"):
        program.run(["sleep", "60"], tmp_path, 0.2, seen.append)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--hop-ms=100", "100 is no multiple of 32 ms"),
        ("--hop-ms=2016", "2016 is no multiple of 32 ms"),
        ("--streams=0", "0 is not at least 1"),
        ("--interval=0.05", "0.05 is neither 0 nor 0.1 to 30 s"),
        ("--language=xx", "'xx' is not a language Whisper knows"),
    ],
)
def test_bad_usage_names_what_is_accepted(
    flag: str, told: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        perf_analyzer.main(["ensemble", recording, flag])
    assert raised.value.code == 2
    assert told in capsys.readouterr().err


def test_a_recording_that_is_not_there_is_bad_usage(
    triton: FakeMeasuredTriton, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(triton, "ensemble", str(tmp_path / "nothing.wav")) == 2
    assert "there is no such file" in capsys.readouterr().err
