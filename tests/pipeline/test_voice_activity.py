"""The voice-activity stage: real recordings, any hops, many streams, and nothing left behind."""

from collections.abc import Iterable
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.audio import MAX_HOP_SAMPLES, SAMPLE_BYTES, SAMPLE_RATE
from pipeline.feedback import Feedback
from pipeline.options import StreamOptions
from pipeline.silero import SileroVad
from pipeline.utterance import Window
from pipeline.voice_activity import IDLE_LIMIT_S, Answer, Hop, HopError, Resume, VoiceActivity
from pipeline.window import SettledText, WindowInfo
from tests.pipeline.support import CLIPS, recording

Audio = NDArray[np.int16]

NOTHING = np.empty(0, np.int16)
HOP_SAMPLES = 2048
HALF_SECOND = np.zeros(SAMPLE_RATE // 2, np.int16)


@pytest.fixture
def stage(vad: SileroVad) -> VoiceActivity:
    return VoiceActivity(vad)


def cut(audio: Audio, sizes: Iterable[int]) -> list[Audio]:
    """Audio in hops of these sizes, over and over."""
    hops, first = [], 0
    for size in cycle(sizes):
        hops.append(audio[first : first + size])
        first += size
        if first >= len(audio):
            return hops
    return hops


def stream_hops(stream_id: int, hops: list[Audio], options: str | None = None) -> list[Hop]:
    """The hops of a whole stream, an empty one at its end."""
    first = Hop(stream_id, hops[0], start=True, options=options)
    middle = [Hop(stream_id, hop) for hop in hops[1:]]
    return [first, *middle, Hop(stream_id, NOTHING, end=True)]


def window_of(answer: Answer) -> Window:
    assert isinstance(answer, tuple), answer
    return answer[0]


def finals(stage: VoiceActivity, audio: Audio, sizes: Iterable[int]) -> list[Window]:
    """Every final of a stream; what several of a long hop are due is fetched with empty hops."""
    *hops, end = stream_hops(7, cut(audio, sizes))
    answers = [stage.take([hop], 0.0)[0] for hop in hops]
    while answers[-1] is not None:
        answers.append(stage.take([Hop(7, NOTHING)], 0.0)[0])
    answers += stage.take([end], 0.0)
    return [window_of(answer) for answer in answers if answer is not None]


@pytest.fixture(scope="module")
def speech() -> Audio:
    """Two sentences with a pause between them."""
    arctic = recording(CLIPS / "en" / "arctic_a0009.wav")
    return np.concatenate([arctic, HALF_SECOND, arctic[:30_001]])


def test_a_recordings_sentences_are_its_finals(
    stage: VoiceActivity, jfk: Audio, speech: Audio
) -> None:
    for audio in (jfk, speech):
        found = finals(stage, audio, [HOP_SAMPLES])
        assert len(found) >= 2
        assert found[0].start < SAMPLE_RATE // 2
        assert found[-1].end > len(audio) - SAMPLE_RATE // 2
        for window in found:
            begin = window.audio_start
            expected = audio[begin : begin + len(window.audio) // SAMPLE_BYTES]
            assert window.audio == expected.tobytes()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(100, MAX_HOP_SAMPLES), min_size=1, max_size=12))
def test_finals_do_not_depend_on_the_sizes_of_hops(
    vad: SileroVad, speech: Audio, sizes: list[int]
) -> None:
    in_frames = finals(VoiceActivity(vad), speech, [512])
    assert finals(VoiceActivity(vad), speech, sizes) == in_frames


def resumed(
    vad: SileroVad, audio: Audio, resume: dict[str, Any], sizes: Iterable[int]
) -> list[Window]:
    """The finals of a stream that goes on where another of the same audio has broken off."""
    start = resume["vad_state_at"]
    options = StreamOptions(start_sample=start, **resume)
    stage, hops = VoiceActivity(vad), cut(audio[start:], sizes)
    stage.take([Hop(7, NOTHING, start=True, options=options.model_dump_json())], 0.0)
    answers = [stage.take([Hop(7, hop)], 0.0)[0] for hop in hops]
    while answers[-1] is not None:
        answers.append(stage.take([Hop(7, NOTHING)], 0.0)[0])
    answers += stage.take([Hop(7, NOTHING, end=True)], 0.0)
    return [window_of(answer) for answer in answers if answer is not None]


@settings(deadline=None, max_examples=4)
@given(st.lists(st.integers(512, MAX_HOP_SAMPLES), min_size=1, max_size=12))
def test_a_stream_that_is_resumed_behind_any_final_hears_what_it_would_have_heard(
    vad: SileroVad, jfk: Audio, speech: Audio, sizes: list[int]
) -> None:
    audio = np.concatenate([jfk, speech, HALF_SECOND, jfk, HALF_SECOND, speech])
    stage, told = VoiceActivity(vad), []
    for hop in stream_hops(7, cut(audio, [HOP_SAMPLES])):
        (answer,) = stage.take([hop], 0.0)
        if isinstance(answer, tuple):
            told.append(answer)
    assert len(told) > 10
    for count, (final, info) in enumerate(told[:-1], start=1):
        assert 0 <= final.goes_on_at - info.vad_state_at < 5 * SAMPLE_RATE
        again = resumed(vad, audio, behind(info), sizes)
        assert [heard(each) for each in again] == [heard(each) for each, _ in told[count:]]


def behind(info: WindowInfo) -> dict[str, Any]:
    """How a stream is resumed behind a final."""
    return {
        "listen_from": info.goes_on_at,
        "settled_until": info.end,
        "vad_state": info.vad_state,
        "vad_state_at": info.vad_state_at,
    }


def heard(window: Window) -> tuple[int, int, bytes]:
    """What of a window does not depend on the windows before it."""
    return window.start, window.end, window.audio


def ask(stage: VoiceActivity, stream_id: int = 7) -> dict[str, Any] | None:
    """How the stream would go on elsewhere."""
    (answer,) = stage.take([Hop(stream_id, NOTHING, resume=True)], 0.0)
    if answer is None:
        return None
    assert isinstance(answer, Resume), answer
    return answer.options


def test_a_stream_that_is_resumed_anywhere_hears_what_it_would_have_heard(
    vad: SileroVad, jfk: Audio, speech: Audio
) -> None:
    """Two minutes of a quiet room before, between and behind utterances."""
    room = np.random.default_rng(3).normal(0, 40, 60 * SAMPLE_RATE).astype(np.int16)
    audio = np.concatenate([room, jfk, speech, room, speech])
    stage, told, asked = VoiceActivity(vad), [], []
    hops = stream_hops(7, cut(audio, [16 * 512]))
    for number, hop in enumerate(hops[:-1]):
        (answer,) = stage.take([hop], 0.0)
        if isinstance(answer, tuple):
            told.append(answer[0])
        if number % 10 == 9:
            asked.append((ask(stage), len(told), (number + 1) * 16 * 512))
    told += [window_of(answer) for answer in stage.take(hops[-1:], 0.0)]
    assert len(asked) > 25
    for resume, count, position in asked:
        assert resume is not None
        assert position - resume["vad_state_at"] < 20 * SAMPLE_RATE
        again = resumed(vad, audio, resume, [MAX_HOP_SAMPLES])
        assert [heard(each) for each in again] == [heard(each) for each in told[count:]]


def test_to_ask_how_a_stream_would_go_on_changes_nothing(
    vad: SileroVad, stage: VoiceActivity, speech: Audio
) -> None:
    undisturbed = finals(VoiceActivity(vad), speech, [HOP_SAMPLES])
    found = []
    for hop in stream_hops(7, cut(speech, [HOP_SAMPLES])):
        found += stage.take([hop], 0.0)
        if not hop.end:
            ask(stage)
    assert [window_of(answer) for answer in found if answer is not None] == undisturbed


def test_a_stream_that_has_only_begun_is_resumed_from_its_start(stage: VoiceActivity) -> None:
    stage.take([Hop(7, NOTHING, start=True)], 0.0)
    assert ask(stage) is None
    stage.take([Hop(7, HALF_SECOND)], 0.0)
    resume = ask(stage)
    assert resume is not None
    assert (resume["listen_from"], resume["vad_state_at"]) == (15 * 512, 0)


@pytest.mark.parametrize(
    "asking",
    [
        Hop(7, NOTHING, resume=True),
        Hop(7, NOTHING, start=True, resume=True),
        Hop(1, HALF_SECOND, resume=True),
        Hop(1, NOTHING, end=True, resume=True),
    ],
    ids=["of no stream", "at its start", "with audio", "at its end"],
)
def test_who_asks_in_the_wrong_place_is_refused(asking: Hop, stage: VoiceActivity) -> None:
    stage.take([GOOD], 0.0)
    (answer,) = stage.take([asking], 0.0)
    assert isinstance(answer, HopError)


def pieces(vad: SileroVad, audio: Audio, sizes: Iterable[int]) -> list[Window]:
    """Segments and finals of a stream without endpoints; each is answered before the next hop."""
    stage = VoiceActivity(vad, segment=3 * SAMPLE_RATE)
    first = Hop(7, NOTHING, start=True, options='{"min_silence_ms": 5000}', feedback="")
    stage.take([first], 0.0)
    hops, feedback, found = cut(audio, sizes), "", []
    while hops or feedback:
        hop = Hop(7, hops.pop(0) if hops and not feedback else NOTHING, feedback=feedback or None)
        (answer,), feedback = stage.take([hop], 0.0), ""
        if answer is not None:
            window = window_of(answer)
            found.append(window)
            feedback = settled(window)
    (answer,) = stage.take([Hop(7, NOTHING, end=True)], 0.0)
    found.append(window_of(answer))
    return found


def settled(window: Window) -> str:
    text = SettledText(text="text") if window.segment else None
    return Feedback(number=window.number, utterance=0, samples=1, settled=text).model_dump_json()


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(100, MAX_HOP_SAMPLES), min_size=1, max_size=12))
def test_segments_do_not_depend_on_the_sizes_of_hops_either(
    vad: SileroVad, jfk: Audio, sizes: list[int]
) -> None:
    in_frames = pieces(vad, jfk, [512])
    assert len(in_frames) > 3
    assert [window.segment for window in in_frames] == [True] * (len(in_frames) - 1) + [False]
    assert in_frames[-1].final
    assert pieces(vad, jfk, sizes) == in_frames


def test_hops_of_one_sample_give_the_same_finals(stage: VoiceActivity, speech: Audio) -> None:
    short = speech[: 3 * SAMPLE_RATE // 2]
    assert finals(stage, short, [1]) == finals(stage, short, [HOP_SAMPLES]) != []


def test_streams_in_one_call_do_not_disturb_each_other(stage: VoiceActivity) -> None:
    recordings = [recording(path) for path in sorted(CLIPS.glob("*/*.wav"))[:6]]
    alone = [finals(stage, audio, [HOP_SAMPLES]) for audio in recordings]
    streams = [stream_hops(i, cut(audio, [HOP_SAMPLES])) for i, audio in enumerate(recordings)]
    together: list[list[Window]] = [[] for _ in streams]
    for step in range(max(map(len, streams))):
        hops = [hops[step] for hops in streams if step < len(hops)]
        for hop, answer in zip(hops, stage.take(hops, 0.0), strict=True):
            if answer is not None:
                together[hop.stream_id].append(window_of(answer))
    assert together == alone
    assert len(stage) == 0


GOOD = Hop(1, HALF_SECOND, start=True)
REFUSED = [
    (Hop(2, np.zeros(MAX_HOP_SAMPLES + 1, np.int16), start=True), "at most 32000"),
    (Hop(2, HALF_SECOND), "sequence 2 is not known"),
    (Hop(2, HALF_SECOND, start=True, options="no json"), "parameter options: options: "),
    (Hop(2, HALF_SECOND, start=True, options='{"beam": 1}'), "options: beam: "),
    (Hop(2, HALF_SECOND, start=True, options='{"vad_threshold": 1}'), "vad_threshold: "),
    (Hop(2, HALF_SECOND, start=True, options='{"language": "xx"}'), "language: "),
    (Hop(2, HALF_SECOND, start=True, feedback="no json"), "parameter feedback: "),
]


@pytest.mark.parametrize(("hop", "message"), REFUSED)
def test_a_refused_hop_says_why_and_disturbs_no_other(
    hop: Hop, message: str, stage: VoiceActivity
) -> None:
    stage.take([GOOD], 0.0)
    before, refused, after = stage.take([Hop(1, NOTHING), hop, Hop(3, NOTHING, start=True)], 0.0)
    assert before is None
    assert after is None
    assert isinstance(refused, HopError)
    assert message in str(refused)
    assert len(stage) == 2  # nothing stays of the stream whose first hop was refused


def test_the_longest_hop_is_taken(stage: VoiceActivity) -> None:
    longest = Hop(1, np.zeros(MAX_HOP_SAMPLES, np.int16), start=True)
    assert stage.take([longest], 0.0) == [None]


def test_a_refused_start_does_not_go_on_with_the_stream_before(stage: VoiceActivity) -> None:
    stage.take([GOOD], 0.0)
    stage.take([Hop(1, HALF_SECOND, start=True, options="no json")], 0.0)
    (answer,) = stage.take([Hop(1, HALF_SECOND)], 0.0)
    assert isinstance(answer, HopError)


@pytest.mark.parametrize(
    "end",
    [
        Hop(1, NOTHING, end=True, feedback="no json"),
        Hop(1, np.zeros(MAX_HOP_SAMPLES + 1, np.int16), end=True),
    ],
)
def test_a_refused_end_still_ends_the_stream(end: Hop, stage: VoiceActivity) -> None:
    stage.take([GOOD], 0.0)
    (answer,) = stage.take([end], 0.0)
    assert isinstance(answer, HopError)
    assert len(stage) == 0


def test_bad_feedback_in_the_middle_costs_its_hop_and_not_the_stream(stage: VoiceActivity) -> None:
    stage.take([GOOD], 0.0)
    (refused,) = stage.take([Hop(1, HALF_SECOND, feedback="no json")], 0.0)
    assert isinstance(refused, HopError)
    assert stage.take([Hop(1, HALF_SECOND)], 0.0) == [None]


def test_bad_feedback_is_refused_every_time(stage: VoiceActivity) -> None:
    stage.take([GOOD], 0.0)
    for _ in range(2):
        (refused,) = stage.take([Hop(1, HALF_SECOND, feedback="no json")], 0.0)
        assert isinstance(refused, HopError)


def test_a_sequence_that_starts_again_learns_the_same_feedback_anew(
    stage: VoiceActivity, jfk: Audio
) -> None:
    options = StreamOptions(language="auto").model_dump_json()
    learnt = Feedback(number=1, utterance=0, samples=10**6, language="de", language_prob=0.9)
    for _ in range(2):
        audio = jfk[:SAMPLE_RATE]
        first = Hop(1, audio, start=True, options=options, feedback=learnt.model_dump_json())
        stage.take([first], 0.0)
    (answer,) = stage.take([Hop(1, NOTHING, end=True)], 0.0)
    assert isinstance(answer, tuple)
    assert answer[1].language == "de"


def test_the_end_gives_the_open_utterance_and_keeps_nothing(
    stage: VoiceActivity, jfk: Audio
) -> None:
    stage.take([Hop(1, jfk[:SAMPLE_RATE], start=True)], 0.0)
    (answer,) = stage.take([Hop(1, NOTHING, end=True)], 0.0)
    assert window_of(answer).final
    assert len(stage) == 0


def test_a_stream_may_be_one_hop(stage: VoiceActivity, jfk: Audio) -> None:
    (answer,) = stage.take([Hop(1, jfk[:SAMPLE_RATE], start=True, end=True)], 0.0)
    assert window_of(answer).end == SAMPLE_RATE
    assert len(stage) == 0


def test_a_discarded_utterance_is_not_decoded_and_not_kept(
    stage: VoiceActivity, jfk: Audio
) -> None:
    stage.take([Hop(1, jfk[:SAMPLE_RATE], start=True)], 0.0)
    assert stage.take([Hop(1, NOTHING, end=True, discard=True)], 0.0) == [None]
    assert len(stage) == 0


def test_a_known_sequence_that_starts_again_begins_anew(stage: VoiceActivity, jfk: Audio) -> None:
    stage.take([Hop(1, jfk[:SAMPLE_RATE], start=True, options='{"language": "fr"}')], 0.0)
    stage.take([Hop(1, HALF_SECOND, start=True)], 0.0)
    assert stage.take([Hop(1, NOTHING, end=True)], 0.0) == [None]


def test_idle_streams_are_forgotten_and_busy_ones_are_not(stage: VoiceActivity) -> None:
    stage.take([Hop(1, NOTHING, start=True), Hop(2, NOTHING, start=True)], 0.0)
    stage.take([Hop(2, NOTHING)], IDLE_LIMIT_S)
    assert len(stage) == 2
    busy, idle = stage.take([Hop(2, NOTHING), Hop(1, NOTHING)], IDLE_LIMIT_S + 1)
    assert busy is None
    assert isinstance(idle, HopError)
    assert f"idle for more than {IDLE_LIMIT_S} s" in str(idle)
    assert len(stage) == 1


def test_a_streams_options_and_feedback_reach_its_windows(stage: VoiceActivity, jfk: Audio) -> None:
    options = StreamOptions(language="auto", partials=True, partial_interval_s=0.1)
    learnt = Feedback(number=9, utterance=0, samples=10**6, language="de", language_prob=0.9)
    hops = cut(jfk[: 2 * SAMPLE_RATE], [HOP_SAMPLES])
    first = Hop(1, hops[0], start=True, options=options.model_dump_json(), feedback="")
    stage.take([first], 0.0)
    answers = [
        stage.take([Hop(1, hop, feedback=learnt.model_dump_json())], 0.0)[0]
        for hop in islice(hops, 1, None)
    ]
    (_, info), *_ = (answer for answer in answers if isinstance(answer, tuple))
    assert not info.final
    assert (info.language, info.language_prob) == ("de", 0.9)
    assert info.options == options


@pytest.mark.parametrize(("early_most", "early"), [(None, True), (2, True), (1, False), (0, False)])
def test_early_windows_are_made_while_few_utterances_are_open_and_finals_stay_the_same(
    vad: SileroVad, speech: Audio, early_most: int | None, early: bool
) -> None:
    stage = VoiceActivity(vad, SAMPLE_RATE // 8, early_most=early_most)
    audio = np.concatenate([speech, HALF_SECOND])
    hops = [stream_hops(stream_id, cut(audio, [HOP_SAMPLES])) for stream_id in (1, 2)]
    answers = [stage.take(list(pair), 0.0) for pair in zip(*hops, strict=True)]
    windows = [window_of(answer) for pair in answers for answer in pair if answer is not None]
    assert any(window.early for window in windows) == early
    alone = finals(VoiceActivity(vad), audio, [HOP_SAMPLES])
    assert [window.audio for window in windows if window.final] == [
        window.audio for window in alone for _ in range(2)
    ]
