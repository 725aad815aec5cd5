"""Re-blocks samples into hops, whatever the sizes they come in, and says how long a hop is.

It knows no packet and no request. A hop has the size that was asked for when it was begun, or one
between the two that were; only a flush makes a shorter one.
"""

from collections.abc import Callable

from gateway.ticks import Portion
from pipeline.audio import MAX_HOP_SAMPLES, SAMPLE_BYTES, VAD_FRAME_SAMPLES, ms_to_samples

HOP_MS_UP_TO_STREAMS = ((2, 32), (4, 64), (20, 128))
"""A final waits half a hop on average until its last audio is on its way, and with hops of 256 ms a
quarter of the finals have no early window. Each hop costs the server 1 to 2 ms of CPU, whatever its
size. So a few streams get short hops and many long ones; docs/architecture.md has the numbers."""
LONGEST_HOP_MS = 256
"""For more streams, and for audio that runs ahead of real time: nobody waits for its end."""

FEWEST_WITH_TICKS, SHORTEST_WITH_TICKS_MS = 12, 128
"""So many streams with hops that long send them at ticks. Fewer save little by it, and their finals
are 0.02 s later: at a tick the newest packet is half its length old."""
MOST_AT_A_TICK = 24
"""Streams whose hops are sent together; with more, ticks are more often. The last of them waits for
what the gateway does for the others, under 1 ms each."""
SHORTEST_TICK_MS = 16
_FRAME_BYTES = VAD_FRAME_SAMPLES * SAMPLE_BYTES


def hop_ms_for(streams: int, is_ahead: bool) -> int:
    """How long a hop is while so many streams are served. `is_ahead`: of real time."""
    if is_ahead:
        return LONGEST_HOP_MS
    return next((ms for most, ms in HOP_MS_UP_TO_STREAMS if streams <= most), LONGEST_HOP_MS)


def hop_size(hop_ms: int, streams: int, is_ahead: bool) -> Portion:
    """Samples of a hop of about this length. With ticks it is up to half a tick longer or shorter,
    so that it ends at one without anybody waiting. `is_ahead`: of real time, which gets none."""
    samples = ms_to_samples(hop_ms)
    if is_ahead or streams < FEWEST_WITH_TICKS or hop_ms < SHORTEST_WITH_TICKS_MS:
        return Portion(samples, samples)
    tick_ms = min(hop_ms, LONGEST_HOP_MS)
    while streams * tick_ms > MOST_AT_A_TICK * hop_ms and tick_ms >= 2 * SHORTEST_TICK_MS:
        tick_ms //= 2
    half = ms_to_samples(tick_ms) // 2
    return Portion(samples - half, min(samples + half, MAX_HOP_SAMPLES), tick_ms)


class HopBlocker:
    """Collects PCM (signed 16 bit) until a hop is full. `hop_size` says when one is, in samples."""

    def __init__(self, hop_size: Callable[[], Portion]) -> None:
        self._hop_size = hop_size
        self._hop = bytearray()
        self._size = Portion()  # of the hop that has been begun
        self._earlier = 0  # bytes of it that were there at the last pause

    @property
    def missing(self) -> Portion:
        """What completes the hop that has been begun, or would now."""
        size, begun = self._hop_size() if not self._hop else self._size, len(self._hop)
        least = self._least(size, begun)
        return Portion(least, size.at_once, size.tick_ms).through(
            lambda samples: max(0, samples - begun // SAMPLE_BYTES)
        )

    def push(self, pcm: bytes) -> list[bytes]:
        """Add whole samples; the hops that are full now come out."""
        hops = []
        start = 0
        while start < len(pcm):
            if not self._hop:
                self._size = self._hop_size()
            end = start + self._size.at_once * SAMPLE_BYTES - len(self._hop)
            self._hop += pcm[start:end]
            start = end
            if len(self._hop) == self._size.at_once * SAMPLE_BYTES:
                hops += self.flush()
        return hops

    def pause(self) -> list[bytes]:
        """Nothing more comes for now: the hop that has been begun, if it is long enough.

        What comes at a tick comes in one go, and may be shorter than what trickles in.
        """
        least = self._least(self._size, self._earlier) * SAMPLE_BYTES
        hops = [self._whole_frames()] if self._hop and len(self._hop) >= least else []
        self._earlier = len(self._hop)
        return hops

    def flush(self) -> list[bytes]:
        """What has been collected, as one last and shorter hop; nothing if there is nothing."""
        if not self._hop:
            return []
        hop = bytes(self._hop)
        self._hop.clear()
        self._earlier = 0
        return [hop]

    @staticmethod
    def _least(size: Portion, earlier: int) -> int:
        """Samples of a hop at a pause, of which so many bytes had come before."""
        return size.at_tick if earlier < _FRAME_BYTES else size.about

    def _whole_frames(self) -> bytes:
        """What the voice-activity model can score of what has been collected; a rest stays."""
        hop = bytes(self._hop[: len(self._hop) // _FRAME_BYTES * _FRAME_BYTES])
        del self._hop[: len(hop)]
        if self._hop:
            self._size = self._hop_size()
        return hop
