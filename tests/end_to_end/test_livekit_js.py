"""@livekit/agents-plugin-baseten, unmodified, from npm: it sends the older metadata and reads the
message's top level."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from build import fetch_npm
from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from scripts.recording import pcm_bytes
from scripts.server import Server
from tests.end_to_end.recordings import DASHWOOD, GREGSON, audio, errors_in, samples, silence
from tests.end_to_end.sessions import no_stream_is_left

DRIVER = Path(__file__).with_name("livekit_js.cjs")
SPEED = 2
PAUSE_S = 0.8
TWO_READINGS = audio(GREGSON) + silence(PAUSE_S) + audio(DASHWOOD) + silence(PAUSE_S)
PATIENCE_S = 20
"""For Node to start, and for the last final after the last frame."""
LONGEST_S = len(TWO_READINGS) / SAMPLE_BYTES / SAMPLE_RATE
FETCH_TIMEOUT_S = 600
FINAL = 2
"""`SpeechEventType.FINAL_TRANSCRIPT` of @livekit/agents."""

pytestmark = pytest.mark.timeout(FETCH_TIMEOUT_S)  # the first run fetches the packages


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder with the pinned packages."""
    return fetch_npm.fetch()


async def heard(
    packages: Path, server: Server, pcm: Path, rate_hz: int, finals: int
) -> list[dict[str, Any]]:
    """The events that the plugin tells, until there are so many finals."""
    process = await asyncio.create_subprocess_exec(
        fetch_npm.node(),
        DRIVER,
        server.settings.url,
        pcm,
        *map(str, (rate_hz, SPEED, finals)),
        cwd=packages,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LONGEST_S / SPEED + PATIENCE_S):
            told, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaints.decode()
    return [json.loads(line) for line in told.decode().splitlines()]


async def test_it_hears_two_readings(server: Server, packages: Path, tmp_path: Path) -> None:
    pcm = tmp_path / "readings.pcm"
    pcm.write_bytes(TWO_READINGS)
    events = await heard(packages, server, pcm, SAMPLE_RATE, finals=2)
    assert [event["type"] for event in events] == [FINAL, FINAL]
    first, second = (event["alternatives"][0] for event in events)
    assert errors_in(first["text"], GREGSON).errors == 0
    assert errors_in(second["text"], DASHWOOD).errors == 0
    assert first["language"] == second["language"] == "en"
    assert 0.5 < first["confidence"] <= 1
    starts_s = len(audio(GREGSON) + silence(PAUSE_S)) / SAMPLE_BYTES / SAMPLE_RATE
    assert abs(second["startTime"] - starts_s - 0.3) < 0.2
    assert first["endTime"] < second["startTime"] < second["endTime"]
    assert await no_stream_is_left(server)


async def test_at_8_khz_it_hears_the_same(server: Server, packages: Path, tmp_path: Path) -> None:
    pcm = tmp_path / "reading.pcm"
    pcm.write_bytes(pcm_bytes(samples(DASHWOOD, 8_000)) + bytes(round(PAUSE_S * 8_000) * 2))
    (event,) = await heard(packages, server, pcm, 8_000, finals=1)
    assert errors_in(event["alternatives"][0]["text"], DASHWOOD).errors <= 1
