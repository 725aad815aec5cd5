"""Tritons in memory: the toy recogniser of `fake_triton`, and streams that break, without gRPC.

They stand where `gateway.tritons` does. Faults come by chance, from a seed.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.closing import EngineUnavailable
from gateway.sequence import Hop
from gateway.triton import Answer
from tests.gateway.fake_triton import FakeTriton, SeenHop

Hear = Callable[[Answer], None]


@dataclass
class Faults:
    """How likely things are, for each hop."""

    late: float = 0.0
    """Its answer comes late, and others overtake it."""
    error: float = 0.0
    """It is answered with an error, at once, and its audio has not been heard."""
    broken: float = 0.0
    """The stream breaks instead of an answer."""
    lost: float = 0.0
    """It is never answered."""
    late_s: float = 5.0
    """How late, at the most."""


class MemoryStream:
    """One session's stream; see `gateway.triton.TritonStream`."""

    def __init__(self, triton: "MemoryTritons", hear: Hear) -> None:
        self.triton = triton
        self._hear = hear
        self._answers: asyncio.Queue[Answer | EngineUnavailable] = asyncio.Queue()
        self._broken: EngineUnavailable | None = None
        self._sequences: set[int] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def is_broken(self) -> bool:
        return self._broken is not None

    def give_up(self, why: str) -> None:
        self._break(why)

    async def send(self, hop: Hop) -> None:
        await asyncio.sleep(0)
        if self._broken is not None:
            raise self._broken
        chance, faults = self.triton.chance, self.triton.faults
        if chance.random() < faults.broken:
            self._break("by chance")
            raise EngineUnavailable("by chance")
        answer = self._answer(hop)
        if answer.error is None and chance.random() < faults.lost:
            return
        is_late = answer.error is None and chance.random() < faults.late
        late_s = chance.uniform(0, faults.late_s) if is_late else 0.0
        self._loop.call_later(late_s, self._arrive, answer)

    async def receive(self) -> Answer:
        answer = await self._answers.get()
        if isinstance(answer, EngineUnavailable):
            self._answers.put_nowait(answer)
            raise answer
        return answer

    async def close(self) -> None:
        await asyncio.sleep(0)
        self._break("it has been closed")
        self.triton.streams.discard(self)

    def _answer(self, hop: Hop) -> Answer:
        now = self._loop.time()
        if self.triton.chance.random() < self.triton.faults.error:
            return Answer(hop.index, now, error="by chance")
        if not hop.start and hop.sequence_id not in self.triton.recogniser.sequences:
            return Answer(hop.index, now, error="the sequence has not been started")
        self._sequences.add(hop.sequence_id)
        if hop.asks:
            sequence = self.triton.recogniser.sequences[hop.sequence_id]
            return Answer(hop.index, now, resume=sequence.resume())
        reply = self.triton.recogniser.take(_seen(hop), hop.pcm)
        if reply is None:
            return Answer(hop.index, now)
        message, feedback = reply
        return Answer(hop.index, now, message, feedback)

    def _arrive(self, answer: Answer) -> None:
        if self._broken is None:
            self._hear(answer)
            self._answers.put_nowait(answer)

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = EngineUnavailable(why)
            self._answers.put_nowait(self._broken)
            for sequence in self._sequences:  # a Triton forgets what its stream was about
                self.triton.recogniser.sequences.pop(sequence, None)


@dataclass
class MemoryTritons:
    """All of them; see `gateway.tritons.Tritons`."""

    chance: random.Random = field(default_factory=random.Random)
    faults: Faults = field(default_factory=Faults)
    recogniser: FakeTriton = field(default_factory=FakeTriton)
    streams: set[MemoryStream] = field(default_factory=set)
    address: str = "memory"

    def open_stream(self, hear: Hear, metadata: Any = ()) -> MemoryStream:
        stream = MemoryStream(self, hear)
        self.streams.add(stream)
        return stream

    async def reopen_stream(self, broken: MemoryStream, hear: Hear, *_: Any) -> MemoryStream:
        await asyncio.sleep(self.chance.choice((0, 0.5, 3)))
        return self.open_stream(hear)


def _seen(hop: Hop) -> SeenHop:
    parameters: dict[str, Any] = {}
    if hop.options is not None:
        parameters["options"] = hop.options
    if hop.feedback is not None:
        parameters["feedback"] = hop.feedback
    if hop.discard:
        parameters["discard"] = True
    return SeenHop(hop.index, hop.sequence_id, hop.samples, hop.start, hop.end, parameters)
