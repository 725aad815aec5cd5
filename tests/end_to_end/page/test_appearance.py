"""How the page looks and reads: dark and light, on a phone, without motion, to a screen reader."""

import json
import re
from importlib.resources import files
from typing import Any

import pytest

from tests.end_to_end.page.browser import DESKTOP, PHONE, Page
from tests.end_to_end.recordings import GREGSON, clips

RECORDING = clips()[GREGSON].path
AXE = files("selenium_axe_python").joinpath("axe-core", "axe.min.js").read_text(encoding="utf-8")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
STATES = ("fresh", "transcript", "speaking", "settings", "problem")
TOUCH_PX = 44
"""The least size of what a finger hits (WCAG 2.5.5)."""


def brightness(page: Page, name: str) -> int:
    """Of the body's colour or background, from 0 to 765."""
    return sum(map(int, re.findall(r"\d+", page.style("body", name))[:3]))


def is_dark(page: Page) -> bool:
    return brightness(page, "background-color") < brightness(page, "color")


def violations(page: Page) -> list[dict[str, Any]]:
    """What axe-core has against the page as it is now."""
    page.run(AXE)
    found = page.driver.execute_async_script(
        "const [options, done] = arguments; axe.run(document, options).then(done, done)",
        {"runOnly": {"type": "tag", "values": list(RULES)}},
    )
    assert len(found["passes"]) > 20
    return [
        {"rule": one["id"], "where": [node["html"] for node in one["nodes"]]}
        for one in found["violations"]
    ]


def opened(page: Page, state: str) -> Page:
    """The page in one of the states that its reader may see."""
    if state in ("transcript", "speaking"):
        page.transcribe(RECORDING)
    if state == "speaking":
        page.start()
        page.until(lambda: page.find_all("#live .unsure"))
    if state == "settings":
        page.button("Settings").click()
    if state == "problem":
        page.permit_microphone("denied")
        page.start()
        page.until(lambda: page.find("#problem").is_displayed())
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_as_dark_as_the_system_wants_until_the_reader_chooses(
    page: Page, scheme: str
) -> None:
    page.prefer(scheme)
    switch = page.button("Dark theme")
    page.until(lambda: switch.get_dom_attribute("aria-pressed") == json.dumps(scheme == "dark"))
    assert is_dark(page) == (scheme == "dark")
    switch.click()
    assert is_dark(page) != (scheme == "dark")
    page.driver.refresh()
    assert is_dark(page) != (scheme == "dark")
    assert page.button("Dark theme").get_dom_attribute("aria-pressed") == json.dumps(is_dark(page))


@pytest.mark.parametrize("state", STATES)
def test_nothing_keeps_anybody_from_reading_or_using_it(page: Page, state: str) -> None:
    page.prefer("light", motion="reduce")
    opened(page, state)
    assert violations(page) == []
    page.prefer("dark", motion="reduce")
    assert violations(page) == []


@pytest.mark.parametrize("state", STATES)
def test_it_fits_a_small_phone(page: Page, state: str) -> None:
    width, height = PHONE
    page.resize(width, height)
    page.prefer(motion="reduce")
    opened(page, state)
    assert page.run("return document.documentElement.scrollWidth") == width
    wide = page.run(
        "return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() &&"
        " e.getBoundingClientRect().right > arguments[0] + 1).map(e => e.outerHTML)",
        width,
    )
    assert wide == []
    scope = "#settings" if state == "settings" else "body > :not(dialog)"
    for button in page.find_all(f"{scope} button"):
        if button.is_displayed():
            assert min(button.size["width"], button.size["height"]) >= TOUCH_PX, (
                button.accessible_name
            )


def test_without_motion_nothing_moves_by_itself(page: Page) -> None:
    page.prefer(motion="reduce")
    opened(page, "speaking")
    running = page.run(
        "return document.getAnimations().map(animation => animation.animationName ?? 'transition')"
    )
    assert running == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_word_that_is_pointed_at_shows_its_times_and_how_sure_it_is(
    page: Page, size: tuple[int, int]
) -> None:
    page.resize(*size)
    page.transcribe(RECORDING)
    word = page.find_all(".word")[-1]
    page.point_at(word)
    page.until(lambda: page.find("#hint").is_displayed())
    assert re.fullmatch(r"0:0\d\.\d\d – 0:0\d\.\d\d · \d+ % sure", page.text("#hint"))
    assert word.get_dom_attribute("aria-describedby") == "hint"
    box = page.find("#hint").rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size[0]
    page.point_at(page.find("h1"))
    page.until(lambda: not page.find("#hint").is_displayed())


def test_a_long_transcript_stays_with_the_newest_words_unless_the_reader_scrolls(
    page: Page,
) -> None:
    page.resize(640, 360)
    for _ in range(4):
        page.transcribe(RECORDING)
        page.until(lambda: page.status == "Done")
    bottom = (
        "const main = document.querySelector('main');"
        "return main.scrollHeight - main.scrollTop - main.clientHeight"
    )
    page.until(lambda: page.run(bottom) < 2)
    page.run("document.querySelector('main').scrollTop = 0")
    page.until(lambda: page.find("#newest").is_displayed())
    page.find("#newest").click()
    page.until(lambda: page.run(bottom) < 2)
    assert not page.find("#newest").is_displayed()
