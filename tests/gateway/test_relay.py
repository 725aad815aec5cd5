"""The order rules, for every order in which answers can come."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.relay import Message, Relay


def message(utterance: int, is_final: bool, text: str = "words") -> Message:
    segments = [{"text": text}] if text else []
    return {"transcription_num": utterance, "is_final": is_final, "segments": segments}


def partial(utterance: int, text: str = "words") -> Message:
    return message(utterance, False, text)


def final(utterance: int, text: str = "words") -> Message:
    return message(utterance, True, text)


def told(messages: list[Message]) -> list[tuple[int, bool]]:
    return [(m["transcription_num"], m["is_final"]) for m in messages]


@dataclass
class Hop:
    """What the engine makes of one hop, and where it came from."""

    index: int
    sequence: int
    answer: Message | None
    errored: bool = False


KINDS = ["empty", "partial", "silent partial", "final", "silent final", "lost partial",
         "lost final", "new sequence"]  # fmt: skip


def hops_of(kinds: list[str]) -> list[Hop]:
    """A stream as the pipeline would make it: utterances counted from 0 in each sequence."""
    hops: list[Hop] = []
    utterance = sequence = 0
    for index, kind in enumerate(kinds):
        if kind == "new sequence":
            utterance, sequence = 0, index
        lost = kind.startswith("lost")
        text = "" if "silent" in kind else f"hop {index}"
        answer = None
        if "partial" in kind or "final" in kind:
            answer = message(utterance, "final" in kind, text)
        hops.append(Hop(index, sequence, None if lost else answer, lost))
        utterance += "final" in kind
    return hops


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Hop], list[int]]:
    hops = hops_of(draw(st.lists(st.sampled_from(KINDS), max_size=14)))
    return hops, draw(st.permutations(range(len(hops))))


def relay_all(hops: list[Hop], order: list[int]) -> list[Message]:
    relay, out = Relay(), []
    for i in order:
        out += relay.answer(i, hops[i].sequence, hops[i].answer)
    return out


def source(message: Message) -> int:
    """The hop that a message with text came from."""
    return int(message["segments"][0]["text"].split()[1])


@settings(max_examples=200)
@given(streams())
def test_every_final_with_words_goes_out_once_and_in_order(
    stream: tuple[list[Hop], list[int]],
) -> None:
    hops, order = stream
    out = relay_all(hops, order)
    spoken = [
        hop.index
        for hop in hops
        if hop.answer and hop.answer["is_final"] and hop.answer["segments"]
    ]
    assert [source(m) for m in out if m["is_final"] and m["segments"]] == spoken


@settings(max_examples=200)
@given(streams())
def test_numbers_are_contiguous_and_nothing_follows_a_final(
    stream: tuple[list[Hop], list[int]],
) -> None:
    out = relay_all(*stream)
    numbers = [m["transcription_num"] for m in out]
    assert numbers[:1] in ([], [0])
    for before, after in pairwise(out):
        step = after["transcription_num"] - before["transcription_num"]
        assert step in (0, 1)
        assert step == 1 or not before["is_final"]


@settings(max_examples=200)
@given(streams())
def test_partials_of_an_utterance_only_get_newer(stream: tuple[list[Hop], list[int]]) -> None:
    out = [m for m in relay_all(*stream) if m["segments"]]
    for before, after in pairwise(out):
        assert source(before) < source(after)


@settings(max_examples=200)
@given(streams())
def test_no_message_is_without_segments_unless_text_was_shown(
    stream: tuple[list[Hop], list[int]],
) -> None:
    shown: set[int] = set()
    for m in relay_all(*stream):
        assert m["segments"] or m["transcription_num"] in shown
        shown.add(m["transcription_num"])


@settings(max_examples=100)
@given(st.lists(st.sampled_from(KINDS), max_size=14))
def test_in_order_answers_wait_for_nothing(kinds: list[str]) -> None:
    relay = Relay()
    for hop in hops_of(kinds):
        out = relay.answer(hop.index, hop.sequence, hop.answer)
        assert bool(out) or not (hop.answer and hop.answer["segments"])


def test_a_final_waits_for_an_earlier_final_only_while_it_can_come() -> None:
    relay = Relay()
    assert relay.answer(2, 0, final(1)) == []
    assert relay.answer(1, 0, None) == []  # hop 0 may still bring the first utterance's final
    assert told(relay.answer(0, 0, None)) == [(0, True)]  # it has failed


def test_a_final_goes_at_once_when_all_earlier_finals_are_out() -> None:
    relay = Relay()
    assert told(relay.answer(3, 0, final(0))) == [(0, True)]  # hops 0 to 2 are unanswered
    assert told(relay.answer(5, 0, final(1))) == [(1, True)]


def test_the_newest_partial_is_kept_while_it_waits() -> None:
    relay = Relay()
    assert relay.answer(3, 0, partial(1, "old")) == []
    assert relay.answer(5, 0, partial(1, "newest")) == []
    assert relay.answer(4, 0, partial(1, "older")) == []
    out = relay.answer(1, 0, final(0))
    assert told(out) == [(0, True), (1, False)]
    assert out[1]["segments"] == [{"text": "newest"}]


def test_a_partial_that_comes_late_is_dropped() -> None:
    relay = Relay()
    assert told(relay.answer(2, 0, partial(0))) == [(0, False)]
    assert relay.answer(1, 0, partial(0)) == []
    assert told(relay.answer(3, 0, final(0))) == [(0, True)]
    assert relay.answer(0, 0, partial(0)) == []


def test_text_that_was_shown_is_taken_back_by_an_empty_final() -> None:
    relay = Relay()
    assert told(relay.answer(0, 0, partial(0))) == [(0, False)]
    assert told(relay.answer(1, 0, final(0, text=""))) == [(0, True)]
    assert told(relay.answer(2, 0, final(1))) == [(1, True)]


def test_an_utterance_without_words_takes_no_number() -> None:
    relay = Relay()
    assert relay.answer(0, 0, partial(0, text="")) == []
    assert relay.answer(1, 0, final(0, text="")) == []
    assert told(relay.answer(2, 0, final(1))) == [(0, True)]


def test_a_new_sequence_waits_for_the_one_before_and_counts_on() -> None:
    relay = Relay()
    assert relay.answer(3, 3, partial(0)) == []  # hop 2, the END before, may bring a final
    assert relay.answer(0, 0, None) == []
    assert relay.answer(1, 0, None) == []
    assert told(relay.answer(2, 0, final(0))) == [(0, True), (1, False)]
    assert told(relay.answer(9, 3, final(0))) == [(1, True)]


def test_other_fields_are_relayed_as_they_are() -> None:
    answer: dict[str, Any] = {**final(4), "language_code": "fr"}
    (out,) = Relay().answer(0, 0, answer)
    assert out == {**answer, "transcription_num": 0}


def test_how_the_stream_could_go_on_counts_once_all_before_it_is_answered() -> None:
    """A final that was made before may still be on its way."""
    relay = Relay()
    relay.answer(2, 0, None, {"listen_from": 20})
    relay.answer(0, 0, None)
    assert relay.asked is None
    assert told(relay.answer(1, 0, final(0))) == [(0, True)]
    assert relay.asked == {"listen_from": 20}


def test_the_newest_of_what_counts_is_kept() -> None:
    relay = Relay()
    relay.answer(1, 0, None, {"listen_from": 10})
    relay.answer(2, 0, None, {"listen_from": 20})
    relay.answer(4, 0, None, {"listen_from": 40})
    relay.answer(0, 0, None)
    assert relay.asked == {"listen_from": 20}


def test_what_a_lost_triton_said_and_does_not_count_yet_never_will() -> None:
    relay = Relay()
    relay.answer(1, 0, None, {"listen_from": 10})
    relay.interrupt(2)
    relay.answer(2, 2, None)
    assert relay.asked is None
