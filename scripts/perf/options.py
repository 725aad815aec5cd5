"""The command line of scripts/perf_analyzer.py."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from pipeline.audio import MAX_HOP_SAMPLES, VAD_FRAME_MS, WHISPER_WINDOW_S, ms_to_samples
from pipeline.language import AUTO, normalize_language
from scripts.arguments import above_zero, positive, speed
from scripts.perf.engine import WINDOWS
from scripts.triton_stream import DEFAULT_TRITON


def parser(description: str, root: Path) -> argparse.ArgumentParser:
    """Everything that can be asked for; `loads` are the numbers of either test."""
    parser = argparse.ArgumentParser(description=description)
    tests = parser.add_subparsers(dest="what", required=True, metavar="ensemble|whisper")
    common = _common(root)
    ensemble = tests.add_parser("ensemble", parents=[common], help="the ensemble, by gRPC streams")
    _add_ensemble(ensemble.add_argument_group("load").add_argument)
    whisper = tests.add_parser("whisper", parents=[common], help="the engine alone, real features")
    _add_engine(whisper.add_argument_group("load").add_argument)
    return parser


def _common(root: Path) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    add = common.add_argument
    add(
        "recordings",
        type=Path,
        nargs="*",
        metavar="MANIFEST.tsv|FOLDER|FILE",
        help="default: those of the tests. Without a manifest, a folder's name may be the language "
        "of what is in it",
    )
    add(
        "--triton",
        metavar="HOST:PORT",
        default=os.environ.get("GATEWAY_TRITON") or DEFAULT_TRITON,
        help="default: %(default)s",
    )
    add("--json", type=Path, metavar="OUT", help="all numbers")
    add("--markdown", type=Path, metavar="OUT", help="the table and its circumstances")
    add(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=root / "build/output/perf_analyzer",
        help="where perf_analyzer's own files go; default: build/output/perf_analyzer",
    )
    return common


def _add_ensemble(add: Callable[..., object]) -> None:
    add(
        "--streams",
        dest="loads",
        type=_numbers,
        default=[1, 2, 4, 8],
        metavar="N,N",
        help="real-time streams at once, one step for each number; default: 1,2,4,8",
    )
    add("--duration", type=above_zero, default=30.0, metavar="S", help="of a step; default: 30")
    add(
        "--hop-ms",
        type=_hop_ms,
        default=160,
        metavar="MS",
        help=f"audio of one request, a multiple of {VAD_FRAME_MS}; default: 160",
    )
    add(
        "--interval",
        type=_interval_s,
        default=1.0,
        metavar="S",
        help="of partials, 0: none; default: 1",
    )
    add(
        "--language",
        type=_language,
        default=AUTO,
        metavar="CODE",
        help="ISO 639-1 such as en; default: auto",
    )


def _add_engine(add: Callable[..., object]) -> None:
    add(
        "--concurrency",
        dest="loads",
        type=_numbers,
        default=[1, 2, 4, 8],
        metavar="N,N",
        help="windows under way, one step for each number; default: 1,2,4,8",
    )
    add(
        "--speech-s",
        type=_window_s,
        default=5.0,
        metavar="S",
        help="speech in a window; default: 5",
    )
    add(
        "--windows",
        type=positive,
        default=WINDOWS,
        metavar="N",
        help=f"different ones; default: {WINDOWS}, more than the embedded engine remembers",
    )
    add(
        "--measure-s",
        type=above_zero,
        default=5.0,
        metavar="S",
        help="one measurement; a step takes three that agree; default: 5",
    )
    add("--trials", type=positive, default=10, metavar="N", help="most measurements; default: 10")
    add(
        "--stability",
        type=above_zero,
        default=10.0,
        metavar="PERCENT",
        help="how far three measurements may differ; default: 10",
    )


def _numbers(text: str) -> list[int]:
    """Counts of at least one, each once."""
    return list(dict.fromkeys(positive(part) for part in text.split(",")))


def _interval_s(text: str) -> float:
    value = speed(text)
    if value and not 0.1 <= value <= WHISPER_WINDOW_S:
        raise argparse.ArgumentTypeError(f"{text} is neither 0 nor 0.1 to {WHISPER_WINDOW_S} s")
    return value


def _window_s(text: str) -> float:
    if (value := above_zero(text)) > WHISPER_WINDOW_S:
        raise argparse.ArgumentTypeError(
            f"{text} is more than the {WHISPER_WINDOW_S} s of a window"
        )
    return value


def _language(text: str) -> str:
    try:
        return AUTO if text == AUTO else normalize_language(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _hop_ms(text: str) -> int:
    value = positive(text)
    if value % VAD_FRAME_MS or ms_to_samples(value) > MAX_HOP_SAMPLES:
        raise argparse.ArgumentTypeError(
            f"{value} is no multiple of {VAD_FRAME_MS} ms up to {MAX_HOP_SAMPLES} samples"
        )
    return value
