"""Deepgram's query options as a session's metadata."""

from typing import Any

import pytest

from gateway.dialects.deepgram.options import Options, read_options
from gateway.dialects.metadata import OptionError
from gateway.dialects.wav import WavFormat
from tests.gateway.dialects.support import metadata_of, upgrade

LINEAR = "encoding=linear16&sample_rate=16000"


def options(query: str) -> Options:
    return read_options(upgrade(query, "/v1/listen"))


def metadata(query: str) -> Any:
    found = options(f"{LINEAR}&{query}")
    assert found.audio is not None
    return metadata_of(found.metadata(found.audio))


def test_the_defaults_are_english_words_with_times_and_no_interim_results() -> None:
    found = metadata("")
    assert found["whisper_params"]["audio_language"] == "en"
    assert found["whisper_params"]["show_word_timestamps"] is True
    assert found["streaming_params"]["enable_partial_transcripts"] is False
    assert found["streaming_vad_config"]["min_silence_duration_ms"] == 300


@pytest.mark.parametrize(
    ("query", "encoding", "rate"),
    [
        ("encoding=linear16&sample_rate=44100", "pcm_s16le", 44_100),
        ("encoding=mulaw&sample_rate=8000", "pcm_mulaw", 8_000),
        ("encoding=alaw&sample_rate=8000", "pcm_s16le", 8_000),
    ],
)
def test_encodings(query: str, encoding: str, rate: int) -> None:
    found = options(query)
    assert found.audio is not None
    params = metadata_of(found.metadata(found.audio))["streaming_params"]
    assert (params["encoding"], params["sample_rate"]) == (encoding, rate)


def test_without_an_encoding_the_file_says_what_it_is() -> None:
    assert options("model=nova-3&sample_rate=8000").audio is None


@pytest.mark.parametrize(
    ("endpointing", "ms", "is_told"),
    [
        ("", 300, True),
        ("10", 300, True),
        ("true", 300, True),
        ("false", 300, False),
        ("750", 750, True),
        ("60000", 10_000, True),
    ],
)
def test_endpointing_is_at_least_what_whisper_needs(
    endpointing: str, ms: int, is_told: bool
) -> None:
    found = options(f"{LINEAR}&endpointing={endpointing}")
    assert (found.min_silence_ms, found.speech_final) == (ms, is_told)


@pytest.mark.parametrize("flag", ["interim_results=true", "vad_events=true"])
def test_what_is_told_while_somebody_speaks_needs_partials(flag: str) -> None:
    assert metadata(flag)["streaming_params"]["enable_partial_transcripts"] is True


def test_the_language_is_detected_when_it_may_be_any_of_several() -> None:
    found = metadata("language=multi&language_hint=es&language_hint=en-GB")
    assert found["whisper_params"]["audio_language"] == "auto"
    assert found["whisper_params"]["language_options"] == ["es", "en-GB"]
    assert metadata("language=fr-CA&language_hint=es")["whisper_params"]["language_options"] == []
    assert metadata("detect_language=true")["whisper_params"]["audio_language"] == "auto"


def test_terms_are_a_prompt_without_their_weights() -> None:
    found = metadata("keyterm=oak+tree&keyterm=Gregson&keywords=Dashwood:2.5&keywords=a:b")
    assert found["whisper_params"]["prompt"] == "oak tree, Gregson, Dashwood, a:b."


def test_options_that_mean_nothing_here_are_ignored() -> None:
    ignored = "smart_format=true&punctuate=false&diarize=true&numerals=true&mip_opt_out=true&x=y"
    assert metadata(ignored) == metadata("")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (f"{LINEAR}&callback=http://example.com", "callback"),
        (f"{LINEAR}&redact=pci", "redact"),
        (f"{LINEAR}&channels=2", "channels"),
        (f"{LINEAR}&language=xx", "language"),
        (f"{LINEAR}&language=multi&language_hint=xx", "language_hint"),
        (f"{LINEAR}&interim_results=maybe", "interim_results"),
        (f"{LINEAR}&endpointing=soon", "endpointing"),
        (f"{LINEAR}&endpointing=-1", "endpointing"),
        (f"{LINEAR}&utterance_end_ms=500", "utterance_end_ms"),
        (f"{LINEAR}&keyterm={'a' * 5000}", "keyterm"),
        ("encoding=opus&sample_rate=48000", "encoding"),
        ("encoding=linear16", "sample_rate"),
        ("encoding=linear16&sample_rate=96000", "sample_rate"),
        ("encoding=linear16&sample_rate=16k", "sample_rate"),
        ("encoding=linear16&sample_rate=99999999999999999999", "sample_rate"),
        ("encoding=linear16&sample_rate=%C2%B2", "sample_rate"),
    ],
)
def test_what_cannot_be_served_is_refused_by_its_own_name(query: str, name: str) -> None:
    with pytest.raises(OptionError) as raised:
        options(query)
    assert raised.value.name.partition("[")[0] == name
    assert str(raised.value).startswith(name)
    assert "_params" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_file_s_rate_is_checked_when_it_is_known() -> None:
    with pytest.raises(OptionError, match="sample_rate: found 96000"):
        options("").metadata(WavFormat("linear16", 96_000))
