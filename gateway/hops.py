"""Re-blocks samples into hops, whatever the sizes they come in, and says how long a hop is.

It knows no packet and no request. A hop has the size that was asked for when it was begun; only a
flush makes a shorter one.
"""

from collections.abc import Callable

from pipeline.audio import SAMPLE_BYTES

HOP_MS_UP_TO_STREAMS = ((2, 32), (4, 64), (20, 128))
"""A final waits half a hop on average until its last audio is on its way, and with hops of 256 ms a
quarter of the finals have no early window. Each hop costs the server 1 to 2 ms of CPU, whatever its
size. So a few streams get short hops and many long ones; docs/architecture.md has the numbers."""
LONGEST_HOP_MS = 256
"""For more streams, and for audio that runs ahead of real time: nobody waits for its end."""


def hop_ms_for(streams: int, is_ahead: bool) -> int:
    """How long a hop is while so many streams are served. `is_ahead`: of real time."""
    if is_ahead:
        return LONGEST_HOP_MS
    return next((ms for most, ms in HOP_MS_UP_TO_STREAMS if streams <= most), LONGEST_HOP_MS)


class HopBlocker:
    """Collects PCM (signed 16 bit) until a hop is full. `hop_samples` says when one is."""

    def __init__(self, hop_samples: Callable[[], int]) -> None:
        self._hop_samples = hop_samples
        self._hop = bytearray()
        self._full = 0  # bytes of the hop that has been begun

    @property
    def missing_samples(self) -> int:
        """How many complete the hop that has been begun, or would be now."""
        if not self._hop:
            return self._hop_samples()
        return (self._full - len(self._hop)) // SAMPLE_BYTES

    def push(self, pcm: bytes) -> list[bytes]:
        """Add whole samples; the hops that are full now come out."""
        hops = []
        start = 0
        while start < len(pcm):
            if not self._hop:
                self._full = self._hop_samples() * SAMPLE_BYTES
            end = start + self._full - len(self._hop)
            self._hop += pcm[start:end]
            start = end
            if len(self._hop) == self._full:
                hops += self.flush()
        return hops

    def flush(self) -> list[bytes]:
        """What has been collected, as one last and shorter hop; nothing if there is nothing."""
        if not self._hop:
            return []
        hop = bytes(self._hop)
        self._hop.clear()
        return [hop]
