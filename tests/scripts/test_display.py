"""What people see: partials in place on a terminal, finals for good, no escape codes elsewhere."""

import io
import os
import shutil

import pytest

from scripts.display import Display, Message, cells, final_lines, wrap
from tests.scripts.fake_gateway import transcription


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 21 columns and 4 lines."""
    size = os.terminal_size((21, 4))
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: size)


def shown(*messages: Message, terminal: bool) -> str:
    out = io.StringIO()
    display = Display(out, terminal=terminal)
    for message in messages:
        display.show(message)
    return out.getvalue()


def test_a_partial_is_replaced_by_the_next_and_by_its_final() -> None:
    text = shown(
        transcription("tell", final=False),
        transcription("tell me", final=False),
        transcription("Tell me."),
        terminal=True,
    )
    assert text == "... tell\r\x1b[J... tell me\r\x1b[J[  3.49 -   6.78] Tell me.\n"


def test_without_a_terminal_partials_are_lines_and_there_are_no_escape_codes() -> None:
    text = shown(transcription("tell", final=False), transcription("Tell me."), terminal=False)
    assert text == "... tell\n[  3.49 -   6.78] Tell me.\n"


@pytest.mark.usefixtures("narrow")
def test_a_long_partial_takes_several_rows_and_all_of_them_go() -> None:
    text = shown(
        transcription("one two three four five six", final=False),
        transcription("one", final=False),
        terminal=True,
    )
    assert text == "... one two three\nfour five six\r\x1b[1A\x1b[J... one"


def test_what_is_not_committed_of_a_partial_is_faint() -> None:
    for committed, expected in [
        ("", "...\x1b[2m tell me what\x1b[22m"),
        ("tell me", "... tell me\x1b[2m what\x1b[22m"),
        ("tell me what", "... tell me what"),
    ]:
        message = transcription("tell me what", final=False) | {"committed": committed}
        assert shown(message, terminal=True) == expected
        assert shown(message, terminal=False) == "... tell me what\n"


@pytest.mark.usefixtures("narrow")
def test_rows_of_a_partial_are_faint_from_where_the_committed_text_ends() -> None:
    text = "one two three four five six seven"
    for committed, expected in [
        ("one two", "... one two\x1b[2m three\x1b[22m\n\x1b[2mfour five six seven\x1b[22m"),
        ("one two three", "... one two three\n\x1b[2mfour five six seven\x1b[22m"),
        ("one two three four", "... one two three\nfour\x1b[2m five six seven\x1b[22m"),
    ]:
        message = transcription(text, final=False) | {"committed": committed}
        assert shown(message, terminal=True) == expected


@pytest.mark.usefixtures("narrow")
def test_a_long_committed_text_is_not_faint_where_the_terminal_shows_its_end() -> None:
    words = " ".join(f"word{number:02}" for number in range(20))
    message = transcription(words, final=False) | {"committed": words.removesuffix(" word19")}
    assert shown(message, terminal=True).endswith("word18\x1b[2m word19\x1b[22m")


@pytest.mark.usefixtures("narrow")
def test_a_partial_higher_than_the_terminal_shows_its_end() -> None:
    words = " ".join(f"word{number:02}" for number in range(20))
    text = shown(transcription(words, final=False), terminal=True)
    assert text.count("\n") == 2
    assert text.endswith("word19")


def test_wide_characters_count_two_cells_and_combining_ones_none() -> None:
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
    assert wrap("日本語日本語", 5) == ["日本", "語日", "本語"]


def test_finals_carry_language_and_doubt() -> None:
    message = transcription(
        "Merci.", language_code="fr", language_prob=0.981, possible_hallucination=True
    )
    assert list(final_lines(message)) == [
        "[  3.49 -   6.78] (fr 0.98) Merci. (possible hallucination)"
    ]


def test_words_and_beams_are_shown_when_they_are_there() -> None:
    message = transcription(
        "Tell me.",
        word_timestamps=[{"word": " Tell", "start_time": 3.5, "end_time": 3.7, "prob": 0.9}],
        beam_results=[{"text": "Tell me.", "log_prob": -0.5}, "Tell them."],
    )
    assert list(final_lines(message))[1:] == [
        "      3.50 -   3.70  Tell  (0.90)",
        "    beam: Tell me.  (-0.50)",
        "    beam: Tell them.",
    ]


def test_a_final_without_segments_shows_nothing() -> None:
    assert list(final_lines({"segments": [], "is_final": True})) == []


def test_text_cannot_command_the_terminal() -> None:
    assert list(final_lines(transcription("a\x1b[2Jb\nc"))) == ["[  3.49 -   6.78] a [2Jb c"]
