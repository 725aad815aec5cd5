"""The tests of `tests/end_to_end/test_no_speech.py`, with the production models."""

from tests.end_to_end.test_no_speech import *  # noqa: F403
