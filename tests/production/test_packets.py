"""Those tests of `tests/end_to_end/test_packets.py` with the most stages in them, with the
production models."""

from tests.end_to_end.test_packets import (  # noqa: F401
    test_packets_of_any_size_give_the_same_finals,
    test_the_same_speech_has_the_same_times_in_every_encoding_and_rate,
)
