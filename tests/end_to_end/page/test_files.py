"""Recordings go into the page, and transcripts come out of it as files."""

import json
import re
from pathlib import Path

import pytest

from tests.end_to_end.page.browser import Page
from tests.end_to_end.recordings import DASHWOOD, DATA, GREGSON, JFK, clips, errors_in

JFK_PATH = DATA / "jfk.wav"
TIME = r"\d\d:\d\d:\d\d[,.]\d{3}"


def path_of(name: str) -> Path:
    return clips()[name].path


def seconds(time: str) -> float:
    hours, minutes, rest = time.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def cue_times(text: str) -> list[tuple[float, float]]:
    found = re.findall(rf"^({TIME}) --> ({TIME})$", text, re.MULTILINE)
    return [(seconds(start), seconds(end)) for start, end in found]


def test_a_chosen_recording_is_transcribed_and_saved_in_every_format(page: Page) -> None:
    finals = page.transcribe(JFK_PATH)
    assert errors_in(" ".join(finals), JFK).errors <= 2
    assert page.text("#clock") == "0:11 of 0:11"
    assert "real time" in page.text("#figures")
    for name in ("TXT", "SRT", "VTT", "JSON"):
        page.button(name).click()

    assert page.saved("jfk.txt").splitlines() == finals
    srt, vtt = page.saved("jfk.srt"), page.saved("jfk.vtt")
    assert re.findall(r"^\d+$", srt, re.MULTILINE) == [str(1 + i) for i in range(len(finals))]
    assert vtt.startswith("WEBVTT\n\n")
    assert len(cue_times(srt)) == len(finals)
    assert cue_times(srt) == cue_times(vtt)
    assert all(0 <= start < end <= 11.1 for start, end in cue_times(srt))
    assert all(final in " ".join(srt.split()) for final in finals)

    transcriptions = json.loads(page.saved("jfk.json"))["transcriptions"]
    assert [one["transcript"] for one in transcriptions] == finals
    words = [
        word
        for one in transcriptions
        for part in one["segments"]
        for word in part["word_timestamps"]
    ]
    assert " ".join(word["word"] for word in words) == " ".join(finals)
    assert all(word["start_time"] <= word["end_time"] <= 11.1 for word in words)


def test_a_dropped_recording_is_transcribed(page: Page) -> None:
    page.drop(path_of(GREGSON))
    page.until(lambda: page.status == "Done")
    assert errors_in(" ".join(page.settled), GREGSON).errors == 0
    assert not page.find("#drop").is_displayed()


def test_what_is_dragged_over_the_page_is_told_that_it_may_be_dropped(page: Page) -> None:
    data = {"items": [], "files": [str(JFK_PATH)], "dragOperationsMask": 1}
    page.driver.execute_cdp_cmd(
        "Input.dispatchDragEvent", {"type": "dragEnter", "x": 640, "y": 300, "data": data}
    )
    page.until(lambda: page.find("#drop").is_displayed())
    assert page.text("#drop") == "Drop it, and it is transcribed."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"no audio at all"),
        ("empty.wav", b""),
        ("cut.wav", JFK_PATH.read_bytes()[:40]),
    ],
)
def test_a_file_that_is_no_recording_is_named_and_does_no_harm(
    page: Page, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    page.choose(path)
    page.until(lambda: f"{name} cannot be read as audio" in page.text("#problem"))
    assert errors_in(" ".join(page.transcribe(path_of(GREGSON))), GREGSON).errors == 0
    assert not page.find("#problem").is_displayed()


def test_recordings_follow_one_another_on_one_clock_until_they_are_cleared(page: Page) -> None:
    page.transcribe(path_of(GREGSON))
    page.transcribe(path_of(DASHWOOD))
    starts = [element.get_property("textContent") for element in page.find_all(".utterance time")]
    assert starts == ["0:00", "0:03"]
    page.button("Clear").click()
    assert page.settled == []
    assert page.find("#welcome").is_displayed()
    assert not page.find("#results").is_displayed()


@pytest.mark.parametrize("pace", ["In real time", "In real time, aloud"])
def test_a_recording_can_go_in_real_time_and_then_has_a_latency(page: Page, pace: str) -> None:
    page.choose_setting("pace", pace)
    page.choose(path_of(GREGSON))
    page.until(lambda: page.find_all("#live span"))
    assert page.find("#progress").is_displayed()
    page.until(lambda: page.status == "Done")
    assert re.search(r"first words\s+\d\.\d\d s", page.text("#figures"))
    assert errors_in(" ".join(page.settled), GREGSON).errors == 0


def test_another_file_has_to_wait_while_one_is_transcribed(page: Page) -> None:
    page.choose_setting("pace", "In real time")
    page.choose(path_of(GREGSON))
    page.until(lambda: page.status.startswith("Transcribing"))
    page.drop(JFK_PATH)
    page.until(lambda: "jfk.wav has to wait" in page.text("#problem"))
    page.until(lambda: page.status == "Done")
    assert errors_in(" ".join(page.settled), GREGSON).errors == 0


def test_the_chosen_language_is_spoken_and_its_text_is_marked_with_it(page: Page) -> None:
    page.choose_setting("language", "French")
    finals = page.transcribe(path_of("fr/vm-whichbox"))
    assert finals
    assert {text.get_dom_attribute("lang") for text in page.find_all(".utterance p")} == {"fr"}
    assert "French" in page.text("#heard")


def test_without_word_times_a_sentence_has_its_own(page: Page) -> None:
    page.choose_setting("words", False)
    page.transcribe(path_of(GREGSON))
    assert page.find_all(".word") == []
    page.point_at(page.find(".utterance p"))
    assert re.fullmatch(
        r"0:00\.\d\d – 0:0[23]\.\d\d · \d+ % sure · English \d+ %", page.text("#hint")
    )
