"""One step of a load test: so many streams at once, and what the machine does meanwhile."""

import asyncio
import time
from collections.abc import Callable, Sequence

from scripts.load.live import Live
from scripts.load.player import Player, Target
from scripts.load.playlist import Plan
from scripts.load.processes import Sample, sample, server_processes
from scripts.load.results import Machine, Silence, Step, machine, sum_up
from scripts.load.track import Track

SAMPLE_EVERY_S = 1.0


async def run_step(
    plans: Sequence[Plan],
    target: Target,
    live: Live,
    *,
    ramp_s: float = 0.0,
    server_pid: int | None = None,
) -> Step:
    """Play all plans, the last one `ramp_s` after the first, and sum up."""
    players = [Player(plan, target, live.note) for plan in plans]
    processes = server_processes(target.url, server_pid)
    begin, began_s = sample(processes), time.monotonic()
    watch = asyncio.create_task(_watch(players, live, lambda: sample(processes)))
    try:
        delays = (ramp_s * n / max(1, len(players) - 1) for n in range(len(players)))
        # A fraction of a packet apart: real clients are not in step with each other.
        phases = (plan.packet_s * n / len(plans) for n, plan in enumerate(plans))
        starts = [sum(pair) for pair in zip(delays, phases, strict=True)]
        async with asyncio.TaskGroup() as group:
            for player, start_s in zip(players, starts, strict=True):
                group.create_task(_start(player, start_s))
    finally:
        watch.cancel()
    wall_s = time.monotonic() - began_s
    tracks = [player.track for player in players]
    live.end()
    used = _machine(begin, sample(processes), wall_s, tracks)
    return sum_up(tracks, _silence(target), used)


async def _start(player: Player, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    await player.run()


async def _watch(players: list[Player], live: Live, take: Callable[[], Sample]) -> None:
    before, at_s = take(), time.monotonic()
    while True:
        await asyncio.sleep(SAMPLE_EVERY_S)
        now, now_s = take(), time.monotonic()
        tracks = [player.track for player in players]
        live.show(
            tracks,
            sum(player.is_open for player in players),
            _machine(before, now, now_s - at_s, tracks),
        )
        before, at_s = now, now_s


def _machine(begin: Sample, end: Sample, wall_s: float, tracks: list[Track]) -> Machine:
    return machine(begin, end, wall_s, sum(track.sent_s for track in tracks))


def _silence(target: Target) -> Silence:
    asked = target.metadata.get("streaming_vad_config", {})
    return Silence(
        float(asked.get("min_silence_duration_ms", target.min_silence_ms)) / 1000,
        float(asked.get("speech_pad_ms", target.speech_pad_ms)) / 1000,
    )
