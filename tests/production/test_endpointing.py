"""Those tests of `tests/end_to_end/test_endpointing.py` that finals depend on, with the production
models.

Not those of the pace of partials: 30 s windows on a CPU are slower than the interval.
"""

from tests.end_to_end.test_endpointing import (  # noqa: F401
    test_a_long_utterance_is_cut_in_its_pauses_and_loses_no_word,
    test_min_silence_decides_how_many_finals_there_are,
    test_no_partial_follows_its_final_and_numbers_have_no_gaps,
    test_partials_come_only_when_asked_for,
    test_times_count_from_the_first_sample_that_was_sent,
)
