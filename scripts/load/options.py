"""The load test's command line."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipeline.audio import SAMPLE_RATE
from scripts.arguments import above_zero, json_groups, positive, speed, wire_rate
from scripts.client import DEFAULT_URL
from scripts.load.run import ROOT
from scripts.sources import ENCODINGS, PCM

CALIBRATION = ROOT / "build/output/load_test_calibration.json"

Item = TypeVar("Item")


def parser(description: str) -> argparse.ArgumentParser:
    """Everything that can be asked for."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--url", default=DEFAULT_URL, help="default: %(default)s")
    add("--api-key", metavar="KEY", help="default: $GATEWAY_API_KEY")
    add("--metadata", type=json_groups, default={}, metavar="JSON", help="more of the metadata")
    add(
        "--server-pid",
        type=positive,
        metavar="PID",
        help="measure this process and all it has started; default: what listens on the port",
    )
    _add_load(parser)
    _add_audio(parser)
    _add_output(parser)
    return parser


def _add_load(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("load").add_argument
    add(
        "--streams",
        type=_listed(positive),
        default=[1, 4, 8, 16],
        metavar="N,N",
        help="streams at once, one step for each number; default: 1,4,8,16",
    )
    add("--duration", type=above_zero, default=60.0, metavar="S", help="of a stream; default: 60")
    add(
        "--ramp",
        type=speed,
        default=5.0,
        metavar="S",
        help="from the first stream's start to the last one's; default: 5",
    )
    add("--interval", type=above_zero, default=1.0, metavar="S", help="of partials; default: 1.0")


def _add_audio(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("audio")
    add_recordings(group, talk_ratio=1.0)
    add = group.add_argument
    add("--rates", type=_listed(wire_rate), default=[SAMPLE_RATE], metavar="HZ,HZ")
    add("--encodings", type=_listed(_encoding), default=[PCM], metavar=",".join(ENCODINGS))
    add(
        "--language",
        choices=("given", "auto"),
        default="given",
        help="given: a stream plays one language and says which; auto: it mixes them",
    )
    add("--seed", type=int, default=1, metavar="N", help="of the playlists; default: 1")


def add_recordings(group: argparse._ArgumentGroup, talk_ratio: float) -> None:
    """What is played; `talk_ratio` is the default."""
    group.add_argument(
        "--recordings",
        type=Path,
        action="append",
        metavar="MANIFEST.tsv|FOLDER|FILE",
        help="may be given again; default: those of the tests. Without a manifest, a folder's "
        "name may be the language of what is in it",
    )
    group.add_argument(
        "--talk-ratio",
        type=_share,
        default=talk_ratio,
        metavar="0..1",
        help="share of time in which a recording plays; default: %(default)s; 1: back to back",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add("--json", type=Path, metavar="OUT", help="everything, down to words and messages")
    add("--html", type=Path, metavar="OUT", help="a report to look at, in one file")
    add("--markdown", type=Path, metavar="OUT", help="the table and its circumstances")
    add(
        "--calibration",
        type=Path,
        default=CALIBRATION,
        metavar="FILE",
        help="where the times of words are kept",
    )
    add("--recalibrate", action="store_true", help="ask the server for them again")


def _listed(item: Callable[[str], Item]) -> Callable[[str], list[Item]]:
    def several(text: str) -> list[Item]:
        return [item(part) for part in text.split(",")]

    return several


def _share(text: str) -> float:
    if (value := above_zero(text)) > 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def _encoding(text: str) -> str:
    if text not in ENCODINGS:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(ENCODINGS)}")
    return text
