"""Sessions made by chance: what clients say, when, and how they leave. A seed makes one again.

Half of what they say makes sense, so that sessions get somewhere; the rest is what a broken or a
hostile client could say.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.messages import Alive, Configure, Flush, Request
from gateway.peer import Incoming
from gateway.protocol import OPTION_OF

HOP_BYTES = 1024
END_AUDIO = json.dumps({"type": Request.END_AUDIO.value})
HEALTH_CHECK = json.dumps({"type": Request.HEALTH_CHECK.value})
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, 1e9, 300.0, 16_000, 8000, 48_000, 2**70, "", "en", "auto",
    "fr-CA", "xx", "pcm_s16le", "pcm_mulaw", [], ["en", "fr"], {}, {"a": 1}, "\ud800", "é" * 5000,
)  # fmt: skip
FIELDS = (
    *OPTION_OF,
    "streaming_params.encoding",
    "streaming_params.sample_rate",
    "streaming_diarization_config",
    "include_timing_info",
    "vad_params.threshold",
    "asr_options.beam_size",
    "nobody.knows",
)
GOOD: tuple[dict[str, Any], ...] = (
    {},
    {"include_timing_info": True},
    {"streaming_params": {"enable_partial_transcripts": True}},
    {"streaming_params": {"encoding": "pcm_mulaw", "sample_rate": 8000}},
    {"streaming_params": {"sample_rate": 44_100, "enable_partial_transcripts": True}},
    {"whisper_params": {"audio_language": "auto", "show_word_timestamps": True}},
    {"vad_params": {"threshold": 0.3}},
)
_NOISE = np.random.default_rng(5).integers(-3000, 3000, 65_536, np.int16).tobytes()


@dataclass
class Pause:
    """The client says nothing for so long, in seconds."""

    seconds: float


@dataclass
class Gone:
    """The client is not there any more, or its connection breaks a rule."""

    code: int | None = None
    """None: it has just gone."""


Step = Incoming | Pause | Gone


@dataclass
class Client:
    """One client."""

    seed: int
    steps: list[Step]
    slow_s: float = 0.0
    """How long it may take to read a frame."""
    stops_at_s: float | None = None
    """When the server drains, and a second later stops."""
    chance: random.Random = field(default_factory=random.Random)


def client(seed: int) -> Client:
    """The client of this seed."""
    chance = random.Random(seed)
    steps = list(_plain_steps(chance) if chance.random() < 0.4 else _steps(chance))
    slow_s = chance.choice((0, 0, 0, 0, 0.1, 2, 30))
    stops_at_s = chance.uniform(0, 10) if chance.random() < 0.1 else None
    return Client(seed, steps, slow_s, stops_at_s, chance)


def _plain_steps(chance: random.Random) -> Iterator[Step]:
    """Audio, to its end; what is said besides it changes nothing."""
    yield chance.choice(("{}", json.dumps({"include_timing_info": True})))
    for _ in range(int(chance.expovariate(1 / 15))):
        yield packet(chance)
        if chance.random() < 0.2:
            yield chance.choice((text(chance), HEALTH_CHECK, Alive(), Pause(chance.uniform(0, 5))))
    yield END_AUDIO


def _steps(chance: random.Random) -> Iterator[Step]:
    if chance.random() < 0.05:
        yield Pause(chance.uniform(0, 100))
    yield metadata(chance)
    for _ in range(int(chance.expovariate(1 / 12))):
        yield _step(chance)
    if chance.random() < 0.7:
        yield END_AUDIO
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        yield _step(chance)
    if chance.random() < 0.3:
        yield Gone(chance.choice((None, None, 1002, 1007, 1009)))


def metadata(chance: random.Random) -> str | bytes:
    """A first message, most of them good."""
    match chance.randrange(20):
        case 0:
            return text(chance)
        case 1:
            return packet(chance)
        case 2 | 3 | 4 | 5:
            return json.dumps(_tree(chance))
    return json.dumps(chance.choice(GOOD))


def _tree(chance: random.Random) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for _ in range(chance.randrange(1, 4)):
        *groups, name = chance.choice(FIELDS).split(".")
        branch = tree
        for group in groups:
            inner = branch.setdefault(group, {})
            branch = inner if isinstance(inner, dict) else {}
        branch[name] = chance.choice(VALUES)
    return tree


def _step(chance: random.Random) -> Step:
    match chance.randrange(20):
        case 0:
            return text(chance)
        case 1:
            return HEALTH_CHECK
        case 2:
            return Alive()
        case 3:
            return Flush(discard=chance.random() < 0.3)
        case 4:
            return Configure(json.dumps(chance.choice(GOOD)))
        case 5:
            return Pause(chance.choice((0.01, 0.3, 3, 20, 40, 1000)))
        case 6:
            return END_AUDIO if chance.random() < 0.2 else b""
    return packet(chance)


def packet(chance: random.Random) -> bytes:
    """Sound, silence, half samples, nothing."""
    size = chance.choice((0, 1, 2, 3, 37, 640, HOP_BYTES, 2 * HOP_BYTES, 5000, 20_000))
    if chance.random() < 0.4:
        return bytes(size)
    start = chance.randrange(len(_NOISE) - size)
    return _NOISE[start : start + size]


def text(chance: random.Random) -> str:
    """What is no request, or nearly one."""
    match chance.randrange(8):
        case 0:
            return chance.randbytes(chance.randrange(200)).decode("latin-1")
        case 1:
            return "[" * chance.choice((10, 70_000))
        case 2:
            return END_AUDIO[: chance.randrange(len(END_AUDIO))]
        case 3:
            return json.dumps({"type": chance.choice(VALUES)})
        case 4:
            return json.dumps(chance.choice(VALUES))
        case 5:
            return '{"a":' * 3000 + "1" + "}" * 3000
        case 6:
            return "9" * 6000
    return chance.choice(("NaN", "-Infinity", "{}", "null", '""', "{", "\0", "\ufeff{}"))
