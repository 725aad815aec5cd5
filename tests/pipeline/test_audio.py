"""Audio constants agree with each other, and only `pipeline.audio` spells out the rate."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import audio
from tests.pipeline.support import ROOT

SOURCES = sorted(
    path
    for folder in ("pipeline", "model_repository")
    for path in (ROOT / folder).rglob("*.py")
    if path != ROOT / "pipeline" / "audio.py"
)


def numbers_of(path: Path) -> Iterator[object]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node.value


def test_constants_are_whispers_and_silero_vads() -> None:
    assert (audio.SAMPLE_RATE, audio.VAD_FRAME_SAMPLES, audio.VAD_FRAME_MS) == (16_000, 512, 32)
    assert (audio.WHISPER_WINDOW_SAMPLES, audio.MAX_MEL_FRAMES) == (480_000, 3000)
    assert audio.MAX_ENCODER_STATES == 1500


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_other_module_spells_out_the_rate(path: Path) -> None:
    assert audio.SAMPLE_RATE not in set(numbers_of(path))


@pytest.mark.parametrize(("ms", "samples"), [(0, 0), (32, 512), (0.1, 1), (999.99, 15_999)])
def test_milliseconds_become_whole_samples(ms: float, samples: int) -> None:
    assert audio.ms_to_samples(ms) == samples


def test_seconds_on_the_wire_are_exact_to_a_millisecond_after_a_day() -> None:
    day = 24 * 3600
    assert audio.samples_to_s(day * audio.SAMPLE_RATE + 16) == day + 0.001
