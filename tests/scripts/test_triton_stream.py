"""A recording straight into the ensemble: the hops that go out and the order of what comes back."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from pipeline.options import StreamOptions
from scripts import stream, triton_stream
from scripts.server import Server
from tests.scripts.fake_gateway import transcription
from tests.scripts.fake_triton import Answer, FakeTriton

CLIPS = Path(__file__).parents[1] / "data" / "clips"
PCM = (np.arange(SAMPLE_RATE) % 997).astype(np.int16)
"""One second: seven hops of 128 ms, a shorter one, and the empty one at the end."""
HOP_BYTES = 128 * SAMPLE_RATE // 1000 * SAMPLE_BYTES
LAST = 8


@pytest.fixture
def wav(tmp_path: Path) -> str:
    path = tmp_path / "second.wav"
    soundfile.write(path, PCM, SAMPLE_RATE)
    return str(path)


def run(triton: FakeTriton, wav: str, *arguments: str) -> int:
    return triton_stream.main([wav, "--triton", triton.address, "--speed", "0", *arguments])


def test_the_audio_goes_out_in_hops_of_one_sequence(wav: str) -> None:
    with FakeTriton() as triton:
        assert run(triton, wav) == 0
    assert [len(hop.audio) for hop in triton.hops] == [HOP_BYTES] * 7 + [3328, 0]
    assert b"".join(hop.audio for hop in triton.hops) == PCM.tobytes()
    flags = [
        (hop.parameters["sequence_start"], hop.parameters["sequence_end"]) for hop in triton.hops
    ]
    assert flags == [(True, False), *[(False, False)] * 7, (False, True)]
    assert len({hop.parameters["sequence_id"] for hop in triton.hops}) == 1


def test_options_go_with_the_first_hop_only(wav: str) -> None:
    options = '{"partials": true, "no_repeat_ngram_size": 3}'
    with FakeTriton() as triton:
        run(triton, wav, "--language", "fr-CA", "--options", options)
    sent = StreamOptions.model_validate_json(triton.hops[0].parameters["options"])
    assert sent == StreamOptions(language="fr", partials=True, no_repeat_ngram_size=3)
    assert not any("options" in hop.parameters for hop in triton.hops[1:])
    assert all(hop.parameters["no_repeat_ngram_size"] == 3 for hop in triton.hops)


def test_finals_are_printed_in_the_order_of_their_hops(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {
        2: Answer(transcription("First.", number=0, start_time=0.0, end_time=0.25), after=6),
        5: Answer(transcription("Second.", number=1, start_time=0.3, end_time=0.6)),
        LAST: Answer(transcription("Third.", number=2, start_time=0.7, end_time=1.0)),
    }
    with FakeTriton(answers) as triton:
        assert run(triton, wav) == 0
    assert capsys.readouterr().out.splitlines() == [
        "[  0.00 -   0.25] First.",
        "[  0.30 -   0.60] Second.",
        "[  0.70 -   1.00] Third.",
    ]


def test_the_newest_feedback_goes_back_with_the_next_hop(wav: str) -> None:
    answers = {
        0: Answer(transcription("tell", final=False), after=2),
        1: Answer(transcription("tell me", final=False)),
    }
    with FakeTriton(answers) as triton:
        assert triton_stream.main([wav, "--triton", triton.address, "--speed", "4"]) == 0
    echoed = [hop.parameters["feedback"] for hop in triton.hops]
    assert echoed[:2] == ["", ""]
    assert echoed[-1] == "window of hop 1"


def test_json_is_every_message_on_a_line(wav: str, capsys: pytest.CaptureFixture[str]) -> None:
    final = transcription("Third.")
    with FakeTriton({LAST: Answer(final)}) as triton:
        run(triton, wav, "--json")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [final]


def test_an_error_of_a_stage_is_exit_code_1(wav: str, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTriton(error_at=3) as triton:
        assert run(triton, wav) == 1
    assert "the stage is on fire" in capsys.readouterr().err


def test_a_model_that_is_not_ready_is_exit_code_1(
    wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeTriton(ready=False) as triton:
        assert run(triton, wav) == 1
        address = triton.address
    assert "the model streaming_whisper is not ready" in capsys.readouterr().err
    assert triton_stream.main([wav, "--triton", address]) == 1
    assert address in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--language", "xx"], "'xx' is not a language"),
        (["--options", '{"beam_width": 99}'], "beam_width"),
        (["--options", '{"colour": 1}'], "colour"),
    ],
)
def test_options_are_checked_before_anything_is_sent(
    arguments: list[str], complaint: str, wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert triton_stream.main([wav, *arguments]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("options", ["[]", "{"])
def test_options_that_are_no_json_object_are_bad_usage(
    options: str, wav: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        triton_stream.main([wav, "--options", options])
    assert ended.value.code == 2
    assert "--options" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert triton_stream.main(["missing.wav"]) == 2
    assert "missing.wav" in capsys.readouterr().err


def test_a_stream_left_early_lets_go_of_its_sequence(
    wav: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(triton_stream, "_show", interrupt)
    with FakeTriton({1: Answer(transcription("tell", final=False))}) as triton:
        assert triton_stream.main([wav, "--triton", triton.address, "--speed", "4"]) == 130
        last = triton.hops[-1]
    assert last.parameters["sequence_end"]
    assert last.parameters["discard"]
    assert len(triton.hops) <= LAST


def test_the_real_ensemble_gives_the_finals_that_the_gateway_gives(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(CLIPS / "es" / "vm-review.wav")
    url, (host, port) = server.settings.url, server.settings.triton
    assert stream.main([clip, "--url", url, "--language", "es", "--speed", "0"]) == 0
    through_the_gateway = capsys.readouterr().out
    direct = [clip, "--triton", f"{host}:{port}", "--language", "es", "--speed", "0"]
    assert triton_stream.main(direct) == 0
    assert capsys.readouterr().out == through_the_gateway
    assert "Marque número 2 para escucharlo" in through_the_gateway
