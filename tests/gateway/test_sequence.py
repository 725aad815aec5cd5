"""Hops are numbered, and sequences begin and end."""

import json

import pytest

from gateway.sequence import Sequencer, random_sequence_id
from pipeline.options import StreamOptions


@pytest.fixture
def sequencer() -> Sequencer:
    ids = iter([7, 8, 9])
    return Sequencer(StreamOptions(beam_width=2), lambda: next(ids))


PCM = bytes(20)
"""Ten samples."""


def test_the_first_audio_starts_a_sequence_and_the_end_is_empty(sequencer: Sequencer) -> None:
    hops = [sequencer.audio(PCM), sequencer.audio(PCM), sequencer.end()]
    assert [hop.index for hop in hops] == [0, 1, 2]
    assert [hop.start for hop in hops] == [True, False, False]
    assert [hop.end for hop in hops] == [False, False, True]
    assert [hop.end_position for hop in hops] == [10, 20, 20]
    assert {hop.sequence_id for hop in hops} == {7}
    assert [hop.samples for hop in hops] == [10, 10, 0]
    assert [hop.start_position for hop in hops] == [0, 10, 20]
    assert json.loads(hops[0].options or "") == {"beam_width": 2}
    assert not sequencer.is_open


def test_a_later_sequence_goes_on_with_the_clock(sequencer: Sequencer) -> None:
    sequencer.audio(PCM)
    sequencer.end()
    hop = sequencer.audio(PCM)
    assert (hop.index, hop.first_hop, hop.sequence_id, hop.end_position) == (2, 2, 8, 20)
    assert json.loads(hop.options or "") == {"beam_width": 2, "start_sample": 10}


def test_the_newest_feedback_of_the_sequence_goes_back_once(sequencer: Sequencer) -> None:
    assert sequencer.audio(PCM).feedback == ""
    assert sequencer.audio(PCM).feedback is None
    sequencer.take_feedback(1, "new")
    sequencer.take_feedback(0, "old")
    assert sequencer.has_feedback
    assert sequencer.audio(PCM).feedback == "new"
    sequencer.take_feedback(0, "older than what was echoed")
    assert not sequencer.has_feedback
    assert sequencer.audio(PCM).feedback is None
    sequencer.take_feedback(3, "newest")
    assert sequencer.end().feedback == "newest"


def test_a_new_sequence_says_that_it_will_echo_and_knows_nothing_of_the_one_before(
    sequencer: Sequencer,
) -> None:
    sequencer.audio(PCM)
    sequencer.end()
    sequencer.take_feedback(0, "came behind the end")
    assert sequencer.audio(PCM).feedback == ""
    sequencer.take_feedback(1, "of the sequence before")
    assert sequencer.audio(PCM).feedback is None


def test_sequence_ids_fit_into_a_positive_int64() -> None:
    ids = {random_sequence_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(1 <= sequence_id < 2**63 for sequence_id in ids)


def test_to_ask_is_an_empty_hop_of_the_open_sequence(sequencer: Sequencer) -> None:
    sequencer.audio(PCM)
    hop = sequencer.ask()
    assert (hop.index, hop.sequence_id, hop.samples, hop.end_position) == (1, 7, 0, 10)
    assert (hop.asks, hop.start, hop.end) == (True, False, False)
    assert sequencer.is_open
