"""The tests of `tests/end_to_end/test_messages.py`, with the production models."""

from tests.end_to_end.test_messages import *  # noqa: F403
