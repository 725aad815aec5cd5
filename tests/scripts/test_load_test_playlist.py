"""Playlists: what streams play, in which format, and where its words lie; and asking for those."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import SAMPLE_RATE
from scripts.load.calibration import Cache, loud_span_s, speech, spread
from scripts.load.player import Target
from scripts.load.playlist import Library, Mix, Plan, formats, packet_s, plan, read_library
from scripts.load.track import Clip
from scripts.manifest import ManifestError
from scripts.recording import Pcm, Recording
from scripts.sources import MULAW, PCM, PacketFormat

CLIPS_FOLDER = Path(__file__).parents[1] / "data" / "clips"
PCM_16K = PacketFormat(SAMPLE_RATE, 32)


def recording(seconds: float, level: int = 1000) -> Recording:
    return Recording(np.full(int(seconds * SAMPLE_RATE), level, np.int16), SAMPLE_RATE)


def library(**seconds: float) -> tuple[list[Clip], Library]:
    """Recordings named after their language and a digit, as in `en1`."""
    clips = [Clip(name, name[:2], length, "text") for name, length in seconds.items()]
    return clips, Library({name: recording(length) for name, length in seconds.items()})


def samples(made: Plan) -> Pcm:
    return np.frombuffer(b"".join(made.packets()), "<i2")


def test_a_stream_is_whole_packets_of_exactly_the_asked_duration() -> None:
    made = plan(0, *library(en1=1.03, en2=0.7), Mix(duration_s=9.6, forms=(PCM_16K,)))
    assert {len(packet) for packet in made.packets()} == {1024}
    assert len(list(made.packets())) == made.packet_count == 300
    assert made.duration_s == pytest.approx(9.6)


def test_recordings_lie_where_the_plan_says() -> None:
    made = plan(0, *library(en1=1.03, en2=0.7), Mix(duration_s=9.6, forms=(PCM_16K,)))
    audio = samples(made)
    for played in made.played[:-1]:
        begin = round(played.begin_s * SAMPLE_RATE)
        end = begin + round(played.clip.duration_s * SAMPLE_RATE)
        assert audio[begin - 1] == audio[end] == 0
        assert (audio[begin:end] == 1000).all()
        assert played.whole
    assert not made.played[-1].whole


def test_the_last_recording_is_played_to_its_end_where_that_is_asked_for() -> None:
    mix = Mix(duration_s=2.0, forms=(PCM_16K,), to_the_end=True)
    made = plan(0, *library(en1=1.03), mix)
    assert [played.whole for played in made.played] == [True, True]
    assert np.count_nonzero(samples(made)) == 2 * round(1.03 * SAMPLE_RATE)
    assert made.duration_s > made.played[-1].begin_s + 1.03


def test_every_recording_is_played_before_one_is_repeated() -> None:
    clips, recordings = library(en1=1.0, en2=1.0, en3=1.0, en4=1.0)
    made = plan(5, clips, recordings, Mix(duration_s=60.0, forms=(PCM_16K,)))
    names = [played.clip.name for played in made.played]
    assert set(names[:4]) == set(names[4:8]) == {"en1", "en2", "en3", "en4"}
    other = plan(6, clips, recordings, Mix(duration_s=60.0, forms=(PCM_16K,)))
    assert [played.clip.name for played in other.played] != names


def test_a_stream_plays_the_same_in_every_step_but_never_the_same_bytes() -> None:
    """A server that remembers what it has decoded would otherwise be measured remembering."""
    clips, recordings = library(en1=1.0)
    mix = Mix(duration_s=20.0, forms=(PCM_16K,))
    one, two = (plan(0, clips, recordings, mix, step) for step in (0, 1))
    assert [played.clip for played in one.played] == [played.clip for played in two.played]
    packets_of_speech_s = [played.begin_s % packet_s(PCM_16K) for played in one.played]
    assert len({round(offset_s, 6) for offset_s in packets_of_speech_s}) > 10
    assert samples(one).tolist() != samples(two).tolist()
    assert samples(one).tolist() == samples(plan(0, clips, recordings, mix)).tolist()


@pytest.mark.parametrize("talk_ratio", [1.0, 0.5, 0.1])
def test_silence_leaves_the_asked_share_of_talk(talk_ratio: float) -> None:
    mix = Mix(duration_s=2000.0, talk_ratio=talk_ratio, forms=(PCM_16K,))
    talk = np.count_nonzero(samples(plan(0, *library(en1=5.0, en2=4.0), mix)))
    assert talk / (2000.0 * SAMPLE_RATE) == pytest.approx(talk_ratio, rel=0.12)


def test_a_stream_with_a_given_language_plays_that_one_alone() -> None:
    clips, recordings = library(en1=1.0, fr1=1.0, en2=1.0)
    mix = Mix(duration_s=10.0, forms=(PCM_16K,))
    plans = [plan(index, clips, recordings, mix) for index in range(4)]
    assert [made.language for made in plans] == ["en", "fr", "en", "fr"]
    assert {played.clip.language for played in plans[1].played} == {"fr"}
    mixed = plan(0, clips, recordings, Mix(10.0, forms=(PCM_16K,), detect_language=True))
    assert mixed.language == "auto"
    assert {played.clip.language for played in mixed.played} == {"en", "fr"}


@pytest.mark.parametrize("detect_language", [False, True])
def test_all_formats_are_in_use_and_in_every_language(detect_language: bool) -> None:
    clips, recordings = library(en1=1.0, fr1=1.0)
    forms = formats([8_000, 48_000], [PCM, MULAW])
    mix = Mix(2.0, forms=forms, detect_language=detect_language)
    plans = [plan(index, clips, recordings, mix) for index in range(8)]
    assert Counter(made.form for made in plans) == dict.fromkeys(forms, 2)
    assert len({(made.language, made.form) for made in plans}) >= 4


def test_telephone_audio_is_one_byte_a_sample() -> None:
    made = plan(0, *library(en1=1.0), Mix(2.0, forms=formats([8_000], [MULAW])))
    assert {len(packet) for packet in made.packets()} == {256}
    assert next(made.packets()) == b"\xff" * 256  # silence


def test_packets_of_odd_rates_keep_the_clock() -> None:
    form = PacketFormat(44_100, 32)
    made = plan(0, *library(en1=1.0), Mix(30.0, forms=(form,)))
    assert len(b"".join(made.packets())) / 2 / 44_100 == pytest.approx(made.duration_s)


def test_recordings_come_from_manifests_and_folders_without_those_that_say_nothing(
    tmp_path: Path,
) -> None:
    clips, recordings = read_library([CLIPS_FOLDER])
    assert len(clips) == len(recordings.recordings) == 12
    assert all(clip.said for clip in clips)
    again, _ = read_library([CLIPS_FOLDER / "manifest.tsv"])
    assert again == clips
    told, _ = read_library([CLIPS_FOLDER / "fr"])
    assert {(clip.language, clip.said) for clip in told} == {("fr", None)}
    with pytest.raises(ManifestError, match="no recordings"):
        read_library([tmp_path])


def test_a_file_of_its_own_can_have_its_text_told() -> None:
    path = CLIPS_FOLDER.parent / "jfk.wav"
    (clip,), _ = read_library([path], {path: "And so"})
    assert (clip.language, clip.said, clip.duration_s) == ("en", "And so", 11.0)


SEGMENT = {"text": "Hello, big world.", "start_time": 0.3, "end_time": 1.5}
TIMED = [["Hello,", 0.3, 0.6], ["big", 0.6, 0.8], ["world.", 1.0, 1.5]]


def test_word_times_are_the_servers() -> None:
    clip = Clip("a.wav", "en", 2.0, "hello big world")
    found = speech([{"segments": [SEGMENT | {"words": TIMED}]}], clip, recording(2.0))
    assert [(word.token, word.end_s) for word in found.words] == [
        ("hello", 0.6),
        ("big", 0.8),
        ("world", 1.5),
    ]
    assert (found.utterances_s, found.text, found.measured) == ((0.3,), SEGMENT["text"], True)


def test_without_word_times_words_are_spread_over_what_was_heard() -> None:
    clip = Clip("a.wav", "en", 2.0, "hello big world")
    found = speech([{"segments": [SEGMENT | {"words": []}]}], clip, recording(2.0))
    assert [word.token for word in found.words] == ["hello", "big", "world"]
    assert [found.words[0].start_s, found.words[-1].end_s] == pytest.approx([0.3, 1.5])
    assert not found.measured


@pytest.mark.parametrize(("finals", "text"), [(None, None), ([], "")])
def test_without_an_answer_words_are_spread_over_what_is_loud(
    finals: list[dict[str, object]] | None, text: str | None
) -> None:
    pcm = np.zeros(3 * SAMPLE_RATE, np.int16)
    pcm[SAMPLE_RATE : 2 * SAMPLE_RATE] = 1000
    found = speech(finals, Clip("a.wav", "en", 3.0, "a bc"), Recording(pcm, SAMPLE_RATE))
    assert [word.token for word in found.words] == ["a", "bc"]
    times_s = [time_s for word in found.words for time_s in (word.start_s, word.end_s)]
    assert times_s == pytest.approx([1.0, 1.33, 1.33, 2.0], abs=0.02)
    assert (found.text, found.measured) == (text, False)


def test_nothing_can_be_spread_over_nothing() -> None:
    assert list(spread([], 0.0, 1.0)) == []
    assert loud_span_s(Recording(np.zeros(5, np.int16), SAMPLE_RATE)) == (0.0, 5 / SAMPLE_RATE)


def test_answers_are_kept_for_their_server_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.json"
    cache = Cache.read(path, "ws://one")
    cache.answers["key"] = {"finals": []}
    cache.write()
    assert Cache.read(path, "ws://one").answers == {"key": {"finals": []}}
    assert Cache.read(path, "ws://two").answers == {}
    assert Cache.read(path, "ws://one", anew=True).answers == {}
    path.write_text("{")
    assert Cache.read(path, "ws://one").answers == {}


def test_metadata_that_was_asked_for_wins() -> None:
    made = plan(0, *library(fr1=1.0), Mix(1.0, forms=formats([8_000], [MULAW])))
    target = Target(
        "ws://", interval_s=0.5, metadata={"streaming_vad_config": {"speech_pad_ms": 30}}
    )
    assert target.session(made) == {
        "whisper_params": {"audio_language": "fr"},
        "streaming_params": {
            "encoding": "pcm_mulaw",
            "sample_rate": 8_000,
            "enable_partial_transcripts": True,
            "partial_transcript_interval_s": 0.5,
        },
        "streaming_vad_config": {"min_silence_duration_ms": 300, "speech_pad_ms": 30},
    }
