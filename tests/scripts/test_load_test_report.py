"""What a load test writes: its table, its page, its JSON, and the document of benchmarks."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from pipeline.audio import SAMPLE_RATE
from scripts.load import bench, details, page, table
from scripts.load.playlist import Mix, formats
from scripts.load.plots import Line, lines, ticks
from scripts.load.processes import Sample, Usage
from scripts.load.results import Machine, Silence, Step, machine, sum_up
from scripts.load.run import Run, core_count, cpu_model
from scripts.load.timeline import changes
from scripts.load.track import Clip, Failure, Played, Shown, Speech, Track, Word
from scripts.sources import PCM

CLIP = Clip(
    "en/<zoo>.wav",
    "en",
    2.0,
    "Ant & bee.",
    Speech((Word("ant", 0.2, 0.5), Word("bee", 0.6, 1.0)), (0.2,), "Ant & bee.", True),
)
VOID = {"meta", "br", "input", "link", "img"}


def stream(index: int, lag_s: float) -> Track:
    """Two recordings; every message comes `lag_s` after its speech."""
    shown = [
        Shown(0.5 + lag_s, False, 0, "Aunt <3", 0.2, 0.5),
        Shown(1.3 + lag_s, True, 0, "Ant & bee.", 0.2, 1.0),
        Shown(3.3 + lag_s, True, 1, "Aunt & bee.", 2.2, 3.0),
    ]
    played = [Played(CLIP, 0.0), Played(CLIP, 2.0)]
    return Track(
        index, "en", "pcm_s16le 16 kHz", played, 4.0, shown, sent_s=4.0, lateness_s=[0.001]
    )


def used(streams: int) -> Machine:
    begin = Sample({"whisper": Usage(5.0, 400 << 20)}, Usage(1.0, 50 << 20), 10.0)
    server = {"whisper": Usage(5.6, 410 << 20), "gateway": Usage(0.2, 80 << 20)}
    return machine(begin, Sample(server, Usage(1.1, 60 << 20), 11.0), 5.0, 4.0 * streams)


def step(streams: int, lag_s: float = 0.25) -> Step:
    tracks = [stream(index, lag_s) for index in range(streams)]
    return sum_up(tracks, Silence(0.3, 0.0), used(streams))


def broken(step_of: int = 2) -> Step:
    """A step that did not go well."""
    good, refused = stream(0, 3.0), Track(1, "en", "pcm", [Played(CLIP, 0.0)], 4.0)
    refused.failure = Failure("refused", "HTTP 503 <full>")
    good.lateness_s = [0.2]
    good.blocked_s = 1.5
    good.errors = ["a part of the audio could not be transcribed"]
    nowhere = Machine({}, 0.1, 2.5, {}, {}, 5.0, 8.0)
    return sum_up([good, refused][:step_of], Silence(0.3, 0.0), nowhere)


def run() -> Run:
    return Run(
        begun=datetime(2024, 5, 6, 7, 8, tzinfo=UTC),
        command="python scripts/load_test.py --streams 1,2",
        url="ws://host/websocket",
        cpu="Abacus & Sons",
        cores=2,
        commit="abc1234",
        interval_s=1.0,
        mix=Mix(4.0, forms=formats([SAMPLE_RATE], [PCM])),
        ramp_s=0.5,
        clips=[CLIP],
    )


class Balance(HTMLParser):
    """Fails at a tag that closes what is not open; notes what is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [name for name, _ in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [name for name, _ in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_step_sums_up_its_streams() -> None:
    made = step(2)
    assert (made.offered, made.held, made.words_spoken, made.words_unseen) == (2, 2, 8, 2)
    assert made.final_latency_s.p95 == pytest.approx(0.25)
    assert made.first_partial_s.p50 == pytest.approx(0.55)
    assert made.first_text_s.number == 4
    assert made.flicker.rate == pytest.approx(2 * 2 / 8)
    assert made.errors.rate_percent == pytest.approx(100 / 4)
    assert made.errors.alone_percent == 0.0


def test_the_machine_is_told_apart_by_process() -> None:
    made = used(2)
    assert made.cpu_s == {"whisper": pytest.approx(0.6), "gateway": 0.0}  # began in between
    assert made.cpu_per_audio_s == pytest.approx(0.6 / 8)
    assert made.cores == pytest.approx(0.12)
    assert made.generator_cpu_s == pytest.approx(0.1)
    assert made.other_cpu_s == pytest.approx(0.3)


def test_what_went_wrong_is_counted_with_its_reason() -> None:
    made = broken()
    assert made.failures == Counter(refused=1)
    assert made.held == 0
    assert list(table.remarks(made)) == [
        "2 streams: the load generator could not keep its own clock (send lateness p99 200 ms, "
        "at most 200 ms): latencies are partly its own",
        "2 streams: the server made packets wait, 1.50 s in all",
        "2 streams: others on the machine took 0.50 cores meanwhile",
        "2 streams: 1 times: HTTP 503 <full>",
        "2 streams: 1 times: a part of the audio could not be transcribed",
    ]


def test_the_table_has_a_row_for_every_step() -> None:
    heading, first, second = list(table.plain([step(1), step(2)]))
    assert len(first) == len(second) == len(heading)
    assert re.split(r"\s{2,}", second.strip()) == [
        "2",
        "2/2",
        "0.55 / 0.55",
        "0.55 / 1.05",
        "0.25 / 0.25 / 0.25",
        "25.0 (0.0)",
        "0.50",
        "0.075",
        "0.12",
        "490",
        "0",
    ]


def test_what_could_not_be_measured_is_a_dash() -> None:
    nothing = sum_up([Track(0, "en", "pcm", [], 4.0)], Silence(0.3, 0.0), broken().machine)
    cells = table.cells(nothing)
    assert cells[2:5] == ["- / -", "- / -", "- / - / -"]
    assert cells[5:10] == ["- (-)", "-", "-", "-", "-"]


def test_the_markdown_tells_circumstances_and_numbers() -> None:
    text = "\n".join(table.document(run(), [step(2), broken()]))
    assert "- machine: Abacus & Sons, 2 cores" in text
    assert "- commit: abc1234" in text
    assert "| 2 | 2/2 | 0.55 / 0.55 |" in text
    assert "- 2 streams: others on the machine took 0.50 cores" in text


@pytest.mark.parametrize("steps", [[step(1)], [step(1), step(3), step(2)], [broken()]])
def test_the_page_is_well_formed_and_fetches_nothing(steps: list[Step]) -> None:
    html = page.render(run(), steps)
    balance = Balance()
    balance.feed(html)
    balance.close()
    assert balance.open == []
    assert balance.fetched == []
    assert "url(" not in html
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) >= 6
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert "NaN" not in html
    assert "inf" not in re.sub(r"[a-z]*inf[a-z]+", "", html)


def test_the_page_contains_the_numbers_and_the_stream() -> None:
    html = page.render(run(), [step(1), step(2)])
    for number in ("0.55 / 0.55", "0.25 / 0.25 / 0.25", "25.0 (0.0)", ">2/2<", "0.075"):
        assert number in html
    assert "Abacus &amp; Sons, 2 cores" in html
    assert "2024-05-06 07:08" in html
    assert "<del>Aunt &lt;3</del> <ins>Ant &amp; bee.</ins>" in html
    assert "bee: said 1.00 s, seen after 0.55 s" in html
    assert "HTTP 503 &lt;full&gt;" in page.render(run(), [broken()])


def test_the_stream_that_is_shown_is_the_one_in_the_middle() -> None:
    tracks = [stream(index, lag_s) for index, lag_s in enumerate([0.9, 0.1, 0.5])]
    made = sum_up(tracks, Silence(0.3, 0.0), used(3))
    assert page.typical(made).track.index == 2


def test_the_json_has_every_word_and_message() -> None:
    found = json.loads(details.document(run(), [step(2), broken()]))
    assert found["run"]["commit"] == "abc1234"
    first, second = found["steps"]
    assert first["streams_held"] == 2
    assert first["final_latency_s"]["p95"] == 0.25
    assert first["word_errors"]["languages"]["en"]["errors"] == 2
    assert first["streams"][1]["words"][0] == ["ant", 0.5, 1.55]
    assert first["streams"][1]["messages"][0]["text"] == "Aunt <3"
    assert first["machine"]["cpu_s_by_process"] == {"whisper": 0.6, "gateway": 0.0}
    assert second["failure_reasons"] == {"HTTP 503 <full>": 1}
    assert second["generator"]["kept_time"] is False


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0.9, [0, 0.25, 0.5, 0.75, 1]), (7, [0, 2, 4, 6, 8]), (16, [0, 5, 10, 15, 20]), (0, [0, 1])],
)
def test_axes_have_round_ticks_that_reach_over_the_values(
    most: float, expected: list[float]
) -> None:
    assert ticks(most) == expected


def test_labels_at_the_ends_of_lines_do_not_overlap() -> None:
    drawing = lines("x", [1, 2], [Line("a", "p50", [1, 1.0]), Line("b", "p95", [1, 1.01])])
    heights = [float(y) for y in re.findall(r'y="([\d.]+)" class="value', drawing)]
    assert heights[1] - heights[0] >= 13


def test_lines_leave_out_what_was_not_measured() -> None:
    drawing = lines("x", [1, 2, 3], [Line("a", "p50", [1.0, None, None])])
    assert drawing.count("<circle") == 1


def test_changes_mark_what_is_new_and_what_is_gone() -> None:
    assert changes("", "Ant") == "<ins>Ant</ins>"
    assert changes("ant, bee", "Ant bee.") == "Ant bee."
    assert changes("ant bean", "ant bee cat") == "ant <del>bean</del> <ins>bee cat</ins>"


def test_a_new_benchmark_goes_above_the_earlier_ones() -> None:
    first = bench.entered("", "2024-05-06", "- good\n")
    both = bench.entered(first, "2024-05-07", "- bad\n")
    assert both.startswith(bench.HEADING)
    assert both.count("# Benchmarks") == 1
    assert both.index("2024-05-07\n\n- bad") < both.index("2024-05-06\n\n- good")
    assert both.endswith("- good\n")


def test_this_machine_has_a_name_and_cores() -> None:
    assert cpu_model()
    assert core_count() >= 1
