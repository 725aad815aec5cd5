"""The tests of `tests/end_to_end/test_streams.py`, with the production models."""

from tests.end_to_end.test_streams import *  # noqa: F403
