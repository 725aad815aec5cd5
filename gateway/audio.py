"""Packets of any size, encoding and rate in; PCM (signed 16 bit) at `SAMPLE_RATE` out.

It knows no websocket and no hop. Its rule: the samples that come out depend on the bytes that went
in and not on how they were cut into packets. It decodes the encoding that was declared and never
guesses another one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE

PCM_S16LE: Final = "pcm_s16le"
PCM_MULAW: Final = "pcm_mulaw"
ENCODINGS = (PCM_S16LE, PCM_MULAW)
MIN_INPUT_RATE = 8_000
MAX_INPUT_RATE = 48_000

_INT16 = np.iinfo(np.int16)
_PCM: Final = "<i2"
"""Triton takes raw tensors in this order too."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What a client declared: mono samples in this encoding at this rate (Hz)."""

    encoding: str = PCM_S16LE
    sample_rate: int = SAMPLE_RATE


def _expand_mulaw(code: int) -> int:
    """The 16-bit sample of a mu-law byte (ITU-T G.711, table 2a; bias 33 scaled to 16 bits)."""
    bits = ~code & 0xFF
    magnitude = (((bits & 0x0F) << 3) + 0x84) << ((bits & 0x70) >> 4)
    return 0x84 - magnitude if bits & 0x80 else magnitude - 0x84


MULAW_TABLE = np.array([_expand_mulaw(code) for code in range(256)], _PCM)


class PacketDecoder:
    """Decodes one stream's packets; keeps a split sample and the resampler's state between them."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._is_mulaw = audio_format.encoding == PCM_MULAW
        self._rate = audio_format.sample_rate
        self._split_sample = b""
        self._resampler = self._new_resampler()

    def decode(self, packet: bytes) -> bytes:
        """The samples at `SAMPLE_RATE` that this packet completes, perhaps none."""
        pcm = self._expand(packet) if self._is_mulaw else self._whole_samples(packet)
        if self._resampler is None or not pcm:
            return pcm
        samples = np.frombuffer(pcm, _PCM).astype(np.float32)
        return _round(self._resampler.resample_chunk(samples))

    def bytes_for(self, samples: int) -> int:
        """How many bytes of packets become about so many samples: a resampler holds some back."""
        width = 1 if self._is_mulaw else SAMPLE_BYTES
        return samples * self._rate // SAMPLE_RATE * width

    def flush(self) -> bytes:
        """The samples that the resampler still holds. What follows begins afresh.

        A split sample is kept: the stream may go on with its other half.
        """
        if self._resampler is None:
            return b""
        tail = _round(self._resampler.resample_chunk(np.empty(0, np.float32), last=True))
        self._resampler = self._new_resampler()
        return tail

    def _new_resampler(self) -> soxr.ResampleStream | None:
        if self._rate == SAMPLE_RATE:
            return None
        return soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32")

    def _expand(self, packet: bytes) -> bytes:
        return MULAW_TABLE[np.frombuffer(packet, np.uint8)].tobytes()

    def _whole_samples(self, packet: bytes) -> bytes:
        data = self._split_sample + packet if self._split_sample else packet
        split = len(data) % SAMPLE_BYTES
        self._split_sample = data[len(data) - split :]
        return data[:-split] if split else data


def _round(samples: NDArray[np.float32]) -> bytes:
    """Round and clip here: soxr's own int16 output dithers by packet."""
    return np.clip(np.rint(samples), _INT16.min, _INT16.max).astype(_PCM).tobytes()
