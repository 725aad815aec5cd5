"""What a transcription session is set to, in both forms of OpenAI's API."""

from typing import Any

import pytest

from gateway.dialects.metadata import OptionError
from gateway.dialects.realtime.config import (
    Config,
    config_of,
    given_by,
    merged,
    parameter,
    shown_in_beta,
)
from tests.gateway.dialects.support import metadata_of


def present(**parts: Any) -> Config:
    session = {"type": "transcription", "audio": {"input": parts}}
    return config_of(given_by(session, is_beta=False))


def metadata(config: Config) -> Any:
    return metadata_of(config.metadata())


def test_by_default_the_language_is_detected_and_half_a_second_of_silence_ends_a_turn() -> None:
    found = metadata(Config())
    assert found["whisper_params"]["audio_language"] == "auto"
    assert found["streaming_params"]["sample_rate"] == 24_000
    assert found["streaming_params"]["enable_partial_transcripts"] is True
    assert found["streaming_vad_config"] == {"threshold": 0.5, "min_silence_duration_ms": 500}


@pytest.mark.parametrize(
    ("audio_format", "encoding", "rate", "byte_rate"),
    [
        ({"type": "audio/pcm", "rate": 24_000}, "pcm_s16le", 24_000, 48_000),
        ({"type": "audio/pcm"}, "pcm_s16le", 24_000, 48_000),
        ({"type": "audio/pcm", "rate": 16_000.0}, "pcm_s16le", 16_000, 32_000),
        ({"type": "audio/pcmu"}, "pcm_mulaw", 8_000, 8_000),
        ({"type": "audio/pcma"}, "pcm_s16le", 8_000, 8_000),
    ],
)
def test_formats(audio_format: Any, encoding: str, rate: int, byte_rate: int) -> None:
    config = present(format=audio_format)
    params = metadata(config)["streaming_params"]
    assert (params["encoding"], params["sample_rate"]) == (encoding, rate)
    assert config.format.byte_rate == byte_rate


def test_what_is_transcribed() -> None:
    asked = {"model": "whisper-1", "language": "fr", "prompt": "Trees.", "keywords": ["oak", "elm"]}
    params = metadata(present(transcription=asked))["whisper_params"]
    assert params["audio_language"] == "fr"
    assert params["prompt"] == "Trees. oak, elm."


@pytest.mark.parametrize(
    ("languages", "language", "options"),
    [([], "auto", []), (["de"], "de", []), (["de", "en"], "auto", ["de", "en"])],
)
def test_several_languages_are_what_detection_may_choose_from(
    languages: list[str], language: str, options: list[str]
) -> None:
    params = metadata(present(transcription={"languages": languages}))["whisper_params"]
    assert (params["audio_language"], params["language_options"]) == (language, options)


@pytest.mark.parametrize(
    ("turns", "silence_ms"),
    [
        ({"type": "server_vad", "silence_duration_ms": 350, "threshold": 0.6}, 350),
        ({"type": "server_vad"}, 500),
        ({"type": "semantic_vad", "eagerness": "low"}, 1_000),
        ({"type": "semantic_vad"}, 500),
        ({"type": "semantic_vad", "eagerness": "high", "create_response": False}, 300),
    ],
)
def test_turn_detection_is_a_silence(turns: Any, silence_ms: int) -> None:
    config = present(turn_detection=turns)
    assert metadata(config)["streaming_vad_config"]["min_silence_duration_ms"] == silence_ms
    shown = config.shown()["turn_detection"]
    assert (shown["type"], shown["silence_duration_ms"]) == ("server_vad", silence_ms)
    assert not config.is_manual


def test_without_turn_detection_only_the_client_ends_a_turn() -> None:
    config = present(turn_detection=None)
    assert config.is_manual
    assert metadata(config)["streaming_vad_config"]["min_silence_duration_ms"] == 10_000
    assert config.shown()["turn_detection"] is None


def test_models_without_turn_detection_have_none_unless_it_is_asked_for() -> None:
    live = {"model": "gpt-live-transcribe"}
    assert present(transcription=live).is_manual
    assert not present(transcription=live, turn_detection={"type": "server_vad"}).is_manual


def test_what_an_update_leaves_out_stays_as_it_is() -> None:
    first = {"transcription": {"model": "whisper-1", "language": "fr"}, "turn_detection": None}
    second = {"transcription": {"language": "de"}}
    config = config_of(merged(first, second))
    assert (config.transcription.model, config.transcription.language) == ("whisper-1", "de")
    assert config.is_manual
    assert not config_of(merged(first, {"turn_detection": {"type": "server_vad"}})).is_manual


def test_null_means_not_given_but_for_turn_detection() -> None:
    asked = {"transcription": {"model": "whisper-1", "language": None}, "noise_reduction": None}
    assert config_of(asked) == config_of({})
    assert config_of({"transcription": None, "format": None}) == config_of({})


def test_names_that_mean_nothing_are_ignored() -> None:
    assert present(transcription={"delay": "low"}, colour="red") == config_of({})
    assert given_by({"type": "transcription", "include": ["x"]}, is_beta=False) == {}


def test_the_beta_s_flat_form_means_the_same() -> None:
    flat = {
        "input_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "es"},
        "turn_detection": {"type": "server_vad", "threshold": 0.4},
        "input_audio_noise_reduction": {"type": "near_field"},
        "modalities": ["text"],
    }
    nested = {
        "format": {"type": "audio/pcmu"},
        "transcription": {"model": "whisper-1", "language": "es"},
        "turn_detection": {"type": "server_vad", "threshold": 0.4},
        "noise_reduction": {"type": "near_field"},
    }
    config = config_of(given_by(flat, is_beta=True))
    assert config == config_of(nested)
    shown = shown_in_beta(config)
    assert shown["input_audio_format"] == "g711_ulaw"
    assert shown["input_audio_transcription"]["language"] == "es"
    assert shown["input_audio_noise_reduction"] == {"type": "near_field"}


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"type": "realtime"}, "session.type"),
        ({"type": ["transcription"]}, "session.type"),
        ({"audio": 3}, "session.audio"),
        ({"audio": {"input": []}}, "session.audio.input"),
        ({"audio": {"input": {"format": "pcm16"}}}, "session.audio.input.format"),
        ({"audio": {"input": {"format": {"type": "opus"}}}}, "session.audio.input.format.type"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 96_000}}}},
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"transcription": {"language": "xx"}}}},
            "session.audio.input.transcription.language",
        ),
        (
            {"audio": {"input": {"transcription": {"languages": ["en", "xx"]}}}},
            "session.audio.input.transcription.languages[1]",
        ),
        (
            {"audio": {"input": {"transcription": {"languages": [3]}}}},
            "session.audio.input.transcription.languages",
        ),
        (
            {"audio": {"input": {"transcription": {"prompt": "a" * 5000}}}},
            "session.audio.input.transcription.prompt",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "psychic"}}}},
            "session.audio.input.turn_detection.type",
        ),
        (
            {"audio": {"input": {"turn_detection": {"threshold": 1.0}}}},
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"silence_duration_ms": "500"}}}},
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        (
            {"audio": {"input": {"turn_detection": {"silence_duration_ms": 60_000}}}},
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        ({"audio": {"input": {"turn_detection": "off"}}}, "session.audio.input.turn_detection"),
    ],
)
def test_what_cannot_be_used_is_named_as_the_client_knows_it(session: Any, param: str) -> None:
    with pytest.raises(OptionError) as raised:
        config_of(given_by(session, is_beta=False))
    assert parameter(raised.value.name, is_beta=False) == param
    assert "accepted is" in raised.value.problem
    assert len(raised.value.problem) < 300


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"input_audio_format": "opus"}, "session.input_audio_format"),
        ({"input_audio_format": {}}, "session.input_audio_format"),
        (
            {"input_audio_transcription": {"language": "xx"}},
            "session.input_audio_transcription.language",
        ),
        ({"turn_detection": {"threshold": -1}}, "session.turn_detection.threshold"),
    ],
)
def test_in_the_beta_it_has_the_beta_s_name(session: Any, param: str) -> None:
    with pytest.raises(OptionError) as raised:
        config_of(given_by(session, is_beta=True))
    assert parameter(raised.value.name, is_beta=True) == param
