"""What a load test found: a step's tracks and processes, summed up. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from scripts.error_rate import WordErrors
from scripts.load.metrics import (
    FirstText,
    Flicker,
    Quantiles,
    SeenWord,
    final_latencies_s,
    first_texts,
    flicker,
    is_held,
    quantiles,
    scored,
    seen_words,
)
from scripts.load.processes import GENERATOR, Sample
from scripts.load.track import Track

LATE_S = 0.05
"""A generator whose 99th percentile is later than this has not kept real time."""


class Silence(NamedTuple):
    """How the server was asked to end utterances: what final latencies are counted from."""

    min_silence_s: float
    pad_s: float


@dataclass(frozen=True)
class Errors:
    """Word errors per language, in the run and of the same recordings played alone."""

    heard: dict[str, WordErrors] = field(default_factory=dict)
    alone: dict[str, WordErrors] = field(default_factory=dict)

    @property
    def rate_percent(self) -> float | None:
        return _rate(self.heard)

    @property
    def alone_percent(self) -> float | None:
        return _rate(self.alone)


@dataclass(frozen=True)
class Machine:
    """What processes took during a step."""

    cpu_s: dict[str, float]
    """CPU seconds of the server, by kind of process; empty: it could not be measured."""
    generator_cpu_s: float
    other_cpu_s: float
    """Of everything else that ran on the machine: what may have disturbed the run."""
    memory_begin_bytes: dict[str, int]
    memory_end_bytes: dict[str, int]
    wall_s: float
    audio_s: float
    """Audio sent by all streams together."""

    @property
    def server_cpu_s(self) -> float | None:
        return sum(self.cpu_s.values()) if self.cpu_s else None

    @property
    def cpu_per_audio_s(self) -> float | None:
        """CPU seconds of the server per second of audio: in real time, cores per stream."""
        total = self.server_cpu_s
        return None if total is None or not self.audio_s else total / self.audio_s

    @property
    def cores(self) -> float | None:
        """Cores that the server kept busy, on average."""
        return None if self.server_cpu_s is None else self.server_cpu_s / self.wall_s


@dataclass(frozen=True)
class Stream:
    """One stream's track and what a user saw of it."""

    track: Track
    seen: list[SeenWord]
    first: list[FirstText]
    final_latency_s: list[float]
    flicker: Flicker
    held: bool


@dataclass(frozen=True)
class Step:
    """One number of streams."""

    offered: int
    streams: list[Stream]
    lag_s: Quantiles
    first_partial_s: Quantiles
    first_text_s: Quantiles
    """As first partial, but the final counts where it came before any partial."""
    final_latency_s: Quantiles
    words_spoken: int
    words_unseen: int
    flicker: Flicker
    errors: Errors
    failures: Counter[str]
    """Refused, disconnected and unfinished streams."""
    reasons: Counter[str]
    server_errors: Counter[str]
    lateness_s: Quantiles
    blocked_s: float
    machine: Machine

    @property
    def held(self) -> int:
        return sum(stream.held for stream in self.streams)

    @property
    def kept_time(self) -> bool:
        """Whether the generator itself was in time; otherwise latencies are partly its own."""
        return self.lateness_s.p99 is None or self.lateness_s.p99 <= LATE_S


def sum_up(tracks: list[Track], silence: Silence, machine: Machine) -> Step:
    """A step's numbers."""
    streams = [_stream(track, silence) for track in tracks]
    seen = [item for stream in streams for item in stream.seen]
    first = [item for stream in streams for item in stream.first]
    failures = [track.failure for track in tracks if track.failure]
    return Step(
        offered=len(tracks),
        streams=streams,
        lag_s=quantiles(item.lag_s for item in seen if item.lag_s is not None),
        first_partial_s=quantiles(item.partial_s for item in first if item.partial_s is not None),
        first_text_s=quantiles(item.text_s for item in first if item.text_s is not None),
        final_latency_s=quantiles(each for stream in streams for each in stream.final_latency_s),
        words_spoken=len(seen),
        words_unseen=sum(item.seen_s is None for item in seen),
        flicker=sum((stream.flicker for stream in streams), Flicker()),
        errors=_errors(tracks),
        failures=Counter(failure.kind for failure in failures),
        reasons=Counter(failure.reason for failure in failures),
        server_errors=Counter(error for track in tracks for error in track.errors),
        lateness_s=quantiles(late for track in tracks for late in track.lateness_s),
        blocked_s=sum(track.blocked_s for track in tracks),
        machine=machine,
    )


def machine(begin: Sample, end: Sample, wall_s: float, audio_s: float) -> Machine:
    """What happened between two samples."""
    cpu_s = {
        kind: max(0.0, usage.cpu_s - begin.server[kind].cpu_s if kind in begin.server else 0.0)
        for kind, usage in end.server.items()
    }
    generator_cpu_s = end.generator.cpu_s - begin.generator.cpu_s
    busy_s = end.machine_busy_s - begin.machine_busy_s
    return Machine(
        cpu_s=cpu_s,
        generator_cpu_s=generator_cpu_s,
        other_cpu_s=max(0.0, busy_s - generator_cpu_s - sum(cpu_s.values())),
        memory_begin_bytes=_memory(begin),
        memory_end_bytes=_memory(end),
        wall_s=wall_s,
        audio_s=audio_s,
    )


def _memory(sample: Sample) -> dict[str, int]:
    kinds = {kind: usage.memory_bytes for kind, usage in sample.server.items()}
    return kinds | {GENERATOR: sample.generator.memory_bytes}


def _stream(track: Track, silence: Silence) -> Stream:
    seen = seen_words(track)
    return Stream(
        track=track,
        seen=seen,
        first=first_texts(track),
        final_latency_s=final_latencies_s(track, silence.min_silence_s, silence.pad_s),
        flicker=flicker(track),
        held=is_held(track, seen),
    )


def _errors(tracks: Iterable[Track]) -> Errors:
    heard: dict[str, WordErrors] = {}
    alone: dict[str, WordErrors] = {}
    for item in (item for track in tracks for item in scored(track)):
        heard[item.language] = heard.get(item.language, WordErrors()) + item.heard
        if item.alone is not None:
            alone[item.language] = alone.get(item.language, WordErrors()) + item.alone
    return Errors(heard, alone)


def _rate(errors: dict[str, WordErrors]) -> float | None:
    total = sum(errors.values(), WordErrors())
    return total.rate_percent if total.words else None
