"""Whose pages may talk to the server."""

import pytest

from gateway.origins import is_allowed, is_origin


def test_programs_send_no_origin_and_are_let_in() -> None:
    assert is_allowed(None, "127.0.0.1:8000", ())
    assert is_allowed(None, None, ())


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("https://captions.example", "captions.example"),
        ("https://Captions.example", "captions.EXAMPLE"),
        ("https://captions.example", "captions.example:443"),
        ("https://captions.example:8443", "captions.example:8443"),
        ("http://[::1]", "[::1]:80"),
    ],
)
def test_the_page_of_this_server_is_let_in(origin: str, host: str) -> None:
    assert is_allowed(origin, host, ())


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "127.0.0.1:8000"),
        ("http://127.0.0.1:8001", "127.0.0.1:8000"),
        ("http://localhost", "localhost:8000"),
        ("https://captions.example.evil.example", "captions.example"),
        ("https://evil.example/captions.example", "captions.example"),
        ("https://captions.example@evil.example", "captions.example"),
        ("null", "captions.example"),
        ("", "captions.example"),
        ("file://", "captions.example"),
        ("captions.example", "captions.example"),
        ("https://captions.example", None),
        ("https://\udcff", "captions.example"),
    ],
)
def test_any_other_page_is_not(origin: str, host: str | None) -> None:
    assert not is_allowed(origin, host, ())


def test_the_operator_may_name_others_or_all() -> None:
    allowed = ("https://one.example", "null")
    for origin in (*allowed, "https://ONE.example"):
        assert is_allowed(origin, "captions.example", allowed)
    assert not is_allowed("https://two.example", "captions.example", allowed)
    assert not is_allowed("http://one.example", "captions.example", allowed)
    assert is_allowed("https://two.example", "captions.example", ("*",))


@pytest.mark.parametrize("text", ["null", "https://a.example", "http://a.example:81", "app://a"])
def test_what_a_browser_may_send_is_an_origin(text: str) -> None:
    assert is_origin(text)


@pytest.mark.parametrize("text", ["", "a.example", "https://", "https://a.example/path", "a:b"])
def test_anything_else_is_none(text: str) -> None:
    assert not is_origin(text)
