"""The page hears a microphone: what it shows while somebody speaks, and afterwards."""

import re

from tests.end_to_end.page.browser import Page
from tests.end_to_end.recordings import JFK, JFK_FINALS, errors_in

SNAPSHOT = """
const words = [...document.querySelectorAll("#live span")];
return {
    committed: words.filter(w => !w.classList.contains("unsure")).map(w => w.textContent).join(""),
    unsure: words.filter(w => w.classList.contains("unsure")).map(w => w.textContent).join(""),
    settled: [...document.querySelectorAll(".utterance")].map(e => e.textContent),
    level: Number(document.querySelector("#level").getAttribute("aria-valuenow")),
    clock: document.querySelector("#clock").textContent,
};
"""
MOST_ERRORS = 4
"""Of 22 words. The browser resamples what it hears, and evens out how loud it is."""


def test_words_appear_while_they_are_spoken_and_finals_settle_above(page: Page) -> None:
    seen = []

    def enough() -> bool:
        seen.append(page.run(SNAPSHOT))
        return len(seen[-1]["settled"]) >= JFK_FINALS

    page.start()
    page.until(lambda: page.status == "Listening")
    page.until(enough, limit_s=40)
    figures = page.text("#figures")
    page.button("Stop").click()
    page.until(lambda: page.status == "Done")

    assert errors_in(" ".join(page.settled), JFK).errors <= MOST_ERRORS
    assert page.text("#problem") == ""
    unsure = [shown["unsure"] for shown in seen if shown["unsure"]]
    assert len(set(unsure)) >= 4
    assert any(shown["committed"] and shown["unsure"] for shown in seen)
    lengths = {len((shown["committed"] + shown["unsure"]).split()) for shown in seen}
    assert len(lengths) >= 4  # the captions grow
    assert max(shown["level"] for shown in seen) > 50
    assert {"0:01", "0:05", "0:10"} <= {shown["clock"] for shown in seen}
    assert re.search(r"first words\s+\d\.\d\d s", figures)
    assert re.search(r"final\s+\d\.\d\d s", figures)
    assert "English" in page.text("#heard")


def test_what_is_not_committed_is_visibly_lighter(page: Page) -> None:
    page.start()
    page.until(lambda: page.find_all("#live .unsure"))
    colours = page.run(
        "return [getComputedStyle(document.querySelector('#live')).color,"
        " getComputedStyle(document.querySelector('#live .unsure') ?? document.body).color]"
    )
    page.button("Stop").click()
    page.until(lambda: page.status == "Done")
    ink, unsure = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]
    assert unsure - ink > 200


def test_stopping_in_the_middle_of_a_sentence_gives_its_final(page: Page) -> None:
    page.start()
    page.until(lambda: len(page.text("#live").split()) >= 2)
    page.button("Stop").click()
    page.until(lambda: page.status == "Done")
    assert page.settled[0].startswith("And")
    assert page.text("#live") == ""
    assert not page.find_all(".cut-off")
    assert page.find("#start").accessible_name == "Start the microphone"


def test_only_finals_are_told_to_a_screen_reader(page: Page) -> None:
    live = page.run(
        "return document.querySelector('#live').closest('[aria-live], [role=log], [role=status]')"
    )
    log = page.run("return document.querySelector('#settled').closest('[role=log]') !== null")
    assert live is None
    assert log


def test_without_permission_it_says_so_and_offers_to_try_again(page: Page) -> None:
    page.permit_microphone("denied")
    page.start()
    page.until(lambda: "The microphone is blocked" in page.text("#problem"))
    page.permit_microphone("granted")
    page.button("Try again").click()
    page.until(lambda: page.status == "Listening")
    assert not page.find("#problem").is_displayed()
    page.button("Stop").click()
    page.until(lambda: page.status == "Done")


def test_a_microphone_that_is_unplugged_ends_the_session_and_keeps_the_text(page: Page) -> None:
    page.run(
        "const media = navigator.mediaDevices, open = media.getUserMedia.bind(media);"
        "media.getUserMedia = async (wanted) => window.stream = await open(wanted);"
    )
    page.start()
    page.until(lambda: page.text("#live"))
    page.run("for (const track of stream.getTracks()) track.dispatchEvent(new Event('ended'))")
    page.until(lambda: "The microphone is gone" in page.text("#problem"))
    assert page.settled
    page.button("Dismiss").click()
    assert not page.find("#problem").is_displayed()
    assert page.run("return document.activeElement.id") == "start"
