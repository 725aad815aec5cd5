"""Re-blocks samples into hops of exactly one size, whatever the sizes they come in.

It knows no packet and no request. Only a flush makes a shorter hop.
"""

import numpy as np
from numpy.typing import NDArray


class HopBlocker:
    """Collects samples until a hop is full."""

    def __init__(self, hop_samples: int) -> None:
        self._hop = np.empty(hop_samples, np.int16)
        self._filled = 0

    def push(self, samples: NDArray[np.int16]) -> list[NDArray[np.int16]]:
        """Add samples [n]; the hops that are full now come out."""
        hops = []
        while len(samples):
            taken = min(len(self._hop) - self._filled, len(samples))
            self._hop[self._filled : self._filled + taken] = samples[:taken]
            self._filled += taken
            samples = samples[taken:]
            if self._filled == len(self._hop):
                hops += self.flush()
        return hops

    def flush(self) -> list[NDArray[np.int16]]:
        """What has been collected, as one last and shorter hop; nothing if there is nothing."""
        if not self._filled:
            return []
        hop = self._hop[: self._filled].copy()
        self._filled = 0
        return [hop]
