"""The engine's times without Triton, with the real engine and few windows."""

import pytest

from scripts import engine_times

FEW = ["--windows", "2", "--batches", "1,2", "--threads", "1x2"]


def test_both_halves_and_the_whole_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert engine_times.main(FEW) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = [cells for cells in lines if cells and cells[0].isdigit()]
    assert [cells[:2] for cells in rows] == [
        ["1", "final"],
        ["2", "final"],
        ["1", "partial"],
        ["2", "partial"],
        ["2", "final"],
        ["2", "partial"],
    ]
    assert all(float(cells[-1]) > 0 for cells in rows)


def test_threads_and_their_batches_are_named_together() -> None:
    with pytest.raises(SystemExit):
        engine_times.main(["--threads", "4"])
