"""The page by keys alone, and what has the focus."""

from selenium.webdriver.common.keys import Keys

from tests.end_to_end.page.browser import Page
from tests.end_to_end.recordings import GREGSON, clips

RECORDING = clips()[GREGSON].path
FOCUSED = """
const element = document.activeElement;
return element.id || element.dataset.format || element.className || element.tagName;
"""


def focused(page: Page) -> str:
    """What has the focus: its id, else what tells it apart."""
    name: str = page.run(FOCUSED)
    return name


def tab_order(page: Page) -> list[str]:
    """What Tab comes to, from the top of the page to its end; each visibly focused."""
    page.run("document.activeElement.blur()")
    order: list[str] = []
    while True:
        page.press(Keys.TAB)
        if (name := focused(page)) in (*order, "BODY"):
            return order
        order.append(name)
        outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", name


def tab_to(page: Page, name: str) -> None:
    """Press Tab until this has the focus."""
    while focused(page) != name:
        page.press(Keys.TAB)


def test_tab_goes_through_the_page_in_its_order(page: Page) -> None:
    assert tab_order(page) == ["theme", "open-settings", "transcript", "start", "choose"]


def test_tab_comes_to_one_sentence_only_and_to_every_way_to_save(page: Page) -> None:
    page.transcribe(RECORDING)
    page.transcribe(RECORDING)
    assert tab_order(page) == [
        "theme",
        "open-settings",
        "transcript",
        "utterance",
        "start",
        *("txt", "srt", "vtt", "json"),
        "clear",
        "choose",
    ]


def test_a_session_is_started_and_stopped_by_keys(page: Page) -> None:
    tab_to(page, "start")
    page.press(Keys.ENTER)
    page.until(lambda: page.text("#live"))
    page.press(Keys.SPACE)
    page.until(lambda: page.status == "Done")
    assert page.settled
    assert focused(page) == "start"


def test_arrows_go_through_sentences_and_words_and_escape_takes_the_hint_away(page: Page) -> None:
    page.transcribe(RECORDING)
    page.transcribe(RECORDING)
    tab_to(page, "utterance")
    hint = page.find("#hint")
    assert "English" in hint.text
    assert hint.text.startswith("0:0")
    second = hint.text
    page.press(Keys.ARROW_UP)
    assert hint.text != second
    page.press(Keys.ARROW_RIGHT)
    assert page.run("return document.activeElement.textContent") == "He"
    assert hint.text.endswith("% sure")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert page.run("return document.activeElement.textContent") == "turned"
    page.press(Keys.ESCAPE)
    assert not hint.is_displayed()
    page.press(Keys.END)
    assert hint.text == second
    page.press(Keys.HOME, Keys.ARROW_UP)
    assert page.run("return document.activeElement.previousElementSibling") is None


def test_the_settings_hold_the_focus_and_give_it_back(page: Page) -> None:
    tab_to(page, "open-settings")
    page.press(Keys.ENTER)
    page.until(lambda: page.find("#settings").is_displayed())
    for _ in range(20):
        page.press(Keys.TAB)
        assert page.run("return document.activeElement.closest('#settings, body').id") in (
            "settings",
            "",
        )
    page.press(Keys.ESCAPE)
    assert not page.find("#settings").is_displayed()
    assert focused(page) == "open-settings"


def test_settings_are_kept_and_can_be_set_back(page: Page) -> None:
    page.choose_setting("language", "German")
    page.choose_setting("words", False)
    page.button("Settings").click()
    page.find("#silence").send_keys(Keys.ARROW_RIGHT)
    assert page.text("output[for=silence]") == "350 ms"
    page.driver.refresh()
    page.button("Settings").click()
    assert page.find("#language").get_property("value") == "de"
    assert not page.find("[name=words]").is_selected()
    assert page.text("output[for=silence]") == "350 ms"
    page.button("Set all but the key back").click()
    assert page.find("#language").get_property("value") == "auto"
    assert page.text("output[for=silence]") == "300 ms"
