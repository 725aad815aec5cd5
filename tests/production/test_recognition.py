"""The tests of `tests/end_to_end/test_recognition.py`, with the production models.

Without those of beams (the engine is built for one) and of no_repeat_ngram_size (it has no tensor).
"""

from tests.end_to_end.test_recognition import (  # noqa: F401
    test_a_prompt_of_the_greatest_length_is_taken,
    test_a_prompt_sets_the_spelling_of_a_name,
    test_a_strong_repetition_penalty_changes_the_text,
    test_dynamic_preprocessing_hears_speech_that_is_forty_db_softer,
    test_dynamic_preprocessing_leaves_times_and_text_of_loud_speech,
    test_every_beam_width_hears_the_text,
    test_sampling_parameters_are_accepted_and_keep_the_text,
    test_words_are_not_told_unless_asked_for,
    test_words_rise_within_their_segment_and_joined_are_its_text,
    test_words_stand_where_they_are_spoken,
)
