"""Stream to a server for hours, and report whether its memory or its latency drifts.

    python scripts/soak.py --minutes 120 --streams 4
    python scripts/soak.py --url wss://host/v1/websocket --api-key KEY --session-minutes 60

Each stream speaks a recording in real time again and again, with pauses between, in sessions of so
many minutes; a new session follows at once. A line for each interval shows how late messages were,
from the audio to the answer as the server measures it, the word errors of the sessions that ended,
and the memory of the server's processes when it is on this machine. Exit codes: 0 done, 1 a session
failed, 2 bad usage, 130 Ctrl-C (what has been seen is reported all the same).
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

import numpy as np

from pipeline.audio import SAMPLE_RATE, VAD_FRAME_MS
from scripts.arguments import positive
from scripts.client import DEFAULT_URL, Message, Packet, SessionError, run_session
from scripts.error_rate import word_errors
from scripts.load.drift import Interval, drift, summary, table
from scripts.load.processes import sample, server_processes
from scripts.load_test import SPEECH, TEXTS
from scripts.recording import pcm_bytes, read_recording
from scripts.sources import PacketFormat

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130
PAUSE_S = 2.0
"""Behind each time that the recording is spoken: long enough to end its last utterance."""
AGAIN_S = 5.0
"""A stream whose session failed waits for so long."""
LANGUAGE = "en"
METADATA: Message = {
    "include_timing_info": True,
    "streaming_params": {"enable_partial_transcripts": True, "partial_transcript_interval_s": 1},
}


@dataclass
class Soak:
    """A soak test under way."""

    url: str
    api_key: str | None
    session_s: float
    until_s: float
    """Of the loop's clock, when no session goes on any more."""
    intervals: list[Interval] = field(default_factory=list)
    now: Interval = field(default_factory=Interval)

    async def run(self, streams: int, interval_s: float) -> None:
        """All streams, to their end."""
        noting = asyncio.create_task(self._note(interval_s))
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(streams):
                    group.create_task(self._stream(number / streams))
        finally:
            noting.cancel()

    async def _note(self, interval_s: float) -> None:
        """A line for each interval."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        watched = server_processes(self.url)
        while True:
            await asyncio.sleep(interval_s)
            done, self.now = self.now, Interval()
            done.ended_s = loop.time() - began_s
            usages = sample(watched).server
            done.memory_bytes = {kind: usage.memory_bytes for kind, usage in usages.items()}
            self.intervals.append(done)
            lines = list(table([done]))
            print("\n".join(lines if len(self.intervals) == 1 else lines[2:]), flush=True)

    async def _stream(self, phase: float) -> None:
        """One session after the other. `phase`: how far into the recording the first begins."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(phase * PAUSE_S)
        while loop.time() < self.until_s:
            try:
                await self._session()
            except SessionError as error:
                self.now.failures.append(str(error))
                print(f"a session failed: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(AGAIN_S)

    async def _session(self) -> None:
        said: list[str] = []
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

        packets = self._packets(said)
        await run_session(self.url, METADATA, packets, take, api_key=self.api_key)
        errors = word_errors(" ".join(said), " ".join(heard), LANGUAGE)
        self.now.sessions += 1
        self.now.words += errors.words
        self.now.word_errors += errors.errors

    async def _packets(self, said: list[str]) -> AsyncIterator[Packet]:
        """The recording and a pause, again and again; what was spoken is added to `said`."""
        form = PacketFormat(SAMPLE_RATE, VAD_FRAME_MS)
        speech = read_recording(SPEECH, SAMPLE_RATE).pcm
        pcm = pcm_bytes(np.concatenate((speech, np.zeros(int(PAUSE_S * SAMPLE_RATE), np.int16))))
        loop = asyncio.get_running_loop()
        due = began = loop.time()
        while loop.time() < min(self.until_s, began + self.session_s):
            for start in range(0, len(pcm), form.packet_bytes):
                packet = form.packet(pcm[start : start + form.packet_bytes])
                due += packet.duration_s
                await asyncio.sleep(max(0.0, due - loop.time()))
                yield packet
            said.append(TEXTS[SPEECH])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = _parser().parse_args(arguments)
    soak = Soak(args.url, args.api_key or os.environ.get("GATEWAY_API_KEY"), 0, 0)
    status = EXIT_OK
    try:
        asyncio.run(_run(soak, args))
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    print("\n".join(summary(drift(soak.intervals))))
    has_failed = any(interval.failures for interval in [*soak.intervals, soak.now])
    return EXIT_FAILED if has_failed else status


async def _run(soak: Soak, args: argparse.Namespace) -> None:
    soak.session_s = 60 * args.session_minutes
    soak.until_s = asyncio.get_running_loop().time() + 60 * args.minutes
    await soak.run(args.streams, args.interval)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--url", default=DEFAULT_URL, help="default: %(default)s")
    add("--api-key", metavar="KEY", help="default: $GATEWAY_API_KEY")
    add("--streams", type=positive, default=4, metavar="N", help="at once; default: 4")
    add("--minutes", type=_above_zero, default=60.0, metavar="M", help="in all; default: 60")
    add("--session-minutes", type=_above_zero, default=10.0, metavar="M", help="default: 10")
    add("--interval", type=_above_zero, default=60.0, metavar="S", help="of a line; default: 60")
    return parser


def _above_zero(text: str) -> float:
    if not (value := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
