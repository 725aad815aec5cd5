"""What every stream of a load test plays: recordings one after the other, silence between them.

A stream's order comes from the seed and its number alone: stream 3 plays the same recordings in
every step. No two plays are the same to the server, though: each begins a few samples off the
others, at a place of its own between two packets, so that a server which remembers what it has
decoded has to decode it all the same.

The audio is encoded beforehand and only sliced while it plays, so that playing costs next to
nothing.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, product, repeat
from math import ceil
from pathlib import Path
from typing import NamedTuple

from gateway.client.options import Encoding
from pipeline.audio import SAMPLE_BYTES, VAD_FRAME_MS
from pipeline.language import LANGUAGES
from scripts.load.track import Clip, Played
from scripts.manifest import DEFAULT_LANGUAGE, ManifestError, read_manifest
from scripts.recording import Recording, pcm_bytes, read_recording, resample
from scripts.sources import PacketFormat

GAP_S = 0.4
"""Silence between recordings played back to back: a breath, and long enough for an endpoint."""
_SPREAD = 0.5
"""Longer silences differ by up to this share of themselves, so that streams do not fall in step."""
_AUDIO_SUFFIXES = {".wav", ".flac", ".mp3", ".ogg"}

AUTO = "auto"


@dataclass
class Library:
    """The recordings, and their audio in every format that was asked for."""

    recordings: dict[str, Recording]
    _encoded: dict[tuple[str, PacketFormat], bytes] = field(default_factory=dict)

    def encoded(self, name: str, form: PacketFormat) -> bytes:
        """A recording as it goes over the wire."""
        key = (name, form)
        if key not in self._encoded:
            pcm = resample(self.recordings[name], form.rate_hz).pcm
            self._encoded[key] = form.packet(pcm_bytes(pcm)).data
        return self._encoded[key]


class _Run(NamedTuple):
    """A recording, with silence before its first sample and after its last packet."""

    audio: bytes
    lead: bytes
    silent_packets: int

    def packets(self, silence: bytes) -> Iterator[bytes]:
        """Whole packets; `silence` is one of them."""
        size = len(silence)
        for start in range(-len(self.lead), len(self.audio), size):
            data = self.audio[max(0, start) : start + size]
            if start < 0:
                data = self.lead + data
            yield data + silence[len(data) :]
        yield from repeat(silence, self.silent_packets)


@dataclass(frozen=True)
class Plan:
    """One stream's audio and where the recordings lie in it."""

    index: int
    language: str
    """What the server is told."""
    form: PacketFormat
    played: tuple[Played, ...]
    packet_count: int
    _runs: tuple[_Run, ...]

    @property
    def packet_s(self) -> float:
        return packet_s(self.form)

    @property
    def duration_s(self) -> float:
        return self.packet_count * self.packet_s

    def packets(self) -> Iterator[bytes]:
        """All of it, in order."""
        silence = _silence(self.form)
        runs = (run.packets(silence) for run in self._runs)
        return islice(chain.from_iterable(runs), self.packet_count)


@dataclass(frozen=True)
class Mix:
    """How playlists are made."""

    duration_s: float
    talk_ratio: float = 1.0
    """Share of the time in which a recording plays."""
    forms: tuple[PacketFormat, ...] = ()
    detect_language: bool = False
    seed: int = 1
    to_the_end: bool = False
    """Whether the last recording is played to its end, however long all of it is to be."""


def packet_s(form: PacketFormat) -> float:
    """Exactly how long a packet is: at most rates, 32 ms are not a whole number of samples."""
    return form.packet_bytes / SAMPLE_BYTES / form.rate_hz


def formats(rates_hz: Sequence[int], encodings: Sequence[Encoding]) -> tuple[PacketFormat, ...]:
    """All combinations, in packets as official clients send them."""
    return tuple(
        PacketFormat(rate_hz, VAD_FRAME_MS, encoding)
        for encoding, rate_hz in product(encodings, rates_hz)
    )


def plan(index: int, clips: Sequence[Clip], library: Library, mix: Mix, step: int = 0) -> Plan:
    """The playlist of stream `index` in a step."""
    languages = [AUTO] if mix.detect_language else list(dict.fromkeys(c.language for c in clips))
    turn, place = divmod(index, len(languages))
    language = languages[place]
    # Moves on by one with every turn, so that no language has a format of its own.
    form = mix.forms[(index + (0 if mix.detect_language else turn)) % len(mix.forms)]
    ours = [clip for clip in clips if language in (AUTO, clip.language)]
    order = random.Random(f"{mix.seed} {index}")
    offset = random.Random(f"{mix.seed} {index} {step}")
    total = max(1, round(mix.duration_s / packet_s(form)))
    played, runs, count = _fill(_shuffled(ours, order), library, form, mix, offset, total)
    return Plan(index, language, form, tuple(played), count, tuple(runs))


def _fill(
    clips: Iterator[Clip],
    library: Library,
    form: PacketFormat,
    mix: Mix,
    chance: random.Random,
    total: int,
) -> tuple[list[Played], list[_Run], int]:
    """Recordings until there are `total` packets, and how many of theirs are to be played."""
    length_s, silence = packet_s(form), _silence(form)
    samples = form.packet_bytes // SAMPLE_BYTES
    gap_packets = round(GAP_S / length_s)
    runs = [_Run(b"", b"", gap_packets)]
    played: list[Played] = []
    count = gap_packets
    while count < total:
        clip, lead_samples = next(clips), chance.randrange(samples)
        lead = silence[: lead_samples * len(silence) // samples]
        audio = library.encoded(clip.name, form)
        packets = ceil((len(lead) + len(audio)) / len(silence))
        begin_s = count * length_s + lead_samples / form.rate_hz
        whole = mix.to_the_end or count + packets <= total
        played.append(Played(clip, begin_s, whole))
        pause_s = _silence_s(packets * length_s, mix.talk_ratio, chance)
        runs.append(_Run(audio, lead, round(pause_s / length_s)))
        count += packets + runs[-1].silent_packets
    return played, runs, count if mix.to_the_end else total


def _silence(form: PacketFormat) -> bytes:
    """A packet of it."""
    return form.packet(bytes(form.packet_bytes)).data


def _shuffled(clips: list[Clip], chance: random.Random) -> Iterator[Clip]:
    """Every recording once in some order, then all again in another."""
    for order in repeat(clips):
        yield from chance.sample(order, len(order))


def _silence_s(talk_s: float, talk_ratio: float, chance: random.Random) -> float:
    """How long it is silent after a recording."""
    even_s = talk_s * (1 / talk_ratio - 1)
    return max(GAP_S, even_s * chance.uniform(1 - _SPREAD, 1 + _SPREAD))


def read_library(
    paths: Sequence[Path], texts: Mapping[Path, str] | None = None
) -> tuple[list[Clip], Library]:
    """The recordings of manifests and folders, without those in which nothing is said: silence
    and music cost a server little and would make a load look heavier than it is.

    `texts`: what is said in recordings that no manifest lists.

    Raises:
        ManifestError: no recordings there. UnreadableAudioError: one cannot be read.
    """
    found = [item for path in paths for item in _recordings(path)]
    if not found:
        raise ManifestError(f"there are no recordings in {', '.join(map(str, paths))}")
    clips, recordings = [], {}
    for path, language, said in found:
        recording = read_recording(path)
        recordings[str(path)] = recording
        text = said or (texts or {}).get(path)
        clips.append(Clip(str(path), language, recording.duration_s, text))
    return clips, Library(recordings)


def _recordings(path: Path) -> Iterator[tuple[Path, str, str | None]]:
    """Files, their language, and what is said in them where a manifest tells."""
    manifest = path / "manifest.tsv" if path.is_dir() else path
    if manifest.suffix == ".tsv" and (manifest.exists() or not path.is_dir()):
        for item in read_manifest(manifest):
            if item.has_speech:
                yield item.path, item.given_language, item.text
        return
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.suffix.lower() in _AUDIO_SUFFIXES:
            folder = file.parent.name
            yield file, folder if folder in LANGUAGES else DEFAULT_LANGUAGE, None
