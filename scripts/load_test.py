"""Load a server with real-time streams and report what their users would see.

    python scripts/load_test.py --streams 1,4,8,16 --duration 60 --html load.html --json load.json
    python scripts/load_test.py --url wss://host/v1/websocket --api-key KEY --recordings corpus.tsv

Every step plays so many streams at once. A stream is a playlist of recordings in an order of its
own, sent by the clock in packets of 32 ms. Before the first step each recording is played alone,
as fast as the server takes it, to learn when its words are spoken. Recordings in which nothing is
said are left out. Word lags, first partials and final latencies are defined in
scripts/load/metrics.py. The server's CPU time and memory are measured when it is on this machine.
Exit codes: 0 done, 1 the server served no stream, 2 bad usage, 130 Ctrl-C (steps that are complete
are reported all the same).
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from scripts.client import SessionError
from scripts.load import details, page, run, table
from scripts.load.calibration import Cache, calibrated, reach
from scripts.load.live import Live
from scripts.load.options import parser
from scripts.load.player import Target
from scripts.load.playlist import Library, Mix, formats, plan, read_library
from scripts.load.results import Step
from scripts.load.step import run_step
from scripts.load.track import Clip
from scripts.manifest import ManifestError
from scripts.recording import UnreadableAudioError

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

DATA = run.ROOT / "tests/data"
SPEECH = DATA / "jfk.wav"
RECORDINGS = (DATA / "clips", SPEECH)
TEXTS = {
    SPEECH: "And so my fellow Americans, ask not what your country can do for you, "
    "ask what you can do for your country."
}
PAUSE_S = 2.0
"""Between steps, for the server to forget the one before."""


@dataclass
class Test:
    """A load test under way."""

    args: argparse.Namespace
    target: Target
    mix: Mix
    live: Live
    clips: list[Clip]
    library: Library
    steps: list[Step] = field(default_factory=list)

    async def go(self) -> None:
        """Learn the words' times, then one step after the other."""
        await self._calibrate()
        for number, streams in enumerate(self.args.streams):
            if number:
                await asyncio.sleep(PAUSE_S)
            plans = [
                plan(index, self.clips, self.library, self.mix, number) for index in range(streams)
            ]
            self.live.begin(streams, self.mix.duration_s + self.args.ramp)
            step = await run_step(
                plans,
                self.target,
                self.live,
                ramp_s=self.args.ramp,
                server_pid=self.args.server_pid,
            )
            self.steps.append(step)
            print("\n".join(list(table.plain([step]))[number > 0 :]), flush=True)

    async def _calibrate(self) -> None:
        await reach(self.target)
        cache = Cache.read(self.args.calibration, self.target.url, anew=self.args.recalibrate)
        for index, clip in enumerate(self.clips):
            self.live.say(f"word times: {index + 1}/{len(self.clips)} {Path(clip.name).name}")
            recording = self.library.recordings[clip.name]
            self.clips[index] = await calibrated(clip, recording, self.target, cache)
        self.live.end()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parser((__doc__ or "").partition("\n")[0]).parse_args(arguments)
    begun = datetime.now().astimezone()
    try:
        test = _test(args)
    except (ManifestError, UnreadableAudioError) as error:
        print(f"load_test.py: {error}", file=sys.stderr)
        return EXIT_USAGE
    status = _finish(test)
    if test.steps:
        _write(test, _run(test, begun, arguments))
    return status


def _test(args: argparse.Namespace) -> Test:
    clips, library = read_library(args.recordings or RECORDINGS, TEXTS)
    target = Target(
        url=args.url,
        api_key=args.api_key or os.environ.get("GATEWAY_API_KEY"),
        interval_s=args.interval,
        detect_language=args.language == "auto",
        metadata=args.metadata,
    )
    mix = Mix(
        duration_s=args.duration,
        talk_ratio=args.talk_ratio,
        forms=formats(args.rates, args.encodings),
        detect_language=target.detect_language,
        seed=args.seed,
    )
    return Test(args, target, mix, Live(sys.stderr), clips, library)


def _finish(test: Test) -> int:
    try:
        asyncio.run(test.go())
    except KeyboardInterrupt:
        test.live.end()
        return EXIT_INTERRUPTED
    except SessionError as error:
        print(f"load_test.py: {error}", file=sys.stderr)
        return EXIT_FAILED
    served = any(stream.track.shown for step in test.steps for stream in step.streams)
    return EXIT_OK if served else EXIT_FAILED


def _run(test: Test, begun: datetime, arguments: Sequence[str]) -> run.Run:
    return run.Run(
        begun=begun,
        command=run.command_line("scripts/load_test.py", arguments),
        url=test.target.url,
        cpu=run.cpu_model(),
        cores=run.core_count(),
        commit=run.commit(),
        interval_s=test.target.interval_s,
        mix=test.mix,
        ramp_s=test.args.ramp,
        clips=test.clips,
    )


def _write(test: Test, what: run.Run) -> None:
    """The files that were asked for."""
    outputs: dict[Path | None, Callable[[], str]] = {
        test.args.json: lambda: details.document(what, test.steps),
        test.args.html: lambda: page.render(what, test.steps),
        test.args.markdown: lambda: "\n".join(table.document(what, test.steps)) + "\n",
    }
    for path, content in outputs.items():
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
