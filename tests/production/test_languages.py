"""The tests of `tests/end_to_end/test_languages.py`, with the production models."""

from tests.end_to_end.test_languages import *  # noqa: F403
