"""Keys at the upgrade."""

import pytest

from gateway.auth import is_authorized

KEYS = ("first", "sécond")


@pytest.mark.parametrize(
    "header", ["Api-Key first", "Bearer first", "api-key  first ", "BEARER sécond"]
)
def test_either_scheme_with_a_known_key_is_let_in(header: str) -> None:
    assert is_authorized(header, KEYS)


@pytest.mark.parametrize(
    "header",
    [None, "", "first", "Basic first", "Api-Key", "Api-Key ", "Api-Key firs", "Bearer \udcff"],
)
def test_anything_else_is_not(header: str | None) -> None:
    assert not is_authorized(header, KEYS)


def test_without_keys_everybody_is_let_in() -> None:
    assert is_authorized(None, ())
