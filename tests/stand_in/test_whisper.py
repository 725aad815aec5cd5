"""What the stand-in makes of large-v3's features and tokens is what base makes of its own."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import WHISPER_WINDOW_SAMPLES
from pipeline.spectrogram import log_mel_spectrogram
from pipeline.tokens import WhisperTokenizer
from tests.pipeline.support import JFK, JFK_WORDS, MODEL_DIR, recording, words_of
from tests.stand_in.engine import make_engine
from tests.stand_in.whisper import BaseAsLargeV3


@pytest.fixture(scope="module")
def engine_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "large-v3-h100"
    make_engine(folder, Path(MODEL_DIR))
    return folder


@pytest.fixture(scope="module")
def model(engine_dir: Path) -> BaseAsLargeV3:
    return BaseAsLargeV3(engine_dir, Path(MODEL_DIR))


def spoken(n_mels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Features of a recording in a full window."""
    waveform = np.zeros(WHISPER_WINDOW_SAMPLES, np.float32)
    pcm = recording(JFK)
    waveform[: len(pcm)] = pcm / np.float32(32768)
    return log_mel_spectrogram(waveform, n_mels)


def test_128_mel_bins_become_the_80_of_base(model: BaseAsLargeV3) -> None:
    """Features span 2; most of the error is in the silence, and the filters cannot be inverted."""
    error = model.features_of_base(spoken(128).astype(np.float16)) - spoken(80)
    assert np.sqrt(np.mean(np.square(error))) < 0.04


def test_the_text_of_a_recording_is_heard_in_large_v3_s_tokens(
    model: BaseAsLargeV3, engine_dir: Path
) -> None:
    tokenizer = WhisperTokenizer(str(engine_dir))
    prompt = tokenizer.decoder_prompt("en", "")
    said = model.decode(spoken(128).astype(np.float16), prompt, 200)
    assert words_of(tokenizer.decode(said.tokens)) == JFK_WORDS
    assert len(said.log_probs) == len(said.tokens)
    assert tokenizer.end not in said.tokens


def test_forced_text_is_not_said_again(model: BaseAsLargeV3, engine_dir: Path) -> None:
    tokenizer = WhisperTokenizer(str(engine_dir))
    forced = tokenizer.encode(" And so my fellow Americans")
    prompt = [*tokenizer.decoder_prompt("en", ""), *forced]
    said = model.decode(spoken(128).astype(np.float16), prompt, 200)
    assert words_of(tokenizer.decode([*forced, *said.tokens])) == JFK_WORDS
    assert "fellow" not in words_of(tokenizer.decode(said.tokens))
