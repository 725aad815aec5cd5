"""The soak test as people run it, against a server that only pretends; what it makes of hours."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.load.drift import MIB, Interval, drift, summary, table
from scripts.load_test import SPEECH, TEXTS
from tests.scripts.fake_gateway import FakeGateway, Session, end_audio, says, transcription

SCRIPT = Path(__file__).parents[2] / "scripts/soak.py"


def hours(memory_mib: list[float], finals_s: list[float]) -> list[Interval]:
    """An interval of an hour for each value."""
    return [
        Interval(
            ended_s=3600.0 * (number + 1),
            finals_s=[late] * 20,
            memory_bytes={"gateway": int(mib * MIB)},
        )
        for number, (mib, late) in enumerate(zip(memory_mib, finals_s, strict=True))
    ]


def test_memory_that_grows_shows_as_its_slope_and_the_first_intervals_are_left_out() -> None:
    found = drift(hours([500, 100, 103, 106, 109], [0.2] * 5))
    assert found.memory_mib_per_hour == {"gateway": pytest.approx(3)}
    assert drift(hours([50, 100, 99, 101, 100], [0.2] * 5)).memory_mib_per_hour[
        "gateway"
    ] == pytest.approx(0.2)


def test_latency_is_compared_between_the_halves() -> None:
    found = drift(hours([100] * 5, [9, 0.2, 0.2, 0.5, 0.6]))
    assert (found.early_s, found.late_s) == (0.2, 0.6)


def test_nothing_seen_has_no_trend() -> None:
    assert list(summary(drift([]))) == [
        "memory, MiB an hour: the server is not on this machine",
        "finals, s p95: - at first, - in the end",
    ]


def test_a_line_has_what_the_heading_says() -> None:
    heading, rule, line = table(
        [
            Interval(
                ended_s=90,
                partials_s=[0.3, 0.1],
                finals_s=[0.5],
                sessions=2,
                words=40,
                word_errors=1,
                failures=["lost"],
                memory_bytes={"gateway": 100 * MIB},
            )
        ]
    )
    assert heading.count("|") == rule.count("|") == line.count("|")
    assert line == "| 1.5 | 2 | 1 | 0.10 / 0.30 | 0.50 / 0.50 | 2.5 | 100.0 | 1 |"


async def soak(url: str, *options: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), "--url", url, "--streams", "2"),
        *("--recordings", str(SPEECH), *options),
        stdout=subprocess.PIPE,
    )
    stdout, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode()


async def test_it_plays_recordings_to_their_end_and_tells_words_latency_and_memory() -> None:
    said = transcription(TEXTS[SPEECH]) | {"pipeline_latency": 0.25}
    async with FakeGateway(says(said)) as gateway:
        status, told = await soak(gateway.url, "--minutes", "0.02", "--interval", "8")
        assert status == 0
        assert "| 0.25 / 0.25 | 0.0 |" in told
        assert "MiB an hour:" in told
        first, second = (session.audio for session in gateway.sessions)
        assert min(len(first), len(second)) > 32_000 * 11
        assert first != second  # a server that remembers one has to decode the other all the same
        assert all(session.metadata["include_timing_info"] for session in gateway.sessions)


async def test_a_session_that_fails_is_told_and_exit_1() -> None:
    async def fail(session: Session) -> None:
        await session.say(end_audio("acknowledged"))
        await session.socket.close(1011)

    async with FakeGateway(fail) as gateway:
        status, _ = await soak(gateway.url, "--minutes", "0.01", "--interval", "1")
    assert status == 1


async def test_recordings_that_are_not_there_are_bad_usage() -> None:
    status, _ = await soak("ws://127.0.0.1:9", "--recordings", "nowhere.tsv")
    assert status == 2
