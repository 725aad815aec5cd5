"""The load test as people run it, against a server that only pretends to recognise."""

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from scripts import load_test
from scripts.load.live import Live
from scripts.load.processes import kind, sample, server_processes
from scripts.load.results import Machine
from scripts.load.track import Shown, Track
from tests.scripts.fake_gateway import FakeGateway, Session, transcription

JFK = str(load_test.SPEECH)
WORD = {"word": "And", "start_time": 0.3, "end_time": 0.6, "prob": 0.9}
PACKET_S = 0.032


class Ear:
    """Answers like a server that hears one word, and notes when packets came."""

    def __init__(self) -> None:
        self.arrivals_s: list[list[float]] = []

    async def __call__(self, session: Session) -> None:
        arrivals_s: list[float] = []
        partials = session.metadata["streaming_params"].get("enable_partial_transcripts")
        if partials:
            self.arrivals_s.append(arrivals_s)
        async for data in session.socket:
            if isinstance(data, str):
                break
            session.packets.append(data)
            arrivals_s.append(asyncio.get_running_loop().time())
            if partials and len(arrivals_s) == 40:
                said = transcription("And", final=False, start_time=0.7, end_time=1.2)
                await session.say(said)
        final = transcription("And", start_time=0.3, end_time=0.6, word_timestamps=[WORD])
        await session.finish(final)


class FullGateway(FakeGateway):
    """Lets a client in to say hello and to learn word times, and then no more."""

    asked = 0

    def _check(self, socket: ServerConnection, request: Request) -> Response | None:
        self.asked += 1
        if self.asked > 2:
            return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, '{"error": "all taken"}')
        return None


async def run(gateway: FakeGateway, folder: Path, *arguments: str) -> int:
    """The command line in a thread, beside the server that the test runs."""
    outputs = [f"--{name}={folder / f'out.{name}'}" for name in ("json", "html", "markdown")]
    common = ["--url", gateway.url, "--recordings", JFK, "--calibration", str(folder / "words")]
    return await asyncio.to_thread(load_test.main, [*common, "--ramp=0", *outputs, *arguments])


def steps(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "out.json").read_text())["steps"]
    return found


async def test_streams_are_sent_in_real_time_and_a_step_after_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ear = Ear()
    async with FakeGateway(ear) as gateway:
        short = ("--duration", "1.6", "--ramp", "0.4", "--streams", "1,3")
        assert await run(gateway, tmp_path, *short) == 0
    assert len(ear.arrivals_s) == 4
    for arrivals_s in ear.arrivals_s:
        assert len(arrivals_s) == 50
        assert arrivals_s[-1] - arrivals_s[0] == pytest.approx(49 * PACKET_S, abs=0.15)
    starts_s = sorted(arrivals_s[0] for arrivals_s in ear.arrivals_s[1:])
    assert starts_s[2] - starts_s[0] == pytest.approx(0.4, abs=0.15)
    assert {len(packet) for session in gateway.sessions[2:] for packet in session.packets} == {1024}
    first, second = steps(tmp_path)
    assert (first["streams_offered"], second["streams_offered"]) == (1, 3)
    assert first["words_spoken"] == 1
    shown = capsys.readouterr()
    assert shown.out.count("held") == 1  # one heading
    assert "1/1 open" in shown.err
    assert "<svg" in (tmp_path / "out.html").read_text()
    assert "| 3 |" in (tmp_path / "out.markdown").read_text()


async def test_a_partial_is_measured_from_when_its_word_was_spoken(tmp_path: Path) -> None:
    async with FakeGateway(Ear()) as gateway:
        await run(gateway, tmp_path, "--duration", "1.6", "--streams", "1")
    (step,) = steps(tmp_path)
    (stream,) = step["streams"]
    begin_s = stream["recordings"][0]["begin_s"]
    ((token, spoken_s, seen_s),) = stream["words"]
    assert (token, spoken_s) == ("and", pytest.approx(begin_s + 0.6, abs=0.002))
    assert seen_s == pytest.approx(40 * PACKET_S, abs=0.1)
    (utterance,) = stream["utterances"]
    assert utterance["partial_s"] == pytest.approx(seen_s - begin_s - 0.3, abs=0.002)


async def test_words_are_asked_for_once(tmp_path: Path) -> None:
    async with FakeGateway(Ear()) as gateway:
        short = ("--duration", "0.1", "--streams", "1")
        for more in ([], [], ["--recalibrate"]):
            await run(gateway, tmp_path, *short, *more)
    asked = [
        session.metadata["whisper_params"].get("show_word_timestamps")
        for session in gateway.sessions
        if session.packets
    ]
    assert asked == [True, None, None, True, None]


async def test_streams_say_which_language_rate_and_encoding_they_have(tmp_path: Path) -> None:
    async with FakeGateway(Ear()) as gateway:
        telephone = ("--rates", "8000,48000", "--encodings", "pcm_mulaw", "--language", "auto")
        more = ("--interval", "0.5", "--metadata", '{"whisper_params": {"prompt": "Ask"}}')
        short = ("--duration", "0.2", "--streams", "2")
        assert await run(gateway, tmp_path, *short, *telephone, *more) == 0
    first, second = sorted(
        (session.metadata for session in gateway.sessions[2:]),
        key=lambda metadata: metadata["streaming_params"]["sample_rate"],
    )
    assert first["whisper_params"] == {"audio_language": "auto", "prompt": "Ask"}
    assert first["streaming_params"] == {
        "encoding": "pcm_mulaw",
        "sample_rate": 8_000,
        "enable_partial_transcripts": True,
        "partial_transcript_interval_s": 0.5,
    }
    assert second["streaming_params"]["sample_rate"] == 48_000


async def test_refused_streams_are_reported_with_the_servers_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FullGateway(Ear()) as gateway:
        assert await run(gateway, tmp_path, "--duration", "0.2", "--streams", "2") == 1
    (step,) = steps(tmp_path)
    assert step["failures"] == {"refused": 2}
    assert step["streams_held"] == 0
    assert "all taken" in capsys.readouterr().out


@pytest.mark.parametrize(("code", "name"), [(1013, "refused"), (1011, "disconnected")])
async def test_streams_that_the_server_closes_are_told_apart(
    tmp_path: Path, code: int, name: str
) -> None:
    ear = Ear()

    async def close(session: Session) -> None:
        if session.metadata["streaming_params"].get("enable_partial_transcripts"):
            await session.socket.close(code, "sorry")
        else:
            await ear(session)

    async with FakeGateway(close) as gateway:
        assert await run(gateway, tmp_path, "--duration", "0.2", "--streams", "1") == 1
    (step,) = steps(tmp_path)
    assert step["failures"] == {name: 1}


async def test_a_server_that_is_not_there_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway(Ear()) as gateway:
        pass
    assert await run(gateway, tmp_path, "--duration", "0.2") == 1
    assert "cannot connect" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--streams", "0"],
        ["--talk-ratio", "1.5"],
        ["--talk-ratio", "0"],
        ["--duration", "0"],
        ["--rates", "4000"],
        ["--encodings", "opus"],
    ],
)
def test_bad_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load_test.main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_recordings_that_are_not_there_are_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_test.main(["--recordings", str(tmp_path / "none.tsv")]) == 2
    assert "none.tsv" in capsys.readouterr().err


def test_stages_of_triton_are_named_by_their_model() -> None:
    stub = ["/x/triton_python_backend_stub", "/repo/whisper/1/model.py", "prefix"]
    assert kind("triton_python_b", stub) == "whisper"
    assert kind("python", ["python", "-m", "gateway"]) == "gateway"
    assert kind("python", ["python", "scripts/serve.py"]) == "serve.py"
    assert kind("tritonserver", ["/x/tritonserver", "--grpc-port=1"]) == "tritonserver"


SERVER = """
import socket, subprocess, sys, time
listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]
if len(sys.argv) > 1:
    peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(port, flush=True)
time.sleep(60)
"""


Running = tuple[subprocess.Popen[str], int]
"""A process and the port on which it listens."""


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    command = [sys.executable, "-c", SERVER, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        children = psutil.Process(server.pid).children()
        yield server, port
        for child in children:
            child.kill()
        server.kill()


@pytest.fixture
def behind() -> Iterator[Running]:
    with running() as server:
        yield server


@pytest.fixture
def front(behind: Running) -> Iterator[Running]:
    """A server with a child, which is connected to the one behind it."""
    with running(str(behind[1])) as server:
        yield server


def test_a_server_is_found_by_its_port_with_all_that_it_uses(
    front: Running, behind: Running
) -> None:
    found = server_processes(f"ws://localhost:{front[1]}/websocket")
    children = psutil.Process(front[0].pid).children()
    expected = {front[0].pid, behind[0].pid, *(child.pid for child in children)}
    assert {watched.process.pid for watched in found} == expected
    assert sum(usage.memory_bytes for usage in sample(found).server.values()) > 1 << 20


def test_a_server_is_found_by_its_process_or_is_elsewhere(front: Running) -> None:
    assert len(server_processes("ws://elsewhere/", front[0].pid)) == 2
    assert server_processes("ws://elsewhere.example:8000/") == []


def test_processes_that_have_ended_are_left_out(behind: Running) -> None:
    found = server_processes("ws://127.0.0.1/", behind[0].pid)
    behind[0].kill()
    behind[0].wait()
    assert sample(found).server == {}


def test_progress_is_one_line_rewritten_on_a_terminal_and_few_lines_elsewhere() -> None:
    track = Track(0, "en", "pcm", [], 60.0)
    idle = Machine({"whisper": 0.5}, 0.05, 0.0, {}, {}, 1.0, 1.0)
    for terminal, expected in ((True, 3), (False, 1)):
        out = io.StringIO()
        live = Live(out, terminal=terminal)
        live.begin(2, 65.0)
        live.note(track, Shown(2.0, False, 0, "Ant", 1.0, 1.75))
        for _ in range(3):
            live.show([track], 1, idle)
        live.end()
        text = out.getvalue()
        assert text.count("1/2 open  1 partials 0.25-0.25 s old  0 finals") == expected
        assert ("\n" in text) is not terminal
        assert "0.50 cores" in text
