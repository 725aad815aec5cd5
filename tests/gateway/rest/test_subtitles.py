"""Words become cues that can be read, in SRT and WebVTT."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.rest.subtitles import LINE_COLUMNS, MAX_CUE_S, Cue, cues, srt, vtt
from gateway.rest.transcript import TimedWord


def words(text: str, start_s: float = 0.0, word_s: float = 0.3) -> list[TimedWord]:
    """The words of a text, one after the other."""
    return [
        TimedWord(
            word if at == 0 else f" {word}", start_s + at * word_s, start_s + (at + 1) * word_s, 1.0
        )
        for at, word in enumerate(text.split())
    ]


def texts(found: Sequence[Cue]) -> list[str]:
    return [cue.text for cue in found]


def columns(text: str) -> int:
    return sum(2 if each == "你" else 1 for each in text)


def test_a_short_text_is_one_cue() -> None:
    assert list(cues(words("Good morning to all."))) == [Cue(0, 1.2, "Good morning to all.")]


def test_nothing_said_is_no_cue() -> None:
    assert list(cues([])) == []
    assert srt([]) == ""
    assert vtt([]) == "WEBVTT\n\n"


def test_a_cue_ends_with_its_sentence() -> None:
    said = words("Good morning to all of you. Today we will talk about trees.")
    assert texts(list(cues(said))) == [
        "Good morning to all of you.",
        "Today we will talk about trees.",
    ]


def test_a_sentence_that_is_over_at_once_shares_its_cue() -> None:
    assert texts(list(cues(words("Yes. That is what I said.")))) == ["Yes. That is what I said."]


def test_a_cue_ends_before_a_pause() -> None:
    said = [*words("He turned"), *words("sharply and faced Gregson.", start_s=2.0)]
    assert texts(list(cues(said))) == ["He turned", "sharply and faced Gregson."]


def test_a_full_cue_ends_behind_a_comma() -> None:
    said = words(
        "it was the best of times of all that we remember, and it was the worst of times for us "
        "as everybody knows",
        word_s=0.2,
    )
    assert texts(list(cues(said)))[0].replace("\n", " ").endswith("remember,")


def test_a_long_cue_has_two_lines_of_about_the_same_length() -> None:
    (cue,) = cues(words("And so my fellow Americans ask not what your country can do", word_s=0.2))
    first, second = cue.text.split("\n")
    assert abs(len(first) - len(second)) < 10


def test_wide_characters_count_twice_and_need_no_spaces() -> None:
    said = [TimedWord(each, at * 0.1, at * 0.1 + 0.1, 1.0) for at, each in enumerate("你好" * 40)]
    for cue in cues(said):
        assert all(len(line) <= LINE_COLUMNS / 2 for line in cue.text.split("\n"))


def test_srt_is_numbered_and_has_commas_in_its_times() -> None:
    said = [*words("One."), *words("Two.", start_s=3661.5)]
    assert srt(said) == (
        "1\n00:00:00,000 --> 00:00:00,300\nOne.\n\n2\n01:01:01,500 --> 01:01:01,800\nTwo.\n\n"
    )


def test_vtt_escapes_what_has_a_meaning_there() -> None:
    assert vtt(words("A<b> & c")) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.900\nA&lt;b&gt; &amp; c\n\n"
    )


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("abcé你.,?"), min_size=1, max_size=12),
            st.floats(0, 2),
            st.floats(0.01, 1.5),
        ),
        max_size=60,
    )
)
def test_cues_hold_all_words_in_order_and_can_be_read(
    spoken: list[tuple[str, float, float]],
) -> None:
    said: list[TimedWord] = []
    at_s = 0.0
    for text, pause_s, length_s in spoken:
        start_s = at_s + pause_s
        at_s = start_s + length_s
        said.append(TimedWord(f" {text}" if said else text, start_s, at_s, 1.0))
    found = list(cues(said))
    together = " ".join(cue.text.replace("\n", " ") for cue in found)
    assert together.split() == "".join(word.text for word in said).split()
    for before, after in pairwise(found):
        assert before.end_s <= after.start_s
    for cue in found:
        assert cue.end_s - cue.start_s <= MAX_CUE_S
        lines = cue.text.split("\n")
        assert len(lines) <= 2
        assert all(columns(line) <= LINE_COLUMNS for line in lines)
