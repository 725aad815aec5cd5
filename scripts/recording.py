"""Recordings as the scripts send them: one channel of 16-bit PCM at a rate the wire accepts.

Reads whatever libsndfile reads (WAV, FLAC, MP3, OGG and more). Knows no network and no clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from pipeline.audio import SAMPLE_BYTES

Pcm = npt.NDArray[np.int16]

MIN_WIRE_RATE_HZ = 8_000
MAX_WIRE_RATE_HZ = 48_000
"""The protocol's `sample_rate` lies between these."""

_READ_FRAMES = 1 << 18
"""Frames read at a time, so that an hour of stereo never stands in memory as floats."""

_MULAW_BIAS = 132
_MULAW_CLIP = 32_635
"""ITU-T G.711 in 16-bit terms: the bias 33 and the clip of 13-bit magnitudes, times four."""


class UnreadableAudioError(Exception):
    """The file is missing, no audio, or in a format libsndfile does not know."""


@dataclass(frozen=True)
class Recording:
    """Mono PCM, shape [samples], and its rate."""

    pcm: Pcm
    rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / self.rate_hz


def read_recording(path: Path, rate_hz: int | None = None) -> Recording:
    """The recording at `rate_hz`, or at its own rate held within what the wire accepts.

    Raises:
        UnreadableAudioError: says which file and why.
    """
    own = _read(path)
    wanted_hz = rate_hz or min(max(own.rate_hz, MIN_WIRE_RATE_HZ), MAX_WIRE_RATE_HZ)
    return resample(own, wanted_hz)


def resample(recording: Recording, rate_hz: int) -> Recording:
    """The same audio at another rate."""
    if rate_hz == recording.rate_hz:
        return recording
    return Recording(soxr.resample(recording.pcm, recording.rate_hz, rate_hz), rate_hz)


def pcm_bytes(pcm: Pcm) -> bytes:
    """Samples as `pcm_s16le`."""
    data: bytes = pcm.astype("<i2").tobytes()
    return data


def mulaw_bytes(pcm_s16le: bytes) -> bytes:
    """Whole `pcm_s16le` samples as `pcm_mulaw`, one byte each (ITU-T G.711)."""
    samples = np.frombuffer(pcm_s16le, dtype="<i2").astype(np.int32)
    magnitude = np.minimum(np.abs(samples), _MULAW_CLIP) + _MULAW_BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    code = ~(sign | (exponent << 4) | mantissa) & 0xFF
    data: bytes = code.astype(np.uint8).tobytes()
    return data


def sample_count(pcm_s16le: bytes) -> int:
    """Whole samples in these bytes."""
    return len(pcm_s16le) // SAMPLE_BYTES


def _read(path: Path) -> Recording:
    try:
        with soundfile.SoundFile(path) as file:
            blocks = [np.zeros(0, np.int16), *_mono_blocks(file)]
            return Recording(np.concatenate(blocks), file.samplerate)
    except TypeError as error:  # soundfile wants to be told what a file without a header holds
        raise UnreadableAudioError(
            f"cannot read {path}: raw audio has no header; send PCM on standard input instead"
        ) from error
    except (OSError, soundfile.LibsndfileError) as error:
        raise UnreadableAudioError(f"cannot read {path}: {_reason(path, error)}") from error


def _mono_blocks(file: soundfile.SoundFile) -> Iterator[Pcm]:
    while len(block := file.read(_READ_FRAMES, dtype="float32", always_2d=True)):
        mixed = np.rint(block.mean(axis=1) * 32_768)
        yield np.clip(mixed, -32_768, 32_767).astype(np.int16)


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "there is no such file"
    if path.is_dir():
        return "it is a folder"
    return f"{error} (WAV, FLAC, MP3 and OGG are read)"
