"""A-law (ITU-T G.711) as signed 16-bit PCM, which is what a session takes; mu-law it takes itself.

Pure, and without arrays: two table look-ups for each packet.
"""

_EVEN_BITS = 0x55
"""Every second bit is sent inverted (G.711, table 1a, note 2)."""


def _expand(code: int) -> int:
    """The 16-bit sample of an A-law byte (table 1a, scaled from 13 to 16 bits)."""
    bits = code ^ _EVEN_BITS
    segment = (bits & 0x70) >> 4
    magnitude = ((bits & 0x0F) << 4) + 8
    if segment:
        magnitude = (magnitude + 0x100) << (segment - 1)
    return magnitude if bits & 0x80 else -magnitude


_SAMPLES = [_expand(code).to_bytes(2, "little", signed=True) for code in range(256)]
_LOW_BYTES = bytes(sample[0] for sample in _SAMPLES)
_HIGH_BYTES = bytes(sample[1] for sample in _SAMPLES)


def expand_alaw(packet: bytes) -> bytes:
    """A-law bytes as `pcm_s16le` of the same rate."""
    pcm = bytearray(2 * len(packet))
    pcm[0::2] = packet.translate(_LOW_BYTES)
    pcm[1::2] = packet.translate(_HIGH_BYTES)
    return bytes(pcm)
