"""The proof on first start: what passes, and every way in which a broken engine is told."""

import math
from typing import Any

import pytest

from scripts import self_check
from scripts.self_check import SAID, judge
from scripts.server import Server
from tests.scripts.fake_triton import Answer, FakeTriton

Message = dict[str, Any]
LAST_HOP = 86
"""The empty one that ends the recording of 11 s in hops of 128 ms."""
START_S, END_S = 0.35, 10.59


def words_of(text: str, start_s: float = START_S, end_s: float = END_S) -> list[Message]:
    """Its words, evenly over the speech."""
    words = text.split()
    step_s = (end_s - start_s) / len(words)
    return [
        {"word": word, "start_time": start_s + i * step_s, "end_time": start_s + (i + 1) * step_s}
        for i, word in enumerate(words)
    ]


def message(text: str = SAID, final: bool = True, **changes: Any) -> Message:
    """A right message about the whole recording; `changes` are of its segment."""
    segment = {
        "start_time": START_S,
        "end_time": END_S,
        "text": text,
        "log_prob": -2.5,
        "word_timestamps": words_of(text),
        **changes,
    }
    return {
        "type": "transcription",
        "is_final": final,
        "language_code": "en",
        "segments": [segment],
    }


PARTIAL = message("And so", final=False)


def faults(*finals: Message, partials: bool = True) -> str:
    """What is found wrong, on one line."""
    return " / ".join(judge([*([PARTIAL] if partials else []), *finals]))


def run(triton: FakeTriton, *arguments: str) -> int:
    return self_check.main(["--triton", triton.address, "--speed", "0", *arguments])


def test_what_was_said_passes_and_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTriton({10: Answer(PARTIAL), LAST_HOP: Answer(message())}) as triton:
        assert run(triton) == 0
    said = capsys.readouterr()
    assert f"{SAID!r}: 0 of 22 words differ; the final came " in said.out
    assert said.err == ""


def test_small_differences_pass() -> None:
    assert faults(message(SAID.replace("fellow ", "").replace("not what", "not, what"))) == ""


def test_the_speech_may_come_in_several_finals() -> None:
    first, _, second = SAID.partition(" what ")
    halves = [(first, START_S, 4.4), (f"what {second}", 5.4, END_S)]
    finals = [
        message(text, start_time=start, end_time=end, word_timestamps=words_of(text, start, end))
        for text, start, end in halves
    ]
    assert faults(*finals) == ""
    assert "the times of the segments do not rise" in faults(*reversed(finals))


def test_silence_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTriton() as triton:
        assert run(triton) == 1
    said = capsys.readouterr()
    assert "the final came never" in said.out
    assert "the engine is silent" in said.err


@pytest.mark.parametrize(
    "text",
    [
        "And so, my fellow Americans,",
        f"{SAID} for your country. for your country. for your country.",
        "Und so, meine amerikanischen Mitbürger, fragt nicht, was euer Land für euch tun kann.",
        "! ! ! ! ! ! ! !",
    ],
)
def test_another_text_is_told(text: str) -> None:
    assert "% of the words are wrong and 20 % are accepted" in faults(message(text))


def test_another_language_is_told() -> None:
    assert "detected as {'la'}" in faults({**message(), "language_code": "la"})


@pytest.mark.parametrize("value", [None, math.nan, -math.inf, "none"])
def test_log_probabilities_that_are_none_are_told(value: object) -> None:
    assert "log-probabilities are missing or no numbers" in faults(message(log_prob=value))


def test_a_missing_log_probability_is_told() -> None:
    final = message()
    del final["segments"][0]["log_prob"]
    assert "log-probabilities are missing" in faults(final)


def test_a_log_probability_of_exactly_0_is_told() -> None:
    assert "exactly 0: the engine returns none" in faults(message(log_prob=0.0))


def test_a_log_probability_above_0_is_told() -> None:
    assert "log-probabilities above 0" in faults(message(log_prob=0.7))


@pytest.mark.parametrize("changes", [{"start_time": 3.0}, {"end_time": 30.0}, {"end_time": 5.0}])
def test_speech_at_another_time_is_told(changes: dict[str, Any]) -> None:
    assert "speech is found from" in faults(message(**changes))


@pytest.mark.parametrize("changes", [{"start_time": 11.0}, {"end_time": None}])
def test_times_that_do_not_rise_are_told(changes: dict[str, Any]) -> None:
    assert "the times of the segments do not rise" in faults(message(**changes))


def test_word_times_that_are_missing_are_told() -> None:
    assert "the words with times are not those" in faults(message(word_timestamps=[]))


def test_word_times_that_do_not_rise_are_told() -> None:
    final = message()
    final["segments"][0]["word_timestamps"][3]["start_time"] = 0.0
    assert "the times of the words do not rise" in faults(final)


def test_missing_partials_are_told() -> None:
    assert "no partial came" in faults(message(), partials=False)


def test_an_accepted_share_of_errors_can_be_given() -> None:
    short = "And so, my fellow Americans,"
    final = {LAST_HOP: Answer(message(short)), 10: Answer(PARTIAL)}
    with FakeTriton(final) as triton:
        assert run(triton) == 1
    with FakeTriton(final) as triton:
        assert run(triton, "--max-error-percent", "80") == 0


def test_models_that_are_not_loaded_in_time_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTriton(ready=False) as triton:
        assert run(triton, "--timeout", "1") == 1
        assert f"Triton at {triton.address}: not ready after 1 s" in capsys.readouterr().err


def test_a_triton_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert self_check.main(["--triton", "127.0.0.1:9", "--timeout", "1"]) == 1
    assert "Triton at 127.0.0.1:9: not ready after 1 s" in capsys.readouterr().err


def test_an_error_of_a_stage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTriton(error_at=3) as triton:
        assert run(triton) == 1
    assert "the stage is on fire" in capsys.readouterr().err


def test_the_address_is_the_gateways(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_TRITON", "127.0.0.1:9")
    assert self_check.main(["--timeout", "1"]) == 1
    assert "Triton at 127.0.0.1:9" in capsys.readouterr().err


def test_the_real_server_passes(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    host, port = server.settings.triton
    assert self_check.main(["--triton", f"{host}:{port}", "--speed", "0"]) == 0
    assert "of 22 words differ; the final came" in capsys.readouterr().out
