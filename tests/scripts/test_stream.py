"""The client as people run it: its options, what it sends and shows, and how it ends."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.audio import SAMPLE_RATE
from scripts import stream
from scripts.recording import mulaw_bytes
from scripts.sources import PacketFormat
from tests.scripts.fake_gateway import FakeGateway, Session, says, transcription, until

ROOT = Path(__file__).parents[2]
PCM = (np.arange(SAMPLE_RATE) % 997).astype(np.int16)
"""One second of something."""

FINAL = transcription("Tell me what an oak tree looks like.")
FINAL_LINE = "[  3.49 -   6.78] Tell me what an oak tree looks like.\n"


@pytest.fixture
def wav(tmp_path: Path) -> str:
    path = tmp_path / "second.wav"
    soundfile.write(path, PCM, SAMPLE_RATE)
    return str(path)


async def run(*arguments: str) -> int:
    """The command line in a thread, beside the server that the test runs."""
    return await asyncio.to_thread(stream.main, list(arguments))


async def start(
    *arguments: str, python_path: Path | None = None, **pipes: Any
) -> asyncio.subprocess.Process:
    """The command line as a process, for signals and standard input."""
    environment = dict(os.environ)
    if python_path:
        environment["PYTHONPATH"] = str(python_path)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "scripts" / "stream.py"),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        **pipes,
    )


async def test_all_audio_arrives_in_packets_and_the_finals_are_shown(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway(says(FINAL)) as gateway:
        assert await run(wav, "--url", gateway.url, "--speed", "0") == 0
    (session,) = gateway.sessions
    assert session.ended
    assert session.audio == PCM.tobytes()
    assert {len(packet) for packet in session.packets[:-1]} == {1024}
    assert capsys.readouterr().out == FINAL_LINE


async def test_audio_without_speech_is_said_to_have_none(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway(says()) as gateway:
        assert await run(wav, "--url", gateway.url, "--speed", "0") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1.0 s of audio, and no speech in it" in captured.err


async def test_what_is_not_asked_for_is_left_to_the_server(wav: str) -> None:
    async with FakeGateway(says()) as gateway:
        await run(wav, "--url", gateway.url, "--speed", "0")
    assert gateway.sessions[0].metadata == {
        "streaming_params": {
            "encoding": "pcm_s16le",
            "sample_rate": SAMPLE_RATE,
            "enable_partial_transcripts": False,
        }
    }


def test_every_option_has_its_field() -> None:
    arguments = (
        "talk.wav --language auto --language-options en,fr --detect-only --prompt Digium --words "
        "--beam 3 --beams --partials --interval 0.25 --max-final-s 20 --threshold 0.6 "
        "--min-silence-ms 500 --pad-ms 30 --timing"
    )
    args = stream._parser().parse_args(arguments.split())
    assert stream.metadata(args, PacketFormat(8_000, 20, "pcm_mulaw")) == {
        "whisper_params": {
            "audio_language": "auto",
            "language_options": ["en", "fr"],
            "language_detection_only": True,
            "prompt": "Digium",
            "show_word_timestamps": True,
            "show_beam_results": True,
            "whisper_sampling_params": {"beam_width": 3},
        },
        "streaming_params": {
            "encoding": "pcm_mulaw",
            "sample_rate": 8_000,
            "enable_partial_transcripts": True,
            "partial_transcript_interval_s": 0.25,
            "final_transcript_max_duration_s": 20,
        },
        "streaming_vad_config": {
            "threshold": 0.6,
            "min_silence_duration_ms": 500,
            "speech_pad_ms": 30,
        },
        "include_timing_info": True,
    }


async def test_telephone_audio_is_converted_and_encoded(wav: str) -> None:
    telephone = ("--rate", "8000", "--encoding", "pcm_mulaw", "--packet-ms", "20")
    async with FakeGateway(says()) as gateway:
        await run(wav, "--url", gateway.url, "--speed", "0", *telephone)
    (session,) = gateway.sessions
    assert session.metadata["streaming_params"]["sample_rate"] == 8_000
    assert [len(packet) for packet in session.packets] == [160] * 50


async def test_json_is_every_message_on_a_line(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway(says(FINAL)) as gateway:
        await run(wav, "--url", gateway.url, "--speed", "0", "--json")
    messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [message["type"] for message in messages] == ["end_audio", "transcription", "end_audio"]
    assert messages[1] == FINAL


async def test_messages_are_shown_while_the_server_takes_no_audio(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = ""

    def partial_is_out() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return "... tell me" in printed

    async def slow(session: Session) -> None:
        await session.say(transcription("tell me", final=False))
        await until(partial_is_out)
        await session.hear()
        await session.finish(FINAL)

    async with FakeGateway(slow) as gateway:
        assert await run(wav, "--url", gateway.url, "--partials") == 0
    assert gateway.sessions[0].audio == PCM.tobytes()
    assert capsys.readouterr().out == FINAL_LINE


async def test_timing_shows_what_the_server_says_of_a_final(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    timed = FINAL | {"timing_info": {"engine_s": 0.2}, "pipeline_latency": 0.35}
    async with FakeGateway(says(timed)) as gateway:
        await run(wav, "--url", gateway.url, "--speed", "0", "--timing")
    timing = "    timing: engine_s 0.2, pipeline_latency 0.35\n"
    assert capsys.readouterr().out == FINAL_LINE + timing


async def test_the_api_key_comes_from_the_option_or_the_environment(
    wav: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway(says(), api_key="secret") as gateway:
        common = (wav, "--url", gateway.url, "--speed", "0")
        monkeypatch.delenv("GATEWAY_API_KEY", raising=False)
        assert await run(*common) == 1
        assert "HTTP 401: it wants an API key" in capsys.readouterr().err
        assert await run(*common, "--api-key", "wrong") == 1
        assert "HTTP 401: the API key is wrong" in capsys.readouterr().err
        assert await run(*common, "--api-key", "secret") == 0
        monkeypatch.setenv("GATEWAY_API_KEY", "secret")
        assert await run(*common) == 0


async def test_a_server_that_is_not_there_is_said_so(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway(says()) as gateway:
        url = gateway.url
    assert await run(wav, "--url", url) == 1
    assert f"cannot connect to {url}" in capsys.readouterr().err


async def test_a_lost_connection_says_what_came_of_the_audio(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def lose(session: Session) -> None:
        await session.say(FINAL)
        await session.hear()
        session.socket.transport.abort()

    async with FakeGateway(lose) as gateway:
        assert await run(wav, "--url", gateway.url, "--speed", "0") == 1
    shown = capsys.readouterr()
    assert shown.out == FINAL_LINE
    assert "lost the connection" in shown.err
    assert "1.0 s of audio were sent, 1 final came back; what follows 6.78 s" in shown.err


async def test_with_reconnect_it_goes_on_behind_the_last_final(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = transcription("The first half.", start_time=0.1, end_time=0.5)
    second = transcription("The second.", start_time=0.1, end_time=0.4)

    printed = ""

    def shown() -> str:
        nonlocal printed
        printed += capsys.readouterr().out
        return printed

    async def lose_once(session: Session) -> None:
        if len(gateway.sessions) == 1:
            await session.hear()
            await session.say(first)
            await until(lambda: "first half" in shown())
            session.socket.transport.abort()
        else:
            await session.hear()
            await session.finish(second)

    async with FakeGateway(lose_once) as gateway:
        assert await run(wav, "--url", gateway.url, "--speed", "0", "--reconnect") == 0
    assert shown() == ("[  0.10 -   0.50] The first half.\n[  0.60 -   0.90] The second.\n")
    assert gateway.sessions[1].audio == PCM.tobytes()[SAMPLE_RATE:]


async def test_rejected_metadata_is_reported_with_the_servers_words(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def reject(session: Session) -> None:
        text = "whisper_params.audio_language: 'xx' is not a language"
        await session.say({"type": "error", "message": text, "body": {"message": text}})
        await session.socket.close(1008, "rejected metadata")

    async with FakeGateway(reject) as gateway:
        assert await run(wav, "--url", gateway.url, "--language", "xx") == 1
    error = capsys.readouterr().err
    assert "the server reports: whisper_params.audio_language: 'xx' is not a language" in error
    assert "closed the connection: 1008 rejected metadata" in error


async def test_an_error_that_does_not_end_the_session_still_fails_it(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stumble(session: Session) -> None:
        await session.hear()
        await session.finish({"type": "error", "body": {"message": "one window is lost"}}, FINAL)

    async with FakeGateway(stumble) as gateway:
        assert await run(wav, "--url", gateway.url, "--speed", "0") == 1
    shown = capsys.readouterr()
    assert shown.out == FINAL_LINE
    assert "one window is lost" in shown.err


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "4000"], ["--speed", "-1"], ["--packet-ms", "0"], ["--encoding", "opus"]],
)
def test_bad_usage_is_exit_code_2(
    arguments: list[str], wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        stream.main([wav, *arguments])
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert stream.main(["missing.wav"]) == 2
    assert "cannot read missing.wav: there is no such file" in capsys.readouterr().err


async def test_standard_input_is_raw_pcm() -> None:
    telephone = ("--rate", "8000", "--encoding", "pcm_mulaw")
    async with FakeGateway(says(FINAL)) as gateway:
        process = await start("-", "--url", gateway.url, *telephone, stdin=asyncio.subprocess.PIPE)
        out, errors = await process.communicate(PCM.tobytes())
    assert (process.returncode, out.decode(), errors) == (0, FINAL_LINE, b"")
    (session,) = gateway.sessions
    assert session.metadata["streaming_params"]["sample_rate"] == 8_000
    assert session.audio == mulaw_bytes(PCM.tobytes())


async def test_ctrl_c_on_a_file_is_exit_code_130(wav: str) -> None:
    async with FakeGateway(says(FINAL)) as gateway:
        process = await start(wav, "--url", gateway.url, "--speed", "0.01")
        await until(lambda: bool(gateway.sessions and gateway.sessions[0].packets))
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 130
    assert "no final came back" in errors.decode()
    assert "Traceback" not in errors.decode()


SOUND_CARD = """
import threading, time
class PortAudioError(Exception): pass
class RawInputStream:
    def __init__(self, samplerate, blocksize, channels, dtype, callback):
        assert (channels, dtype) == (1, "int16")
        self.data, self.callback, self.open = bytes(2 * blocksize), callback, True
    def __enter__(self):
        threading.Thread(target=self.run, daemon=True).start()
    def __exit__(self, *_):
        self.open = False
    def run(self):
        while self.open:
            self.callback(self.data, len(self.data) // 2, None, None)
            time.sleep(0.01)
"""


async def test_ctrl_c_on_the_microphone_ends_the_audio_and_waits_for_the_finals(
    tmp_path: Path,
) -> None:
    (tmp_path / "sounddevice.py").write_text(SOUND_CARD)
    async with FakeGateway(says(FINAL)) as gateway:
        process = await start("mic", "--url", gateway.url, python_path=tmp_path)
        await until(lambda: bool(gateway.sessions and len(gateway.sessions[0].packets) > 3))
        process.send_signal(signal.SIGINT)
        out, errors = await process.communicate()
    assert (process.returncode, out.decode(), errors.decode()) == (0, FINAL_LINE, "")
    assert gateway.sessions[0].ended
    assert {len(packet) for packet in gateway.sessions[0].packets} == {1024}


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        ("raise OSError('PortAudio library not found')", "apt install libportaudio2"),
        ("raise ImportError", "pip install sounddevice"),
    ],
)
async def test_a_missing_sound_library_is_named(module: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text(module)
    async with FakeGateway(says()) as gateway:
        process = await start("mic", "--url", gateway.url, python_path=tmp_path)
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert advice in errors.decode()
    assert "Traceback" not in errors.decode()
