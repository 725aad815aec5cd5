"""Recordings as files of every kind, made in memory by FFmpeg's encoders or by libsndfile."""

import io
from functools import cache

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE

KINDS = {
    "wav": ("wav", "pcm_s16le", 16_000, "mono"),
    "flac": ("flac", "flac", 44_100, "stereo"),
    "mp3": ("mp3", "libmp3lame", 44_100, "stereo"),
    "ogg": ("ogg", "libopus", 48_000, "mono"),
    "m4a": ("ipod", "aac", 44_100, "stereo"),
    "mp4": ("mp4", "aac", 16_000, "mono"),
    "aac": ("adts", "aac", 16_000, "mono"),
    "webm": ("webm", "libopus", 48_000, "stereo"),
}
"""Container, codec, rate in Hz and layout of each."""
LIBSNDFILE_KINDS = {"ogg": "VORBIS", "aiff": "PCM_16", "caf": "PCM_16", "wav": "ULAW"}


def encode(kind: str, samples: NDArray[np.int16]) -> bytes:
    """16 kHz mono samples as a file of one of `KINDS`."""
    container, codec, rate, layout = KINDS[kind]
    out = io.BytesIO()
    # As a browser's recorder does it: a cluster of WebM is a second.
    options = {"cluster_time_limit": "1000"} if kind == "webm" else {}
    with av.open(out, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        context = stream.codec_context
        context.open()
        resampler = av.AudioResampler(
            context.format, layout, rate, frame_size=context.frame_size or None
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return out.getvalue()


def encode_with_libsndfile(kind: str, samples: NDArray[np.int16]) -> bytes:
    """16 kHz mono samples as a file of one of `LIBSNDFILE_KINDS`."""
    out = io.BytesIO()
    subtype = LIBSNDFILE_KINDS[kind]
    soundfile.write(out, samples, SAMPLE_RATE, format=kind.upper(), subtype=subtype)
    return out.getvalue()


@cache
def sweep(seconds: float = 3.0) -> NDArray[np.int16]:
    """A tone that rises from 200 Hz to 2 kHz, so that times can be told from it."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    frequency = 200 + 1800 * t / seconds
    phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    tone: NDArray[np.int16] = (8000 * np.sin(phase)).astype(np.int16)
    return tone
