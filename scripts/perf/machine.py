"""What a step took of this machine: the server's share, and what others took meanwhile.

It measures nothing of a server on another machine, or of one whose processes it may not look into.
"""

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Self

from scripts.load.processes import Sample, Watched, sample, server_processes

OTHERS_CORES = 0.2
"""A machine of which others took more was not calm."""


@dataclass(frozen=True)
class Used:
    """Cores, on average over a step. None: they could not be measured."""

    server_cores: float | None = None
    others_cores: float | None = None

    def remarks(self) -> Iterator[str]:
        """What makes a step's numbers doubtful."""
        if self.others_cores is not None and self.others_cores > OTHERS_CORES:
            yield f"others on the machine took {self.others_cores:.2f} cores meanwhile"


class Meter:
    """Measures from its making to `used`."""

    def __init__(self, server: list[Watched]) -> None:
        self._server = server
        self._sample = sample(server)
        self._children_s = _children_s()
        self._began_s = monotonic()

    @classmethod
    def of_server(cls, address: str) -> Self:
        """For the server that listens on HOST:PORT."""
        return cls(server_processes(f"grpc://{address}"))

    def used(self) -> Used:
        """Since the making. perf_analyzer, a child that has ended, is none of the others."""
        if not self._server:
            return Used()
        now, wall_s = sample(self._server), monotonic() - self._began_s
        server_s = _server_s(now) - _server_s(self._sample)
        ours_s = now.generator.cpu_s - self._sample.generator.cpu_s
        busy_s = now.machine_busy_s - self._sample.machine_busy_s
        others_s = busy_s - server_s - ours_s - (_children_s() - self._children_s)
        return Used(server_s / wall_s, max(0.0, others_s) / wall_s)


def _server_s(taken: Sample) -> float:
    return sum(usage.cpu_s for usage in taken.server.values())


def _children_s() -> float:
    """CPU time of the children that have ended."""
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime
