"""What users see of a stream: lags, held streams, first partials, finals, flicker, word errors."""

import math

import pytest

from scripts.error_rate import WordErrors
from scripts.load.metrics import (
    Flicker,
    Quantiles,
    final_latencies_s,
    first_texts,
    flicker,
    is_held,
    quantiles,
    scored,
    seen_words,
)
from scripts.load.track import Clip, Failure, Played, Shown, Speech, Track, Word
from scripts.load.words import erased, taken_back, tokens

WORDS = "ant bee cat dog eel fox".split()
CLIP = Clip(
    "zoo.wav",
    "en",
    4.0,
    "Ant, bee, cat, dog, eel, fox.",
    Speech(
        tuple(Word(word, 0.5 * i + 0.5, 0.5 * i + 1.0) for i, word in enumerate(WORDS)),
        utterances_s=(0.5,),
        text="Ant bee cat dog eel fax.",
        measured=True,
    ),
)
"""Words end at 1.0, 1.5, ... 3.5 s."""


def track(*shown: Shown, clips: tuple[Clip, ...] = (CLIP,), duration_s: float = 30.0) -> Track:
    begins = [sum(clip.duration_s for clip in clips[:index]) for index in range(len(clips))]
    played = [Played(clip, begin_s) for clip, begin_s in zip(clips, begins, strict=True)]
    return Track(0, "en", "pcm", played, duration_s, list(shown), sent_s=duration_s)


def partial(at_s: float, text: str, number: int = 0, start_s: float = 0.5) -> Shown:
    return Shown(at_s, False, number, text, start_s, at_s - 0.1)


def final(
    at_s: float, text: str, number: int = 0, start_s: float = 0.5, end_s: float = 3.5
) -> Shown:
    return Shown(at_s, True, number, text, start_s, end_s)


def lags(played: Track) -> list[float | None]:
    return [None if s.lag_s is None else round(s.lag_s, 3) for s in seen_words(played)]


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert tokens("Ask NOT, what's “yours”… 25!") == ["ask", "not", "what's", "yours", "25"]
    assert tokens("Qu’est-ce que l'été") == ["qu'est", "ce", "que", "l'été"]


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert tokens("今日はOK です。") == ["今", "日", "は", "ok", "で", "す"]


def test_a_words_lag_counts_to_the_first_message_that_shows_it() -> None:
    heard = track(
        partial(1.7, "Ant, bee."),
        partial(2.9, "Ant bean cat dog"),
        final(3.9, "Ant, bee, cat, dog, eel, fox."),
    )
    assert lags(heard) == [0.7, 0.2, 0.9, 0.4, 0.9, 0.4]


def test_a_word_that_is_misheard_is_never_seen() -> None:
    assert lags(track(final(4.0, "Ant bee cat dig eel fox"))) == [3.0, 2.5, 2.0, None, 1.0, 0.5]


def test_a_repeated_recording_is_seen_again_and_not_before_it_is_played() -> None:
    heard = track(
        final(4.0, "ant bee cat dog eel fox"),
        final(7.9, "ant bee cat dog eel fox", 1, 4.5, 7.5),
        clips=(CLIP, CLIP),
    )
    assert lags(heard) == [3.0, 2.5, 2.0, 1.5, 1.0, 0.5, 2.9, 2.4, 1.9, 1.4, 0.9, 0.4]


def test_words_after_the_end_of_the_audio_were_not_spoken() -> None:
    assert [word.token for word in track(duration_s=2.2).words()] == ["ant", "bee", "cat"]


def test_servers_that_tell_no_times_are_measured_all_the_same() -> None:
    assert lags(track(Shown(4.0, True, 0, "ant bee cat dog eel fox")))[0] == 3.0


@pytest.mark.parametrize(("late_s", "held"), [(1.9, True), (2.1, False)])
def test_a_stream_is_held_when_its_last_thirds_median_word_came_within_two_seconds(
    late_s: float, held: bool
) -> None:
    heard = track(
        Shown(3.0 + late_s, True, 0, "eel", 2.8, 3.1),
        Shown(3.5 + late_s, True, 1, "fox", 3.3, 3.6),
        duration_s=4.2,  # its last third begins at 2.8 s; the words before it are never shown
    )
    assert is_held(heard, seen_words(heard)) is held


def test_words_never_shown_count_as_late_and_failed_streams_are_not_held() -> None:
    silent = track(duration_s=4.0)
    assert not is_held(silent, seen_words(silent))
    nothing_said = track(clips=())
    assert is_held(nothing_said, [])
    nothing_said.failure = Failure("refused", "full")
    assert not is_held(nothing_said, [])


def test_a_first_partial_counts_from_where_the_utterance_begins() -> None:
    heard = track(
        partial(1.2, ""),
        partial(1.7, "Ant"),
        final(3.9, "Ant bee cat dog eel fox"),
        final(8.0, "ant bee cat dog eel fox", 1, 4.5, 7.5),
        clips=(CLIP, CLIP, CLIP),
    )
    first, second, third = first_texts(heard)
    assert [first.begin_s, first.partial_s] == [0.5, pytest.approx(1.2)]
    assert [second.partial_s, second.text_s] == [None, pytest.approx(3.5)]
    assert (third.partial_s, third.text_s) == (None, None)


def test_a_late_message_of_the_utterance_before_is_no_first_partial() -> None:
    late = Shown(5.5, False, 0, "ant bee cat", 0.5, 3.5)
    heard = track(late, partial(6.0, "ant", 1, 4.5), clips=(CLIP, CLIP))
    assert [first.partial_s for first in first_texts(heard)] == [5.0, 1.5]


def test_a_final_is_due_when_the_asked_silence_has_passed() -> None:
    padded = final(4.2, "Ant.", end_s=3.53)
    assert final_latencies_s(track(padded), 0.3, 0.03) == [pytest.approx(0.4)]


def test_finals_cut_at_their_maximum_or_by_the_end_are_not_late_or_early() -> None:
    cut = final(12.0, "ant bee", 0, 0.5, 9.0)
    next_one = final(15.0, "cat", 1, 9.1, 14.5)
    last = final(30.1, "dog", 2, 28.0, 29.9)
    assert final_latencies_s(track(cut, next_one, last), 0.3, 0.0) == [pytest.approx(0.2)]


def test_flicker_counts_words_that_the_next_message_no_longer_has() -> None:
    heard = track(
        partial(1.7, "ant bean"),
        partial(2.9, "Ant, bee cat dot"),
        final(3.9, "ant bee cat dog eel fox"),
        final(8.0, "gnu", 1, 4.5, 7.5),
    )
    found = flicker(heard)
    assert found == Flicker(taken_back=2, erased=2, words=7)
    assert found.rate == pytest.approx(2 / 7)
    assert (found + found).words == 14
    assert Flicker().rate is None


def test_an_early_change_takes_back_a_word_but_rewrites_all_behind_it() -> None:
    before, after = "a b c d".split(), "a x c d e".split()
    assert (taken_back(before, after), erased(before, after)) == (1, 3)


def test_quantiles_are_values_that_occurred() -> None:
    assert quantiles(range(100, 0, -1)) == Quantiles(100, 50, 95, 99, 100)
    assert quantiles([3.0]) == Quantiles(1, 3.0, 3.0, 3.0, 3.0)
    assert quantiles([1.0, math.inf]).p50 == 1.0
    assert quantiles([]) == Quantiles(0, None, None, None, None)


def test_finals_are_scored_against_the_recordings_they_lie_in() -> None:
    heard = track(
        final(3.9, "Ant bee cat dog eel fox"),
        final(5.9, "ant bee", 1, 4.5, 5.5),
        final(8.0, "cap dog eel fox", 2, 6.0, 7.5),
        clips=(CLIP, CLIP),
    )
    first, second = scored(heard)
    assert first.heard == WordErrors(words=6)
    assert second.heard == WordErrors(words=6, substitutions=1)
    assert second.alone == WordErrors(words=6, substitutions=1)


def test_a_final_over_two_recordings_joins_them() -> None:
    both = final(8.0, "ant bee cat dog eel fox ant bee cat dog eel", 0, 0.5, 7.5)
    (only,) = scored(track(both, clips=(CLIP, CLIP)))
    assert only.heard == WordErrors(words=12, deletions=1)


def test_recordings_that_were_cut_or_have_no_text_are_not_scored() -> None:
    untold = Clip("talk.wav", "en", 4.0, None, CLIP.speech)
    heard = track(final(3.9, "ant"), clips=(untold, CLIP))
    heard.played[1] = Played(CLIP, 4.0, whole=False)
    assert list(scored(heard)) == []
    unsent = track(final(3.9, "ant"))
    unsent.sent_s = 2.0
    assert list(scored(unsent)) == []
