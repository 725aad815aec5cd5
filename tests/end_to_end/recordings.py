"""The bundled recordings as tests send them: samples at any rate, and what is said in them.

Names are those of the files without `.wav`, such as `fr/vm-whichbox`. Knows no server.
"""

from functools import cache
from pathlib import Path

import numpy as np

from pipeline.audio import SAMPLE_RATE
from scripts.error_rate import WordErrors, word_errors
from scripts.manifest import Item, read_manifest
from scripts.recording import Pcm, mulaw_bytes, pcm_bytes, read_recording

DATA = Path(__file__).parents[1] / "data"
JFK = "jfk"
JFK_TEXT = (
    "And so my fellow Americans, ask not what your country can do for you, "
    "ask what you can do for your country."
)
JFK_FINALS = 4
"""Utterances of `jfk` with the default endpointing: each of its four pauses is a long one."""
GREGSON = "en/arctic_a0009"
DASHWOOD = "en/sense_and_sensibility"
MUSIC = "music/cold_day"


@cache
def clips() -> dict[str, Item]:
    """The clips by name."""
    items = read_manifest(DATA / "clips" / "manifest.tsv")
    return {item.name.removesuffix(".wav"): item for item in items}


@cache
def samples(name: str, rate_hz: int = SAMPLE_RATE) -> Pcm:
    """A recording's samples [n] at a rate."""
    path = DATA / "jfk.wav" if name == JFK else clips()[name].path
    return read_recording(path, rate_hz).pcm


def audio(*names: str) -> bytes:
    """Recordings one after the other as 16 kHz `pcm_s16le`."""
    return b"".join(pcm_bytes(samples(name)) for name in names)


def silence(seconds: float) -> bytes:
    """Digital silence as 16 kHz `pcm_s16le`."""
    return pcm_bytes(np.zeros(round(seconds * SAMPLE_RATE), np.int16))


def noise(seconds: float) -> bytes:
    """A room in which nobody speaks, at 44 dB under full scale, as 16 kHz `pcm_s16le`."""
    samples = np.random.default_rng(3).normal(0, 200, round(seconds * SAMPLE_RATE))
    return pcm_bytes(samples.astype(np.int16))


def mulaw(name: str, rate_hz: int) -> bytes:
    """A recording as `pcm_mulaw`."""
    return mulaw_bytes(pcm_bytes(samples(name, rate_hz)))


def said(name: str) -> str:
    """What is said in a recording."""
    return JFK_TEXT if name == JFK else clips()[name].text


def language_of(name: str) -> str:
    """The language of a recording."""
    return "en" if name == JFK else clips()[name].language


def errors_in(text: str, *names: str) -> WordErrors:
    """The word errors of a text heard in recordings of one language, one after the other."""
    return word_errors(" ".join(map(said, names)), text, language_of(names[0]))
