"""Keys at the upgrade."""

import pytest

from gateway.auth import shown_key

KEYS = ("first", "sécond")


@pytest.mark.parametrize(
    "header",
    ["Api-Key first", "Bearer first", "Token first", "api-key  first ", "BEARER sécond"],
)
def test_any_scheme_with_a_known_key_is_let_in(header: str) -> None:
    assert shown_key(header, KEYS) == ("first" if "first" in header else "sécond")


@pytest.mark.parametrize(
    "header",
    [None, "", "first", "Basic first", "Api-Key", "Api-Key ", "Api-Key firs", "Bearer \udcff"],
)
def test_anything_else_is_not(header: str | None) -> None:
    assert shown_key(header, KEYS) is None


@pytest.mark.parametrize(
    "subprotocols",
    [
        "streaming-whisper, api-key.Zmlyc3Q",
        "api-key.c8OpY29uZA,streaming-whisper",
        "token, first",
        "bearer,first",
        "realtime, openai-insecure-api-key.first, openai-beta.realtime-v1",
    ],
)
def test_a_browser_offers_a_known_key_as_a_subprotocol(subprotocols: str) -> None:
    assert shown_key(None, KEYS, subprotocols) in KEYS


@pytest.mark.parametrize(
    "subprotocols",
    [
        "",
        "first",
        "streaming-whisper, first",
        "streaming-whisper, api-key.",
        "streaming-whisper, api-key.first",
        "streaming-whisper, api-key.Zmlyc3",
        "streaming-whisper, api-key.Z",
        "streaming-whisper, api-key.\udcff",
        "token",
        "first, token",
        "token, realtime, first",
        "realtime, openai-insecure-api-key.firs",
    ],
)
def test_any_other_subprotocol_opens_nothing(subprotocols: str) -> None:
    assert shown_key(None, KEYS, subprotocols) is None
