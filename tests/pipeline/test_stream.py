"""One stream: its policy, its frames, the language it decodes in, and its answered windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.audio import SAMPLE_RATE, VAD_FRAME_SAMPLES, WHISPER_WINDOW_SAMPLES
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.feedback import Feedback
from pipeline.options import StreamOptions
from pipeline.stream import Stream, endpointing_policy
from pipeline.stream_language import DETECTION_SAMPLES, TRUSTED_LANGUAGE_PROB
from pipeline.window import WindowInfo

SHORT_S, LONG_S = 0.5, DETECTION_SAMPLES / SAMPLE_RATE + 1
SURE, UNSURE = TRUSTED_LANGUAGE_PROB + 0.1, TRUSTED_LANGUAGE_PROB - 0.1


def hear(stream: Stream, seconds: float, probability: float) -> WindowInfo | None:
    """Give a stream audio of one probability; the description of the window that is due."""
    frames = stream.take_frames(np.zeros(int(seconds * SAMPLE_RATE), np.int16))
    found = stream.next_window(
        frames, [probability] * len(frames), [-30.0] * len(frames), end=False
    )
    return None if found is None else found[1]


def say(stream: Stream, seconds: float) -> WindowInfo:
    """Speak for so long and pause; the description of the final."""
    hear(stream, seconds, 0.9)
    info = hear(stream, 0.6, 0.0)
    assert info is not None
    assert info.final
    return info


def feedback(number: int, language: str, prob: float, seconds: float = LONG_S) -> str:
    """What the transcript stage says of a window whose language was found."""
    return Feedback(
        number=number,
        utterance=0,
        samples=int(seconds * SAMPLE_RATE),
        language=language,
        language_prob=prob,
    ).model_dump_json()


def auto(**options: object) -> Stream:
    return Stream(StreamOptions.model_validate({"language": "auto", **options}))


def test_the_policy_is_the_options_in_samples() -> None:
    options = StreamOptions(
        vad_threshold=0.3,
        min_silence_ms=500,
        speech_pad_ms=30,
        max_utterance_s=12.5,
        partials=True,
        partial_interval_s=0.25,
    )
    assert endpointing_policy(options) == EndpointingPolicy(0.3, 8000, 480, 200_000, 4000)


def test_the_default_policy_is_the_protocols() -> None:
    policy = EndpointingPolicy(0.5, 4800, 0, WHISPER_WINDOW_SAMPLES, None)
    assert endpointing_policy(StreamOptions()) == policy == EndpointingPolicy()


def test_no_silence_at_all_means_one_frame_of_it() -> None:
    assert endpointing_policy(StreamOptions(min_silence_ms=0)).min_silence == VAD_FRAME_SAMPLES


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 2000), max_size=20))
def test_frames_hold_every_sample_in_order(sizes: list[int]) -> None:
    stream, total = Stream(StreamOptions()), sum(sizes)
    audio = np.arange(total).astype(np.int16)
    hops = np.split(audio, np.cumsum(sizes)[:-1]) if sizes else []
    frames = [frame for hop in hops for frame in stream.take_frames(hop)]
    whole = total // VAD_FRAME_SAMPLES * VAD_FRAME_SAMPLES
    np.testing.assert_array_equal(np.array(frames).reshape(-1), audio[:whole])


def test_the_end_of_the_audio_counts_the_samples_behind_the_last_frame() -> None:
    stream = Stream(StreamOptions())
    frames = stream.take_frames(np.zeros(10 * VAD_FRAME_SAMPLES + 7, np.int16))
    found = stream.next_window(frames, [0.9] * 10, [-30.0] * 10, end=True)
    assert found is not None
    assert found[1].end == 10 * VAD_FRAME_SAMPLES + 7


def test_a_window_carries_its_place_and_the_streams_options() -> None:
    options = StreamOptions(language="fr", start_sample=1000)
    info = say(Stream(options), 1.024)
    assert info.options == options
    assert (info.number, info.utterance) == (1, 0)
    assert (info.start, info.end, info.audio_start) == (1000, 1000 + 32 * VAD_FRAME_SAMPLES, 1000)
    assert info.speech_probability == 0.9


def test_a_given_language_is_used_and_has_no_probability() -> None:
    info = say(Stream(StreamOptions(language="es")), LONG_S)
    assert (info.language, info.language_prob) == ("es", None)


def test_what_was_found_does_not_change_a_given_language() -> None:
    stream = Stream(StreamOptions(language="es"))
    stream.take_feedback(feedback(1, "fr", SURE))
    assert say(stream, SHORT_S).language == "es"


def test_an_automatic_language_is_found_by_the_engine() -> None:
    assert say(auto(), LONG_S).language is None


def test_detection_restricted_to_one_language_is_that_language() -> None:
    assert say(auto(language_options=["ru"]), SHORT_S).language == "ru"


def test_detection_restricted_to_several_languages_is_done_later() -> None:
    assert say(auto(language_options=["ru", "en"]), SHORT_S).language is None


def test_detection_only_looks_for_the_language_even_where_one_is_given() -> None:
    stream = Stream(StreamOptions(language="en", language_detection_only=True))
    assert say(stream, SHORT_S).language is None


def test_short_speech_follows_the_streams_language_and_long_speech_does_not() -> None:
    stream = auto()
    stream.take_feedback(feedback(1, "fr", SURE))
    short = say(stream, SHORT_S)
    assert (short.language, short.language_prob) == ("fr", SURE)
    assert say(stream, LONG_S).language is None


def test_a_final_tells_what_was_known_before_it() -> None:
    stream = auto()
    assert say(stream, LONG_S).stream_language is None
    stream.take_feedback(feedback(1, "fr", SURE))
    assert say(stream, LONG_S).stream_language == ("fr", SURE)


def test_an_unsure_language_is_not_learnt() -> None:
    stream = auto()
    stream.take_feedback(feedback(1, "fr", UNSURE))
    assert say(stream, SHORT_S).language is None


def test_a_language_changes_only_with_enough_speech() -> None:
    stream = auto()
    stream.take_feedback(feedback(1, "fr", SURE, SHORT_S))
    assert say(stream, SHORT_S).language == "fr"
    stream.take_feedback(feedback(2, "es", SURE, SHORT_S))
    assert say(stream, SHORT_S).language == "fr"
    stream.take_feedback(feedback(3, "es", UNSURE, LONG_S))
    assert say(stream, SHORT_S).language == "fr"
    stream.take_feedback(feedback(4, "es", SURE, LONG_S))
    assert say(stream, SHORT_S).language == "es"


def test_a_language_that_was_given_teaches_nothing() -> None:
    stream = auto()
    given = Feedback(number=1, utterance=0, samples=DETECTION_SAMPLES).model_dump_json()
    stream.take_feedback(given)
    assert say(stream, SHORT_S).language is None


def test_a_client_that_never_echoes_gets_partials_by_cadence_alone() -> None:
    stream = Stream(StreamOptions(partials=True))
    infos = [hear(stream, 0.512, 0.9) for _ in range(4)]
    assert [info and info.final for info in infos] == [False] * 4


def test_a_client_that_echoes_gets_the_next_partial_when_it_has_the_one_before() -> None:
    stream = Stream(StreamOptions(partials=True))
    stream.take_feedback("")
    first = hear(stream, 0.512, 0.9)
    assert first is not None
    assert hear(stream, 0.512, 0.9) is None
    stream.take_feedback(feedback(first.number, "en", SURE))
    assert hear(stream, 0.512, 0.9) is not None


@pytest.mark.parametrize("text", ["no json", "{}", "[]", '{"number": "one"}', "null"])
def test_feedback_that_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Stream(StreamOptions()).take_feedback(text)


def test_a_final_is_decoded_in_the_language_of_its_early_window() -> None:
    stream = Stream(StreamOptions(language="auto"), early_silence=4 * VAD_FRAME_SAMPLES)
    first = feed(stream, [0.9] * 20 + [0.0] * 4)
    stream.take_feedback(feedback(1, "fr", SURE))
    second = feed(stream, [0.0] * 10)
    assert first is not None
    assert second is not None
    assert (first.early, first.final, first.language) == (True, False, None)
    assert (second.early, second.final, second.language) == (False, True, None)
    assert say(stream, SHORT_S).language == "fr"


def feed(stream: Stream, probabilities: list[float]) -> WindowInfo | None:
    frames = stream.take_frames(np.zeros(len(probabilities) * VAD_FRAME_SAMPLES, np.int16))
    levels = [-30.0] * len(probabilities)
    found = stream.next_window(frames, probabilities, levels, end=False)
    return None if found is None else found[1]


def early_after(min_silence_ms: int) -> int:
    """How much silence, in frames, a stream hears before it makes its early window."""
    options = StreamOptions(min_silence_ms=min_silence_ms)
    stream = Stream(options, early_silence=4 * VAD_FRAME_SAMPLES)
    feed(stream, [0.9] * 20)
    return next(frames for frames in range(1, 200) if feed(stream, [0.0]) is not None)


def test_an_early_window_comes_shortly_before_a_late_endpoint() -> None:
    assert early_after(300) == 4
    assert early_after(2500) == 2 * SAMPLE_RATE // VAD_FRAME_SAMPLES + 1
