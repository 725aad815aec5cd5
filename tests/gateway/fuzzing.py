"""Runs generated sessions against Tritons in memory, in virtual time, and says what went wrong.

What must hold of every session, whatever its client says: it ends, with a close code that
docs/protocol.md has, and nothing of it is left; its utterances are numbered without a gap, each has
one final, and nothing follows a final; nothing is told behind `finished` or behind the end. Of a
session that only sends audio to its end, the finals are those of the audio, even when Triton is
lost on the way, and each was made of what was heard before it.
"""

import asyncio
import json
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn, cast

from gateway.admission import Admission
from gateway.closing import ClientGone, Close, CloseCode
from gateway.messages import FINISHED, Configure, Flush, Frame
from gateway.peer import Incoming
from gateway.session import ENGINE_UNAVAILABLE, Session, Shared
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.ticks import ANYTHING, Portion
from gateway.tritons import Tritons
from pipeline.options import StreamOptions
from tests.gateway.fake_triton import Sequence
from tests.gateway.generated import END_AUDIO, Client, Gone, Pause, Step, client
from tests.gateway.memory_triton import Faults, MemoryTritons

BURST = 1000
LONGEST_S = 400_000.0
"""Of virtual time: pauses of a session and its idle limit are less."""
LEFT_OUT_S = 29.0
"""A client that is silent for longer has its utterance ended: whose finals are not looked at."""
Told = tuple[str, float]
"""The text of a final, and the toy's checksum of all that was heard before it."""
SETTINGS = Settings(hop_ms=32, burst_streams=BURST, max_streams=BURST, idle_timeout_s=300)
TELEMETRY = Telemetry()


@dataclass
class GeneratedPeer:
    """Says what its client says; see `gateway.peer.Peer`."""

    client: Client
    frames: list[Frame] = field(default_factory=list)
    end: Close | None = None

    def __post_init__(self) -> None:
        self._steps = list(reversed(self.client.steps))
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()

    async def receive(self, until: float, wanted: Portion = ANYTHING) -> Incoming | None:
        while self._steps:
            step = self._steps.pop()
            if isinstance(step, Gone):
                if step.code is not None:
                    raise Close(step.code)
                self._gone.set()
                raise ClientGone
            if not isinstance(step, Pause):
                return step
            left_s = self._loop.time() + step.seconds - until
            if left_s > 0:
                self._steps.append(Pause(left_s))
                break
            await asyncio.sleep(step.seconds)
        await asyncio.sleep(max(0.0, until - self._loop.time()))
        return None

    def hurry(self) -> None: ...

    async def send(self, frame: Frame) -> None:
        assert self.end is None, "a frame behind the end"
        json.dumps(frame)
        if self._gone.is_set():
            raise ClientGone
        wait_s = self.client.slow_s * self.client.chance.random()
        if wait_s:
            await asyncio.sleep(min(wait_s, SETTINGS.send_timeout_s))
        if wait_s > SETTINGS.send_timeout_s:
            raise Close(CloseCode.OVERLOADED, "the client has read nothing")
        self.frames.append(frame)

    async def keep_alive(self) -> NoReturn:
        await self._gone.wait()
        raise ClientGone

    async def close(self, end: Close) -> None:
        assert self.end is None, "two ends"
        self.end = end


class Complaints(logging.Handler):
    """What is logged as an error: a defect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@dataclass
class Tally:
    """Of many sessions, so that a test can see that they were of all kinds."""

    codes: dict[int, int] = field(default_factory=dict)
    frames: int = 0
    replays: int = 0
    with_known_finals: int = 0

    def count(self, peer: GeneratedPeer, has_known_finals: bool) -> None:
        assert peer.end is not None
        code = int(peer.end.code)
        self.codes[code] = self.codes.get(code, 0) + 1
        self.frames += len(peer.frames)
        self.with_known_finals += has_known_finals


async def run_batch(seeds: range, faults: Faults, tally: Tally) -> None:
    """Sessions side by side. Raises AssertionError when something does not hold."""
    tritons = MemoryTritons(random.Random(seeds.start), faults)
    admission = Admission(1e9, 1e9, BURST)
    peers = [GeneratedPeer(client(seed)) for seed in seeds]
    async with asyncio.timeout(LONGEST_S):
        await asyncio.gather(*(_serve(peer, tritons, admission) for peer in peers))
    for peer in peers:
        try:
            known = finals_of(peer.client)
            check(peer, known, may_fail=faults != Faults(late=faults.late))
        except AssertionError as error:
            raise AssertionError(f"session {peer.client.seed}: {error}") from error
        tally.count(peer, known is not None and FINISHED in peer.frames)
    await asyncio.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]
    assert not left, f"tasks are left: {left}"
    assert not tritons.streams, "streams are left"
    assert not tritons.recogniser.sequences, "sequences are left"
    assert admission.free_streams(asyncio.get_running_loop().time()) == BURST, "places are left"


async def _serve(peer: GeneratedPeer, tritons: MemoryTritons, admission: Admission) -> None:
    draining, stopping = asyncio.Event(), asyncio.Event()
    shared = Shared(
        SETTINGS,
        cast(Tritons, tritons),
        admission,
        lambda is_ahead: SETTINGS.hop_size(1, is_ahead),
        draining,
        stopping,
        TELEMETRY,
    )
    loop, at = asyncio.get_running_loop(), peer.client.stops_at_s
    timers = []
    if at is not None:
        timers = [loop.call_later(at, draining.set), loop.call_later(at + 1, stopping.set)]
    end = await Session(peer, shared).run()
    for timer in timers:
        timer.cancel()
    assert peer.end is end


def check(peer: GeneratedPeer, known: list[Told] | None, may_fail: bool) -> None:
    """What must hold of a session that has ended."""
    assert peer.end is not None
    assert peer.end.code in {*CloseCode, 1002, 1007, 1009}
    if peer.end.code == CloseCode.INTERNAL:
        assert may_fail, f"1011: {peer.end.error}"
        assert peer.end.error == ENGINE_UNAVAILABLE
    told = [frame for frame in peer.frames if frame["type"] == "transcription"]
    may_miss = any(map(_is_failure, peer.frames)) or any(map(_discards, peer.client.steps))
    opened, closed = -1, -1
    for frame in told:
        number = frame["transcription_num"]
        if may_miss and number == opened + 1:
            closed = opened
        assert number == closed + 1, f"number {number} behind final {closed}"
        opened = number
        closed += bool(frame["is_final"])
    if FINISHED in peer.frames:
        behind = peer.frames[peer.frames.index(FINISHED) + 1 :]
        assert all(frame["type"] in ("error", "health_check", "flush") for frame in behind)
        assert may_miss or not told or told[-1]["is_final"], "a partial without its final"
        if known is not None and not may_miss:
            assert [_told(frame) for frame in told if frame["is_final"]] == known


def _is_failure(frame: Frame) -> bool:
    return frame["type"] == "error" and "could not be transcribed" in frame["message"]


def _discards(step: Step) -> bool:
    return isinstance(step, Flush) and step.discard


def _told(final: Frame) -> Told:
    return final["transcript"], final["segments"][0]["log_prob"]


def finals_of(one: Client) -> list[Told] | None:
    """The finals that the client must get, None where that is not so simple."""
    if END_AUDIO not in one.steps or one.steps[0] not in ("{}", '{"include_timing_info": true}'):
        return None
    steps = one.steps[1 : one.steps.index(END_AUDIO)]
    if any(isinstance(step, (Gone, Flush, Configure)) or _is_long(step) for step in steps):
        return None
    audio = b"".join(step for step in steps if isinstance(step, bytes))
    return list(_finals(audio[: len(audio) // 2 * 2]))


def _is_long(step: Step) -> bool:
    return isinstance(step, Pause) and step.seconds > LEFT_OUT_S


def _finals(audio: bytes) -> Iterator[Told]:
    sequence = Sequence(StreamOptions(), 0)
    message = sequence.hop(audio, end=False, discard=False)
    while message is not None or sequence.waiting:
        if message is not None and message["is_final"]:
            yield _told(message)
        message = sequence.hop(b"", end=False, discard=False)
    last = sequence.hop(b"", end=True, discard=False)
    if last is not None:
        yield _told(last)
