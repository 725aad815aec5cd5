"""Log-mel features exactly as OpenAI's Whisper computes them, in numpy.

Follows `log_mel_spectrogram` of openai/whisper's `audio.py` step by step; the filters are those
of `librosa.filters.mel` (Slaney scale and norm), which OpenAI ships as `mel_filters.npz`. It knows
nothing of windows, prompts or engines.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import MEL_FFT_SAMPLES, MEL_FRAMES_PER_STATE, MEL_HOP_SAMPLES, SAMPLE_RATE

FRAME_MULTIPLE_SAMPLES = MEL_HOP_SAMPLES * MEL_FRAMES_PER_STATE
"""Windows are padded to this, so that the number of mel frames is even."""

_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27  # Slaney: 27 mels from 1 kHz to 6.4 kHz


def log_mel_spectrogram(waveform: NDArray[np.float32], n_mels: int) -> NDArray[np.float32]:
    """Whisper's input features.

    Args:
        waveform: float32 [samples] in [-1, 1] at 16 kHz, already padded; more than 200 samples.
        n_mels: 80, or 128 for large-v3 and turbo.

    Returns:
        float32 [samples // 160, n_mels], frames first.
    """
    half = MEL_FFT_SAMPLES // 2
    padded = np.pad(waveform, half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, MEL_FFT_SAMPLES)[::MEL_HOP_SAMPLES]
    frames = frames[:-1]  # the last frame is dropped, as there
    heard = _heard_frames(waveform, half)
    spectrum = np.fft.rfft(frames[:heard] * _hann_window())
    power = np.square(np.abs(spectrum).astype(np.float32))
    mel = np.zeros((len(frames), n_mels), np.float32)
    np.matmul(power, mel_filters(n_mels), out=mel[:heard])
    log = np.log10(np.maximum(mel, 1e-10))
    log = np.maximum(log, log.max() - 8.0)
    features: NDArray[np.float32] = ((log + 4.0) / 4.0).astype(np.float32)
    return features


def _heard_frames(waveform: NDArray[np.float32], half: int) -> int:
    """How many frames reach into what lies before the zeros that a window is padded with."""
    zeros = int(np.argmax(waveform[::-1] != 0))
    return (len(waveform) - 1 - zeros + half) // MEL_HOP_SAMPLES + 1


@cache
def _hann_window() -> NDArray[np.float32]:
    """The periodic Hann window, float32 [400]."""
    return np.hanning(MEL_FFT_SAMPLES + 1)[:-1].astype(np.float32)


@cache
def mel_filters(n_mels: int) -> NDArray[np.float32]:
    """Slaney mel filters, float32 [201, n_mels]: triangles of equal area, 0 to 8 kHz."""
    bins_hz = np.fft.rfftfreq(MEL_FFT_SAMPLES, 1 / SAMPLE_RATE)
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(SAMPLE_RATE / 2), n_mels + 2))
    rising = (bins_hz[:, None] - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - bins_hz[:, None]) / np.diff(edges_hz)[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: NDArray[np.float32] = (triangles * 2 / (edges_hz[2:] - edges_hz[:-2])).astype(
        np.float32
    )
    return filters


def _hz_to_mel(hz: float) -> float:
    """Slaney's scale: linear to 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_START_MEL + np.log(hz / _LOG_START_HZ) / _LOG_STEP)


def _mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mels * _LINEAR_HZ_PER_MEL
    logarithmic = _LOG_START_HZ * np.exp(_LOG_STEP * (mels - _LOG_START_MEL))
    return np.where(mels < _LOG_START_MEL, linear, logarithmic)
