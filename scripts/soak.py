"""Stream to a server for hours, and report whether its memory or its latency drifts.

    python scripts/soak.py --minutes 120 --streams 4
    python scripts/soak.py --url wss://host/v1/websocket --api-key KEY --recordings corpus.tsv

Each stream plays recordings in real time, with pauses between, in sessions of so many minutes; a
new session follows at once. No two plays are the same to the server (scripts/load/playlist.py). A
line for each interval shows how late messages were, from the audio to the answer as the server
measures it, the word errors of the sessions that ended, and the memory of the server's processes
when it is on this machine. Exit codes: 0 done, 1 a session failed, 2 bad usage, 130 Ctrl-C (what
has been seen is reported all the same).
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from pipeline.audio import SAMPLE_RATE
from scripts.arguments import above_zero, positive
from scripts.client import DEFAULT_URL, Message, Packet, SessionError, run_session
from scripts.error_rate import WordErrors, word_errors
from scripts.load.drift import Interval, drift, summary, table
from scripts.load.options import add_recordings
from scripts.load.player import Target
from scripts.load.playlist import Library, Mix, Plan, formats, plan, read_library
from scripts.load.processes import Watched, sample, server_processes
from scripts.load.track import Clip
from scripts.load_test import RECORDINGS, TEXTS
from scripts.manifest import ManifestError
from scripts.recording import UnreadableAudioError
from scripts.sources import PCM

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
AGAIN_S = 5.0
"""A stream whose session failed waits for so long."""


@dataclass
class Soak:
    """A soak test under way."""

    target: Target
    clips: list[Clip]
    library: Library
    mix: Mix
    """Of a session."""
    minutes: float
    intervals: list[Interval] = field(default_factory=list)
    now: Interval = field(default_factory=Interval)
    until_s: float = 0.0
    """Of the loop's clock, when no session goes on any more."""

    async def run(self, streams: int, interval_s: float) -> None:
        """All streams, to their end, and a line for each interval; the last may be shorter."""
        began_s = asyncio.get_running_loop().time()
        self.until_s = began_s + 60 * self.minutes
        watched = server_processes(self.target.url)
        noting = asyncio.create_task(self._note_all(watched, began_s, interval_s))
        try:
            async with asyncio.TaskGroup() as group:
                for index in range(streams):
                    group.create_task(self._stream(index))
        finally:
            noting.cancel()
            self._note(watched, began_s)

    async def _note_all(self, watched: list[Watched], began_s: float, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            self._note(watched, began_s)

    def _note(self, watched: list[Watched], began_s: float) -> None:
        """What has happened since the last time."""
        done, self.now = self.now, Interval()
        done.ended_s = asyncio.get_running_loop().time() - began_s
        usages = sample(watched).server
        done.memory_bytes = {kind: usage.memory_bytes for kind, usage in usages.items()}
        self.intervals.append(done)
        lines = list(table([done]))
        print("\n".join(lines if len(self.intervals) == 1 else lines[2:]), flush=True)

    async def _stream(self, index: int) -> None:
        """One session after the other."""
        loop = asyncio.get_running_loop()
        for number in count():
            if (left_s := self.until_s - loop.time()) <= 0:
                return
            seconds = min(self.mix.duration_s, left_s)
            mix = replace(self.mix, duration_s=seconds, seed=number)  # another order each time
            try:
                await self._session(plan(index, self.clips, self.library, mix, number))
            except SessionError as error:
                self.now.failures.append(str(error))
                print(f"a session failed: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(AGAIN_S)

    async def _session(self, plan: Plan) -> None:
        heard: list[str] = []

        def take(message: Message) -> None:
            if message.get("type") != "transcription":
                return
            latency_s = message.get("pipeline_latency")
            late = self.now.finals_s if message["is_final"] else self.now.partials_s
            if latency_s is not None:
                late.append(latency_s)
            if message["is_final"]:
                heard.append(message["transcript"])

        target = self.target
        await run_session(
            target.url, target.session(plan), _packets(plan), take, api_key=target.api_key
        )
        self.now.sessions += 1
        if errors := _errors(plan, " ".join(heard)):
            self.now.words += errors.words
            self.now.word_errors += errors.errors


async def _packets(plan: Plan) -> AsyncIterator[Packet]:
    """The plan's, each when its last sample would have been spoken."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number, data in enumerate(plan.packets(), 1):
        await asyncio.sleep(max(0.0, began_s + number * plan.packet_s - loop.time()))
        yield Packet(data, plan.packet_s)


def _errors(plan: Plan, heard: str) -> WordErrors | None:
    """None: nobody wrote down what is said in one of the recordings."""
    said = [played.clip.said for played in plan.played]
    texts = [text for text in said if text is not None]
    return word_errors(" ".join(texts), heard, plan.language) if texts == said else None


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = _parser().parse_args(arguments)
    try:
        soak = _soak(args)
    except (ManifestError, UnreadableAudioError) as error:
        print(f"soak.py: {error}", file=sys.stderr)
        return EXIT_USAGE
    status = EXIT_OK
    try:
        asyncio.run(soak.run(args.streams, args.interval))
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    print("\n".join(summary(drift(soak.intervals))))
    has_failed = any(interval.failures for interval in soak.intervals)
    return EXIT_FAILED if has_failed else status


def _soak(args: argparse.Namespace) -> Soak:
    clips, library = read_library(args.recordings or RECORDINGS, TEXTS)
    target = Target(
        args.url,
        args.api_key or os.environ.get("GATEWAY_API_KEY"),
        timing=True,
    )
    mix = Mix(
        duration_s=60 * args.session_minutes,
        talk_ratio=args.talk_ratio,
        forms=formats([SAMPLE_RATE], [PCM]),
        to_the_end=True,
    )
    return Soak(target, clips, library, mix, args.minutes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--url", default=DEFAULT_URL, help="default: %(default)s")
    add("--api-key", metavar="KEY", help="default: $GATEWAY_API_KEY")
    add("--streams", type=positive, default=4, metavar="N", help="at once; default: 4")
    add("--minutes", type=above_zero, default=60.0, metavar="M", help="in all; default: 60")
    add("--session-minutes", type=above_zero, default=10.0, metavar="M", help="default: 10")
    add("--interval", type=above_zero, default=60.0, metavar="S", help="of a line; default: 60")
    add_recordings(parser.add_argument_group("audio"), talk_ratio=0.8)
    return parser


if __name__ == "__main__":
    sys.exit(main())
