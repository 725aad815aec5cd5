"""What is read from the files of real runs of perf_analyzer, and the tables made of it."""

import json
from pathlib import Path

import pytest

from scripts.load.metrics import Quantiles
from scripts.perf import program, table
from scripts.perf.engine import EngineStep, EngineTest
from scripts.perf.ensemble import EnsembleStep, EnsembleTest
from scripts.perf.report import (
    EARLY,
    FINAL,
    PARTIAL,
    Hops,
    Report,
    ReportError,
    read_hops,
    read_report,
)

DATA = Path(__file__).parents[1] / "data/perf_analyzer"
EXPORT = DATA / "ensemble_export.json"

ENSEMBLE = EnsembleTest("host:1", [], 160, 30.0, None)
ENGINE = EngineTest("host:1", {}, lambda audio, language: {}, 160, 5.0, 5.0, 10, 10.0)


def report(per_s: float, scale: float = 1.0) -> Report:
    return Report(per_s, 100 * scale, 180 * scale, 200 * scale, 250 * scale)


def times(number: int, p50: float | None, p95: float | None) -> Quantiles:
    return Quantiles(number, p50, p95, p95, p95)


def test_a_report_of_the_ensemble_gives_rate_and_milliseconds() -> None:
    found = read_report(DATA / "ensemble_report.csv")
    assert found == Report(0.799756, 271.274, 309.654, 309.654, 309.654)


def test_a_report_of_an_engine_has_other_columns_and_gives_the_same() -> None:
    found = read_report(DATA / "whisper_report.csv")
    assert found.per_s > 1
    assert 0 < found.p50_ms <= found.p90_ms <= found.p95_ms <= found.p99_ms


def test_an_export_tells_hops_and_the_kinds_of_their_answers() -> None:
    hops = read_hops(EXPORT)
    numbers = {kind: values.number for kind, values in hops.answers_ms.items()}
    assert (hops.sent, hops.answered) == (26, 4)
    assert numbers == {PARTIAL: 2, EARLY: 0, FINAL: 2}


def test_times_are_from_sending_a_hop_to_its_answer() -> None:
    hops = read_hops(EXPORT)
    longest = max(values.most or 0 for values in hops.answers_ms.values())
    assert longest == pytest.approx(read_report(DATA / "ensemble_report.csv").p99_ms, abs=0.001)


def test_a_window_that_nobody_asked_for_is_an_early_one(tmp_path: Path) -> None:
    document = json.loads(EXPORT.read_text())
    requests = document["experiments"][0]["requests"]
    answered = next(r for r in requests if r["response_outputs"][0]["TRANSCRIPT"])
    answered["response_outputs"][0]["TRANSCRIPT"] = ""
    path = tmp_path / "export.json"
    path.write_text(json.dumps(document))
    assert read_hops(path).answers_ms[EARLY].number == 1
    assert read_hops(path).answered == 4


@pytest.mark.parametrize("text", ["", "Concurrency,Inferences/Second\n", "a,b\n1,2\n"])
def test_a_file_that_is_no_report_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.csv"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"report\.csv is no report of perf_analyzer"):
        read_report(path)


@pytest.mark.parametrize("text", ["", "{}", '{"experiments": []}'])
def test_a_file_that_is_no_export_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"export\.json is no export of perf_analyzer"):
        read_hops(path)


def test_a_report_that_was_never_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"report\.csv"):
        read_report(tmp_path / "report.csv")


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("unstable_errors.txt", "Failed to obtain stable measurement within 4 measurement windows"),
        ("unanswered_errors.txt", "No valid requests recorded within time interval."),
    ],
)
def test_of_a_failure_its_own_first_line_is_shown(tmp_path: Path, file: str, told: str) -> None:
    (tmp_path / program.ERRORS_FILE).write_text((DATA / file).read_text())
    (tmp_path / program.OUTPUT_FILE).write_text("Request concurrency: 4\n")
    assert program.reason(tmp_path).startswith(told)


def test_a_failure_that_says_nothing_of_errors_is_shown_by_its_last_line(tmp_path: Path) -> None:
    (tmp_path / program.ERRORS_FILE).touch()
    (tmp_path / program.OUTPUT_FILE).write_text("one\ntwo\n\n")
    assert program.reason(tmp_path) == "two"


def test_the_ensembles_row_tells_hops_answers_and_kinds() -> None:
    kinds = {PARTIAL: times(40, 120, 240.4), EARLY: times(0, None, None), FINAL: times(9, 7, 90)}
    first = EnsembleStep(1, report(1.0), Hops(188, {**kinds, PARTIAL: times(20, 1, 2)}))
    step = EnsembleStep(2, report(2.0, 1.5), Hops(376, kinds))
    assert dict(zip(ENSEMBLE.columns, ENSEMBLE.cells(step, first), strict=True)) == {
        "streams": "2",
        "hops": "376",
        "answered": "49",
        "answer ms p50 / p90 / p95 / p99": "150 / 270 / 300 / 375",
        "p95 to first row": "1.50",
        "partials: ms p50 / p95": "40: 120 / 240",
        "early: ms p50 / p95": "0: - / -",
        "finals: ms p50 / p95": "9: 7 / 90",
    }


def test_the_engines_row_is_in_terms_of_the_first() -> None:
    first, step = EngineStep(1, report(4.0)), EngineStep(4, report(10.0, 1.6))
    assert dict(zip(ENGINE.columns, ENGINE.cells(step, first), strict=True)) == {
        "windows under way": "4",
        "windows/s": "10.00",
        "to first row": "2.50",
        "speech s per s": "50.0",
        "window ms p50 / p90 / p95 / p99": "160 / 288 / 320 / 400",
        "p50 to first row": "1.60",
    }


def test_a_tables_columns_are_aligned() -> None:
    assert list(table.plain(("a", "long"), [("123", "4")])) == ["  a  long", "123     4"]


def test_a_document_has_circumstances_table_and_remarks() -> None:
    assert list(table.markdown({"machine": "Abacus"}, ("a", "b"), [("1", "2")], ["slow"])) == [
        "- machine: Abacus",
        "",
        "| a | b |",
        "| ---: | ---: |",
        "| 1 | 2 |",
        "",
        "- slow",
    ]


def test_without_remarks_a_document_ends_in_its_table() -> None:
    assert list(table.markdown({}, ("a",), [("1",)], []))[-1] == "| 1 |"
