"""Real Tritons die, hang and lose stages under live streams, and every final stays what it was.

Two Tritons with a gateway of their own, and one that is kept up as `make run` keeps it up. Streams
are sent in real time, over and over until what happens to Triton is over; then the same audio is
sent once more, undisturbed and as fast as it goes, and the finals have to be equal: numbers, texts,
languages and times.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from scripts import triton_server
from scripts.server import Server, Settings
from scripts.stage_processes import stage_processes
from tests.end_to_end import recordings
from tests.end_to_end.failing import (
    PATIENT,
    START_LIMIT_S,
    RealGateway,
    RealTriton,
    Said,
    Stream,
    losses,
    say,
    say_all_while,
    say_both,
)
from tests.processes import has_ended, until
from tests.serving import serving_environment

pytestmark = pytest.mark.timeout(400)

HANG_TIMEOUT_S = 2
FEW = (
    Stream(("jfk",), partials=True),
    Stream(("en/sense_and_sensibility", "en/pbx-invalidpark"), partials=True),
    Stream(("fr/agent-alreadyon", "fr/priv-introsaved"), "fr"),
    Stream(("ru/privacy-unident", "ru/demo-enterkeywords"), "ru", words=True),
)
MANY = (
    *FEW,
    Stream(("jfk", "en/arctic_a0009"), words=True),
    # One long utterance each, which is cut into segments.
    Stream(("es/vm-review", "es/vm-nonumber"), "es", partials=True, pause_s=0),
    Stream(("ru/demo-enterkeywords", "ru/confbridge-mute-extended"), "ru", pause_s=0),
    Stream(
        ("es/confbridge-begin-glorious-c", "fr/priv-introsaved", "en/sense_and_sensibility"),
        "auto",
        partials=True,
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For logs."""
    return tmp_path_factory.mktemp("failover")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[tuple[RealTriton, RealTriton]]:
    """Two Tritons."""
    both = RealTriton(folder), RealTriton(folder)
    try:
        for triton in both:
            triton.start()
        yield both
    finally:
        for triton in both:
            triton.stop()


@pytest.fixture
def tritons(pair: tuple[RealTriton, RealTriton]) -> tuple[RealTriton, RealTriton]:
    """Both of them, ready."""
    until(lambda: all(triton.is_ready for triton in pair), START_LIMIT_S)
    return pair


@pytest.fixture(scope="module")
def gateway(folder: Path, pair: tuple[RealTriton, RealTriton]) -> Iterator[RealGateway]:
    """In front of both; it knows from the start that both are there."""
    until(lambda: all(triton.is_ready for triton in pair), START_LIMIT_S)
    gateway = RealGateway(folder, pair, GATEWAY_HANG_TIMEOUT_S=str(HANG_TIMEOUT_S))
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def kept_up(folder: Path) -> Iterator[Server]:
    """Triton and gateway as `scripts/serve.py` runs them."""
    environment = {**serving_environment(), **PATIENT}
    with Server(
        Settings.from_environment(environment), environment=environment, logs=folder / "kept_up"
    ) as server:
        ended = threading.Event()

        def tend() -> None:
            while not ended.wait(0.2):
                server.tend()

        tending = threading.Thread(target=tend)
        tending.start()
        yield server
        ended.set()
        tending.join()


_undisturbed: dict[tuple[Stream, int], Said] = {}


async def assert_nothing_was_lost(disturbed: list[Said], url: str) -> None:
    """Every final is what it is when nothing happens."""
    new = [said for said in disturbed if (said.stream, said.length) not in _undisturbed]
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(say(url, said.stream, said.length)) for said in new]
    for task in asked:
        said = task.result()
        _undisturbed[said.stream, said.length] = said
    for said in disturbed:
        assert said.finals == _undisturbed[said.stream, said.length].finals
        assert said.finals


def stage(triton: psutil.Process, name: str) -> psutil.Process:
    """A stage's process."""
    (pid,) = [each.pid for each in stage_processes(triton.pid) if each.name == name]
    return psutil.Process(pid)


@contextmanager
def losing(log: Path, least: int) -> Iterator[None]:
    """Sessions of the gateway with this log lose their Tritons meanwhile."""
    before = losses(log)
    yield
    assert losses(log) - before >= least


async def test_five_times_one_of_two_is_killed_under_eight_live_streams(
    tritons: tuple[RealTriton, RealTriton], gateway: RealGateway
) -> None:
    """From the second time on it is the one that all streams have fled to."""

    async def happening() -> None:
        for count in range(5):
            await asyncio.sleep(1.7)
            await tritons[count % 2].die()

    with losing(gateway.log, 2 * len(MANY)):
        said = await say_all_while(gateway.url, MANY, happening)
    await assert_nothing_was_lost(said, gateway.url)


async def test_one_of_two_hangs(
    tritons: tuple[RealTriton, RealTriton], gateway: RealGateway
) -> None:
    async def happening() -> None:
        await asyncio.sleep(3)
        tritons[0].process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(HANG_TIMEOUT_S + 4)
        tritons[0].process.send_signal(signal.SIGCONT)

    with losing(gateway.log, 2):
        said = await say_all_while(gateway.url, FEW, happening)
    await assert_nothing_was_lost(said, gateway.url)


async def test_a_stage_of_one_of_two_is_killed(
    tritons: tuple[RealTriton, RealTriton], gateway: RealGateway
) -> None:
    """Its Triton goes on calling itself ready, and nobody starts it again."""
    half_dead = tritons[1]

    async def happening() -> None:
        await asyncio.sleep(3)
        stage(half_dead.process, "whisper").kill()

    with losing(gateway.log, 2):
        said = await say_all_while(gateway.url, FEW, happening)
    await assert_nothing_was_lost(said, gateway.url)
    assert half_dead.is_ready
    await half_dead.die()


async def test_the_only_one_is_restarted_in_order(
    tritons: tuple[RealTriton, RealTriton], folder: Path
) -> None:
    only = tritons[0]
    gateway = RealGateway(folder, [only])

    async def happening() -> None:
        await asyncio.sleep(3)
        await asyncio.to_thread(only.stop, 2)
        await only.started()

    try:
        with losing(gateway.log, len(FEW)):
            said = await say_all_while(gateway.url, FEW, happening)
        await assert_nothing_was_lost(said, gateway.url)
    finally:
        gateway.stop()


async def test_the_only_one_dies_after_a_minute_without_speech(
    tritons: tuple[RealTriton, RealTriton], folder: Path
) -> None:
    """What its voice-activity model made of the noise of the room is not forgotten with it."""
    only = tritons[0]
    gateway = RealGateway(folder, [only])
    before = recordings.audio(recordings.JFK) + recordings.noise(60)
    behind = recordings.audio(recordings.DASHWOOD)
    try:
        undisturbed = await say_both(gateway.url, before, behind)
        with losing(gateway.log, 1):
            disturbed = await say_both(gateway.url, before, behind, only.die)
    finally:
        gateway.stop()
    assert disturbed == undisturbed
    assert len(undisturbed) > recordings.JFK_FINALS


@pytest.mark.parametrize(
    ("name", "number"),
    [(None, signal.SIGKILL), ("silero_vad", signal.SIGKILL), ("whisper", signal.SIGSTOP)],
    ids=["killed", "a stage killed", "a stage stopped"],
)
async def test_the_only_one_is_kept_up(
    name: str | None, number: signal.Signals, kept_up: Server, folder: Path
) -> None:
    """Triton itself is killed, or one of its stages is, or answers nothing more."""
    address = kept_up.settings.gateway.tritons[0]
    listens = f"--grpc-port={kept_up.settings.triton[1]}"
    (triton,) = [each for each in psutil.Process().children() if listens in each.cmdline()]

    async def happening() -> None:
        await asyncio.sleep(2)
        (triton if name is None else stage(triton, name)).send_signal(number)
        async with asyncio.timeout(START_LIMIT_S):
            while not has_ended(triton):
                await asyncio.sleep(0.1)
            while not await asyncio.to_thread(triton_server.is_ready, address):
                await asyncio.sleep(0.1)

    with losing(folder / "kept_up/gateway.log", len(FEW)):
        said = await say_all_while(kept_up.settings.url, FEW, happening)
    await assert_nothing_was_lost(said, kept_up.settings.url)
