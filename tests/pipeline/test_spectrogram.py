"""Log-mel features are Whisper's: held against the extractor of faster-whisper."""

from pathlib import Path

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from pipeline.audio import MEL_HOP_SAMPLES, SAMPLE_RATE
from pipeline.spectrogram import log_mel_spectrogram, mel_filters
from tests.pipeline.support import CLIPS, JFK, recording

RECORDINGS = [JFK, CLIPS / "music" / "cold_day.wav", CLIPS / "ru" / "privacy-unident.wav"]


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_features_are_the_references(path: Path, n_mels: int) -> None:
    audio = recording(path)[: 4 * SAMPLE_RATE].astype(np.float32) / 32768
    waveform = np.concatenate([audio, np.zeros(SAMPLE_RATE, np.float32)])
    expected = FeatureExtractor(feature_size=n_mels)(waveform, padding=False)
    features = log_mel_spectrogram(waveform, n_mels)
    assert features.dtype == np.float32
    assert features.shape == (len(waveform) // MEL_HOP_SAMPLES, n_mels)
    frames = min(expected.shape[1], len(features))
    np.testing.assert_allclose(features[:frames], expected.T[:frames], atol=2e-5)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_filters_are_the_references(n_mels: int) -> None:
    expected = FeatureExtractor(feature_size=n_mels).mel_filters
    np.testing.assert_allclose(mel_filters(n_mels), expected.T, atol=1e-7)


@pytest.mark.parametrize("samples", [1, 199, 16_000, 16_001, 16_119, 16_120, 16_121])
def test_the_length_of_the_silence_behind_changes_no_feature_before(samples: int) -> None:
    audio = recording(JFK)[8000 : 8000 + samples].astype(np.float32) / 32768
    short = np.concatenate([audio, np.zeros(SAMPLE_RATE, np.float32)])
    long = np.concatenate([audio, np.zeros(3 * SAMPLE_RATE, np.float32)])
    features = log_mel_spectrogram(short, 80)
    np.testing.assert_array_equal(log_mel_spectrogram(long, 80)[: len(features)], features)


def test_every_frame_that_reaches_a_sound_hears_it() -> None:
    waveform = np.zeros(SAMPLE_RATE, np.float32)
    waveform[8000] = 1.0  # the frame at 8000 and one on each side reach it
    heard = np.flatnonzero(np.ptp(log_mel_spectrogram(waveform, 80), axis=1))
    assert heard.tolist() == [49, 50, 51]


def test_silence_has_the_lowest_features_everywhere() -> None:
    features = log_mel_spectrogram(np.zeros(SAMPLE_RATE, np.float32), 80)
    np.testing.assert_allclose(features, -1.5, rtol=1e-6)  # (log10(1e-10) + 4) / 4


def test_features_span_no_more_than_eight_decades() -> None:
    features = log_mel_spectrogram(recording(JFK).astype(np.float32) / 32768, 80)
    assert features.max() - features.min() == pytest.approx(2.0)
