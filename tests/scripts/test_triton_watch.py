"""A Triton that works no more is condemned, and one that is busy, slow or young is not.

`tests/end_to_end/test_failover.py` watches real ones.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import triton_watch
from scripts.stage_processes import stage_processes
from scripts.triton_pulse import Patience
from scripts.triton_watch import TritonWatch
from tests.processes import until
from tests.scripts.fake_triton import Answer, FakeTriton

PATIENCE = Patience(quiet_s=0.1, failing_s=0.05, canary_s=0.2, canaries=2)
CONDEMNED_S = PATIENCE.quiet_s + 2 * (PATIENCE.canary_s + PATIENCE.failing_s)
FINAL = Answer({"is_final": True})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_watch, "POLL_S", 0.01)


@pytest.fixture
def triton() -> Iterator[FakeTriton]:
    """One that answers the canary's second hop, its END, with a final."""
    with FakeTriton(answers={1: FINAL}) as running:
        yield running


@pytest.fixture
def watch(triton: FakeTriton) -> Iterator[TritonWatch]:
    watch = TritonWatch(os.getpid(), triton.address, PATIENCE)
    yield watch
    watch.close()


def canaries(triton: FakeTriton) -> int:
    return sum(hop.parameters["sequence_start"] for hop in triton.hops)


def verdict(watch: TritonWatch) -> str:
    until(lambda: watch.verdict is not None)
    assert watch.verdict is not None
    return watch.verdict


def test_one_that_answers_its_canaries_is_well(triton: FakeTriton, watch: TritonWatch) -> None:
    until(lambda: canaries(triton) >= 5)
    assert watch.verdict is None
    audio, end = triton.hops[:2]
    assert len(audio.audio) == 2 * 16_000
    assert audio.parameters["sequence_id"] != triton.hops[2].parameters["sequence_id"]
    assert end.parameters["sequence_end"] is True


def test_one_that_answers_nothing_is_condemned(triton: FakeTriton, watch: TritonWatch) -> None:
    triton.silent = True
    assert "2 recordings of our own included (no answer within 0.2 s)" in verdict(watch)


def test_one_that_answers_with_errors_is_condemned_with_the_error(
    triton: FakeTriton, watch: TritonWatch
) -> None:
    triton.error_at = 0
    assert "(the stage is on fire)" in verdict(watch)


def test_an_answer_without_a_final_is_none(triton: FakeTriton, watch: TritonWatch) -> None:
    triton.answers = {}
    assert "no answer within" in verdict(watch)


def test_one_that_finishes_others_transcripts_is_not_even_asked(
    triton: FakeTriton, watch: TritonWatch
) -> None:
    triton.busy = triton.silent = True
    time.sleep(CONDEMNED_S)
    assert watch.verdict is None
    assert canaries(triton) == 0


def test_life_while_a_canary_is_on_its_way_saves_it(triton: FakeTriton, watch: TritonWatch) -> None:
    triton.silent = True
    for count in range(1, 5):
        until(lambda count=count: canaries(triton) >= count)  # type: ignore[misc]
        triton.finished += 1
    assert watch.verdict is None


def test_requests_that_fail_are_looked_into_at_once(triton: FakeTriton) -> None:
    triton.failing = True
    patience = Patience(quiet_s=60, failing_s=0.05, canary_s=0.2)
    watch = TritonWatch(os.getpid(), triton.address, patience)
    until(lambda: canaries(triton) >= 2)
    assert watch.verdict is None
    watch.close()


def test_one_that_does_not_count_is_asked(triton: FakeTriton, watch: TritonWatch) -> None:
    triton.mute = True
    until(lambda: canaries(triton) >= 3)
    assert watch.verdict is None


def test_one_that_is_not_ready_yet_is_waited_for() -> None:
    with FakeTriton(ready=False, silent=True) as triton:
        watch = TritonWatch(os.getpid(), triton.address, PATIENCE)
        time.sleep(CONDEMNED_S)
        assert watch.verdict is None
        assert triton.hops == []
        triton.ready = True
        assert "has transcribed nothing" in verdict(watch)


def test_one_that_is_gone_is_condemned(triton: FakeTriton, watch: TritonWatch) -> None:
    until(lambda: canaries(triton) >= 1)
    triton._server.stop(grace=0).wait()
    assert "has transcribed nothing" in verdict(watch)


def test_a_stage_that_has_ended_is_named_at_once(triton: FakeTriton, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", "/models/whisper/1/model.py"]
    with subprocess.Popen(command) as stage:
        until(lambda: bool(stage_processes(os.getpid())))
        watch = TritonWatch(os.getpid(), triton.address, PATIENCE)
        until(lambda: canaries(triton) >= 1)
        assert watch.verdict is None
        stage.send_signal(signal.SIGKILL)
        assert verdict(watch) == "has lost the process of its stage whisper"
    watch.close()


def test_a_watch_that_is_closed_says_nothing_more(triton: FakeTriton, watch: TritonWatch) -> None:
    until(lambda: canaries(triton) >= 1)
    watch.close()
    triton.silent = True
    time.sleep(CONDEMNED_S)
    assert watch.verdict is None
