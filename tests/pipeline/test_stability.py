"""Stable partials: the committed stays, no word is doubled or lost, and little flickers."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stability import Partial, stabilise
from scripts.load.words import taken_back, tokens

WORDS = [f"w{number}" for number in range(40)]
"""All different, so that a word that is doubled or lost is seen."""

TEXTS = st.lists(
    st.sampled_from(["And", "so,", "so", "my", "my.", "don't", "5.50", "well-known", "“Go!”", "…"])
    | st.sampled_from(["да", "нет.", "我", "们，", "ข้อ", "नमस्ते", "—", "a", "b"]),
    max_size=12,
).map(" ".join)
ANY_TEXT = TEXTS | st.text(max_size=20).map(str.strip)
every = settings(deadline=None)


def shown(hypotheses: Sequence[str], interrupted: bool = True) -> list[Partial]:
    """What a segment's partials show, each fed with what the one before it said."""
    partials, previous, committed = [], "", ""
    for hypothesis in hypotheses:
        partial = stabilise(hypothesis, previous, committed, interrupted)
        partials.append(partial)
        previous, committed = hypothesis, partial.committed
    return partials


def texts(hypotheses: Sequence[str], interrupted: bool = True) -> list[str]:
    return [partial.text for partial in shown(hypotheses, interrupted)]


def flicker(partials: Sequence[str]) -> int:
    """Words taken back, as the load test counts them."""
    return sum(taken_back(tokens(old), tokens(new)) for old, new in pairwise(partials))


# What is held back.


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        ("And so my fell.", "And so my"),
        ("And so, my", "And so"),
        ("one, two", "one"),
        ("for $5.50", "for"),
        ("for 10%, or", "for 10"),
        ("a well-known", "a well"),
        ("he said “Go", "he said"),
        ("Введите одно", "Введите"),
        ("你好世界。", "你好世"),
        ("see 東京タ", "see 東京"),
        ("สวั", "ส"),
        ("नमस्ते, आप", "नमस्ते"),
        ("Yes.", ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_where_speech_runs_on_the_last_word_is_held_back(hypothesis: str, expected: str) -> None:
    assert stabilise(hypothesis, "", "", interrupted=True) == Partial(expected, "")


@every
@given(ANY_TEXT)
def test_behind_silence_nothing_is_held_back(hypothesis: str) -> None:
    assert stabilise(hypothesis, "", "", interrupted=False) == Partial(hypothesis, "")


def test_a_last_word_that_was_heard_twice_is_shown() -> None:
    assert texts(["Ask not.", "Ask not what", "Ask not what"]) == ["Ask", "Ask not", "Ask not what"]


# What is committed.


def test_what_two_hypotheses_agree_on_is_committed() -> None:
    assert [
        partial.committed for partial in shown(["And so my", "And so my fellow", "And so"])
    ] == [
        "",
        "And so my",
        "And so my",
    ]


def test_case_and_punctuation_are_no_contradiction_and_stay_as_committed() -> None:
    partials = shown(["and so, my", "And so, my fellow", "and so my fellow Americans ask"])
    assert [partial.committed for partial in partials] == ["", "And so, my", "And so, my fellow"]
    assert partials[-1].text == "And so, my fellow Americans"


def test_an_apostrophe_is_one_however_it_is_written() -> None:
    assert stabilise("I don’t know", "I don't", "", interrupted=True).committed == "I don’t"


def test_punctuation_is_committed_with_the_word_behind_it() -> None:
    partials = shown(
        ["my fellow Americans.", "my fellow Americans. Ask", "my fellow Americans, ask"]
    )
    assert [partial.committed for partial in partials] == [
        "",
        "my fellow Americans",
        "my fellow Americans, ask",
    ]


def test_punctuation_behind_the_committed_prefix_is_the_present_hypothesis_s() -> None:
    assert stabilise("Ask not!", "Ask not.", "Ask not", interrupted=False).text == "Ask not!"
    assert stabilise("Ask not!", "Ask not.", "Ask not", interrupted=True).text == "Ask not"


def test_in_scripts_without_spaces_characters_are_committed() -> None:
    assert shown(["我们走", "我们走吧，", "我们走吧！好"]) == [
        Partial("我们", ""),
        Partial("我们走", "我们走"),
        Partial("我们走吧", "我们走吧"),
    ]


@pytest.mark.parametrize("hypothesis", ["", "...", "♪"])
def test_a_hypothesis_without_words_keeps_what_is_committed(hypothesis: str) -> None:
    for interrupted in (True, False):
        partial = stabilise(hypothesis, "And so my", "And so", interrupted)
        assert partial == Partial("And so", "And so")


@pytest.mark.parametrize(
    "contradiction", ["Ask what you can", "Yes, ask what you can", "What you can"]
)
def test_committing_goes_on_behind_a_contradiction(contradiction: str) -> None:
    committed = "As what you"
    partial = stabilise("As what you can do", contradiction, committed, interrupted=True)
    assert partial.committed == "As what you can"
    partial = stabilise(f"{contradiction} do", "As what you can", committed, interrupted=True)
    assert partial.committed == "As what you can"


@every
@given(st.lists(st.tuples(ANY_TEXT, st.booleans()), max_size=6))
def test_what_is_committed_only_grows_and_is_always_shown(
    windows: list[tuple[str, bool]],
) -> None:
    previous = committed = ""
    for hypothesis, interrupted in windows:
        partial = stabilise(hypothesis, previous, committed, interrupted)
        assert partial.committed.startswith(committed)
        assert partial.text.startswith(partial.committed)
        previous, committed = hypothesis, partial.committed


@every
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, st.booleans())
def test_what_is_shown_is_the_committed_prefix_and_words_of_the_hypothesis(
    hypothesis: str, previous: str, before: str, interrupted: bool
) -> None:
    committed = stabilise(before, before, "", interrupted=True).committed
    partial = stabilise(hypothesis, previous, committed, interrupted)
    new = tokens(partial.text.removeprefix(committed))
    heard = tokens(hypothesis)
    assert any(heard[i : i + len(new)] == new for i in range(len(heard) + 1))


# Hypotheses that agree, and hypotheses that do not.


@every
@given(TEXTS, st.data())
def test_hypotheses_that_agree_are_shown_word_for_word(text: str, data: st.DataObject) -> None:
    words = text.split()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=5)))
    for cut, partial in zip(
        cuts, shown([" ".join(words[:cut]) for cut in cuts], False), strict=True
    ):
        assert tokens(partial.text) == tokens(" ".join(words[:cut]))


Edit = Callable[[list[str], int], list[str]]
EDITS: dict[str, Edit] = {
    "a word more": lambda words, at: [*words[:at], "more", *words[at:]],
    "a word less": lambda words, at: [*words[:at], *words[at + 1 :]],
    "another word": lambda words, at: [*words[:at], "other", *words[at + 1 :]],
}


@pytest.mark.parametrize("edit", EDITS)
@every
@given(data=st.data())
def test_a_contradiction_within_the_committed_prefix_doubles_and_loses_no_word(
    edit: str, data: st.DataObject
) -> None:
    length = data.draw(st.integers(2, len(WORDS)))
    kept = data.draw(st.integers(2, length))
    at = data.draw(st.integers(0, kept - 2))
    said = WORDS[:length]
    heard = EDITS[edit](said, at)
    partial = stabilise(" ".join(heard), "", " ".join(said[:kept]), interrupted=False)
    assert partial.text == " ".join(said)


@every
@given(kept=st.integers(1, 20), more=st.integers(0, 10))
def test_another_word_at_the_end_of_the_committed_prefix_is_not_shown_behind_it(
    kept: int, more: int
) -> None:
    heard = [*WORDS[: kept - 1], "other", *WORDS[kept : kept + more]]
    partial = stabilise(" ".join(heard), "", " ".join(WORDS[:kept]), interrupted=False)
    assert partial.text == " ".join(WORDS[: kept + more])


@pytest.mark.parametrize(
    "heard",
    ["x b d e f g h", "x b c d y e f g h", "a c d f g h", "a x b c y d e f g h", "b c x d e f g h"],
)
def test_several_contradictions_double_and_lose_no_word_either(heard: str) -> None:
    assert stabilise(heard, "", "a b c d e f", interrupted=False).text == "a b c d e f g h"


def test_a_word_that_comes_again_later_does_not_swallow_what_lies_before_it() -> None:
    partial = stabilise(
        "the cat sat in a house by the sea", "", "the cat sat on the", interrupted=False
    )
    assert partial.text == "the cat sat on the house by the sea"


def test_a_shorter_hypothesis_takes_nothing_committed_back() -> None:
    assert stabilise("And so", "And so my fellow", "And so my", False).text == "And so my"


def test_a_word_that_replaced_a_character_does_not_run_into_the_next() -> None:
    assert stabilise("日abc", "", "hello", interrupted=False).text == "hello abc"


# Streams.


@pytest.mark.parametrize(
    "said", ["And so, my fellow Americans, ask not.", "Введите одно или два, и всё."]
)
def test_a_last_word_that_wobbles_does_not_flicker(said: str) -> None:
    words = said.split()
    hypotheses = [
        " ".join([*words[:count], wobble])
        for count in range(len(words))
        for wobble in ("Amer.", "amnesty...")
    ]
    partials = [*texts(hypotheses), said]
    assert flicker(hypotheses) > len(words)
    assert flicker(partials) == 0
    assert partials[-2] == " ".join(words[:-1]).rstrip(",")


@every
@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=12), st.data())
def test_growing_hypotheses_with_any_last_word_do_not_flicker(
    words: list[str], data: st.DataObject
) -> None:
    counts = sorted(data.draw(st.lists(st.integers(0, len(words)), min_size=1, max_size=8)))
    # No last word comes twice in a row: what is heard twice is believed.
    wobbles = [f"x{number}" for number in range(len(counts))]
    hypotheses = [
        " ".join([*words[:count], wobble]) for count, wobble in zip(counts, wobbles, strict=True)
    ]
    assert flicker([*texts(hypotheses), " ".join(words)]) == 0


def test_a_recorded_utterance_flickers_less_than_its_hypotheses() -> None:
    hypotheses = [
        "La conferencia y la",
        "La conferencia insierá cuando",
        "La conferencia insiará cuando nuestro glorios",
        "La conferencia iniciará cuando nuestro glorioso líder llegue.",
    ]
    final = hypotheses[-1]
    assert flicker([*hypotheses, final]) == 5
    assert flicker([*texts(hypotheses), final]) == 3
