"""Twenty thousand generated sessions, in virtual time. What must hold of each: see `fuzzing`."""

import gc
import logging
import sys
from collections.abc import Iterator

import pytest

from pipeline.audio import SAMPLE_RATE
from tests.gateway import virtual_time
from tests.gateway.fuzzing import Complaints, Tally, run_batch
from tests.gateway.memory_triton import Faults

SIDE_BY_SIDE = 10
SESSIONS = 2000
WELL = Faults(late=0.2)
ILL = Faults(late=0.2, error=0.01, broken=0.02, lost=0.005)
LEFT_PER_SESSION = 0.5
"""Objects. A session that leaks would leave hundreds; caches that fill up leave a few in all."""


@pytest.fixture(autouse=True)
def curious(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated sessions are short: ask them more often how they would go on elsewhere."""
    monkeypatch.setattr("gateway.tape.ASK_SAMPLES", SAMPLE_RATE // 5)


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What is logged as an error. The rest would be a gigabyte."""
    handler, logger = Complaints(), logging.getLogger("gateway")
    level = logger.level
    logger.setLevel(logging.ERROR)
    logger.addHandler(handler)
    yield handler.texts
    logger.removeHandler(handler)
    logger.setLevel(level)


def run(first: int, count: int, faults: Faults) -> Tally:
    tally = Tally()
    for seed in range(first, first + count, SIDE_BY_SIDE):
        virtual_time.run(run_batch(range(seed, seed + SIDE_BY_SIDE), faults, tally))
    return tally


@pytest.mark.parametrize("part", range(5))
def test_no_client_brings_a_session_down(part: int, complaints: list[str]) -> None:
    tally = run(part * SESSIONS, SESSIONS, WELL)
    assert complaints == []
    assert sum(tally.codes.values()) == SESSIONS
    assert set(tally.codes) == {1000, 1002, 1007, 1008, 1009, 1012, 1013}
    assert tally.with_known_finals > SESSIONS / 4


@pytest.mark.parametrize("part", range(5, 10))
def test_no_client_loses_a_word_whatever_becomes_of_triton(
    part: int, complaints: list[str]
) -> None:
    tally = run(part * SESSIONS, SESSIONS, ILL)
    assert complaints == []
    assert tally.codes[1011] < SESSIONS / 10
    assert tally.with_known_finals > SESSIONS / 4


@pytest.mark.parametrize("seed", [3842, 4109, 9154])
def test_an_end_that_was_answered_before_a_final_is_still_owed_when_triton_is_lost(
    seed: int, complaints: list[str]
) -> None:
    run(seed // SIDE_BY_SIDE * SIDE_BY_SIDE, SIDE_BY_SIDE, ILL)
    assert complaints == []


def test_sessions_leave_no_memory_behind(complaints: list[str]) -> None:
    run(0, 300, ILL)  # what is made once
    objects, blocks = held()
    run(300, 900, ILL)
    objects_after, blocks_after = held()
    assert objects_after - objects < 900 * LEFT_PER_SESSION
    assert blocks_after - blocks < 900 * LEFT_PER_SESSION
    assert complaints == []


def held() -> tuple[int, int]:
    """Objects that the garbage collector knows, and blocks of memory."""
    gc.collect()
    return len(gc.get_objects()), sys.getallocatedblocks()
