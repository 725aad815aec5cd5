"""What the page says when it is not served, and the way on that it offers."""

import re

import pytest
from websockets.sync.client import connect

from tests.end_to_end.page.browser import Page
from tests.end_to_end.page.conftest import MakeGateway, OpenPage
from tests.end_to_end.recordings import GREGSON, clips, errors_in

RECORDING = clips()[GREGSON].path
KEY = "clé-secrète 1"
REFUSED = ("WebSocket connection to", "Failed to load resource", "capture-worklet.js")
"""The browser itself says these."""


def heard(finals: list[str]) -> bool:
    """Whether they are the recording's."""
    return bool(finals) and errors_in(" ".join(finals), GREGSON).errors == 0


def has_problem(page: Page, title: str) -> str:
    """Wait for a problem; all that is said of it."""
    return page.until(lambda: text if title in (text := page.text("#problem")) else "")


def test_a_server_with_keys_is_given_one_which_is_forgotten_with_the_tab(
    gateway: MakeGateway, open_page: OpenPage
) -> None:
    with gateway(api_keys=f"another,{KEY}") as served:
        page = open_page(served.address)
        page.noise = REFUSED
        page.choose(RECORDING)
        page.until(lambda: page.find("#ask-key").is_displayed())
        assert page.text("#ask-title") == "The server asks for a key"
        page.find("#asked-key").send_keys("wrong")
        page.button("Use this key").click()
        page.until(lambda: page.text("#ask-title") == "The server does not know this key")
        page.find("#asked-key").send_keys(KEY + "\n")
        page.until(lambda: page.status == "Done")
        assert heard(page.settled)
        assert page.run("return Object.values(sessionStorage)") == [KEY]
        assert KEY not in str(page.run("return Object.values(localStorage)"))
        page.driver.refresh()
        assert page.console == []
        page.noise = ()
        assert heard(page.transcribe(RECORDING))


def test_a_key_that_is_not_given_leaves_the_offer_on_the_page(
    gateway: MakeGateway, open_page: OpenPage
) -> None:
    with gateway(api_keys=KEY) as served:
        page = open_page(served.address)
        page.noise = REFUSED
        page.start()
        page.until(lambda: page.find("#ask-key").is_displayed())
        page.button("Cancel").click()
        has_problem(page, "The server asks for a key")
        page.button("Enter a key").click()
        assert page.find("#ask-key").is_displayed()
        page.find("#asked-key").send_keys(KEY)
        page.button("Use this key").click()
        page.until(lambda: page.status == "Listening")
        page.button("Stop").click()
        page.until(lambda: page.status == "Done")


def test_a_full_server_has_the_page_wait_as_long_as_it_says(
    gateway: MakeGateway, open_page: OpenPage
) -> None:
    with gateway(max_streams="1") as served:
        page = open_page(served.address)
        page.noise = REFUSED
        with connect(f"ws://{served.address}/websocket"):
            page.choose(RECORDING)
            has_problem(page, "All streams are taken")
            offer = page.find("#problem .primary")
            wait = re.fullmatch(r"Try again in (\d+) s", offer.text)
            assert wait is not None
            assert 3 < int(wait[1]) <= 12
            assert not offer.is_enabled()
            page.until(lambda: offer.text == f"Try again in {int(wait[1]) - 1} s", limit_s=2)


def test_a_server_that_restarts_keeps_the_text_and_is_reached_again(
    gateway: MakeGateway, open_page: OpenPage
) -> None:
    with gateway() as served:
        page = open_page(served.address)
        page.noise = REFUSED
        page.start()
        page.until(lambda: page.settled)
        served.stop()
        has_problem(page, "The server is restarting")
        kept = page.settled
        page.until(lambda: page.text("#server") == "Server cannot be reached")
        page.button("Try again").click()
        has_problem(page, "The server cannot be reached")
        served.start()
        page.button("Try again").click()
        page.until(lambda: len(page.settled) > len(kept))
        assert page.settled[: len(kept)] == kept
        page.button("Stop").click()
        page.until(lambda: page.status == "Done")


def test_a_lost_connection_keeps_what_was_being_said(
    gateway: MakeGateway, open_page: OpenPage
) -> None:
    with gateway() as served:
        page = open_page(served.address)
        page.noise = REFUSED
        page.start()
        page.until(lambda: len(page.text("#live").split()) >= 2)
        served.kill()
        has_problem(page, "The connection was lost")
        (kept,) = page.settled
        assert len(kept.split()) >= 2
        assert page.find_all(".cut-off")


def test_an_engine_that_is_away_is_named_with_what_the_server_says(
    gateway: MakeGateway, open_page: OpenPage
) -> None:
    with gateway(triton="127.0.0.1:9", recovery_timeout_s="1") as served:
        page = open_page(served.address)
        page.noise = REFUSED
        page.until(lambda: page.text("#server").startswith("Server not ready: "))
        page.choose(RECORDING)
        assert "It says: " in has_problem(page, "The engine is unavailable")
        assert page.button("Try again").is_enabled()


@pytest.mark.parametrize(("name", "value"), [("language", "xx"), ("silence", 20_000)])
def test_settings_that_the_server_refuses_are_named_as_it_names_them(
    page: Page, name: str, value: str | int
) -> None:
    page.run(
        "localStorage.setItem('settings', JSON.stringify({[arguments[0]]: arguments[1]}))",
        name,
        value,
    )
    page.driver.refresh()
    page.choose(RECORDING)
    told = has_problem(page, "The server refused the settings")
    assert "accepted is" in told
    assert str(value) in told
