"""Stream a recording, standard input or the microphone to the server and show what it hears.

    python scripts/stream.py talk.mp3
    python scripts/stream.py mic --language auto --partials
    arecord -q -f S16_LE -r 16000 -t raw | python scripts/stream.py - --json

Exit code 0: all audio was transcribed. 1: the server reported an error or the connection was
lost; standard error says what came of the audio. 2: bad usage or no audio to read. 130: Ctrl-C
(which for the microphone means: that was all, finish, exit 0).
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from gateway.client.options import Options
from pipeline.audio import SAMPLE_RATE, VAD_FRAME_MS
from scripts.arguments import positive, speed, wire_rate
from scripts.client import (
    DEFAULT_URL,
    Message,
    Packet,
    Progress,
    SessionError,
    error_text,
    run_lasting_session,
    run_session,
)
from scripts.display import Display, timing_line
from scripts.recording import UnreadableAudioError, read_recording
from scripts.sources import (
    ENCODINGS,
    PCM,
    PacketFormat,
    SourceError,
    from_microphone,
    from_pipe,
    from_recording,
)

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

MICROPHONE, STANDARD_INPUT = "mic", "-"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = _parser().parse_args(arguments)
    progress = Progress()
    display = Display(sys.stdout)
    try:
        asyncio.run(_stream(args, _shower(display, args), progress))
    except KeyboardInterrupt:
        _complain(display, f"interrupted: {progress.summary()}")
        return EXIT_INTERRUPTED
    except (UnreadableAudioError, SourceError) as error:
        _complain(display, str(error))
        return EXIT_USAGE
    except SessionError as error:
        _complain(display, f"{error} ({progress.summary()})" if progress.connected else str(error))
        return EXIT_FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on
        return EXIT_FAILED
    display.erase()
    if not progress.finals:
        _complain(display, f"{progress.sent_s:.1f} s of audio, and no speech in it")
    return EXIT_FAILED if progress.errors else EXIT_OK


async def _stream(
    args: argparse.Namespace, show: Callable[[Message], None], progress: Progress
) -> None:
    form, packets = _source(args)
    run = run_lasting_session if args.reconnect else run_session
    await run(
        args.url,
        metadata(args, form),
        packets,
        show,
        api_key=args.api_key or os.environ.get("GATEWAY_API_KEY"),
        progress=progress,
    )


def metadata(args: argparse.Namespace, form: PacketFormat) -> Message:
    """The session's first message: what was asked for, and nothing that was left to the server."""
    return Options(
        encoding=form.encoding,
        sample_rate=form.rate_hz,
        language=args.language,
        language_options=args.language_options.split(",") if args.language_options else None,
        detect_language_only=args.detect_only,
        prompt=args.prompt,
        words=args.words,
        beams=args.beams,
        beam_width=args.beam,
        partials=_wants_partials(args),
        partial_interval_s=args.interval,
        max_utterance_s=args.max_final_s,
        vad_threshold=args.threshold,
        min_silence_ms=args.min_silence_ms,
        speech_pad_ms=args.pad_ms,
        timing=args.timing,
    ).metadata()


def _wants_partials(args: argparse.Namespace) -> bool:
    """Unless told, partials are for people: a pipe or a file gets finals only."""
    if args.partials is None:
        return sys.stdout.isatty() and not args.json
    return bool(args.partials)


def _source(args: argparse.Namespace) -> tuple[PacketFormat, AsyncIterator[Packet]]:
    rate_hz = args.rate or SAMPLE_RATE
    if args.source == MICROPHONE:
        form = PacketFormat(rate_hz, args.packet_ms, args.encoding)
        return form, from_microphone(form, _stop_on_interrupt())
    if args.source == STANDARD_INPUT:
        form = PacketFormat(rate_hz, args.packet_ms, args.encoding)
        # A live source keeps its own time; what else comes through a pipe need not wait.
        return form, from_pipe(sys.stdin.fileno(), form, args.speed or 0.0)
    recording = read_recording(Path(args.source), args.rate)
    form = PacketFormat(recording.rate_hz, args.packet_ms, args.encoding)
    return form, from_recording(recording, form, 1.0 if args.speed is None else args.speed)


def _stop_on_interrupt() -> asyncio.Event:
    """The first Ctrl-C ends the recording, the second one the program."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        loop.call_soon_threadsafe(stop.set)

    signal.signal(signal.SIGINT, on_interrupt)
    return stop


def _shower(display: Display, args: argparse.Namespace) -> Callable[[Message], None]:
    def show(message: Message) -> None:
        if args.json:
            print(json.dumps(message, ensure_ascii=False), flush=True)
        elif message.get("type") == "transcription":
            display.show(message)
            if args.timing and message.get("is_final"):
                display.lines([timing_line(message)])
        if message.get("type") == "error":
            _complain(display, f"the server reports: {error_text(message)}")

    return show


def _complain(display: Display, text: str) -> None:
    display.erase()
    print(f"stream.py: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Options that are not given are left to the server's defaults.",
    )
    parser.add_argument(
        "source", metavar="FILE|-|mic", help="a recording, raw PCM s16le on standard input, or mic"
    )
    _add_connection(parser)
    _add_recognition(parser)
    _add_endpointing(parser)
    _add_sending(parser)
    _add_output(parser)
    return parser


def _add_connection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default=DEFAULT_URL, help="default: %(default)s")
    parser.add_argument("--api-key", metavar="KEY", help="default: $GATEWAY_API_KEY")
    parser.add_argument(
        "--reconnect", action="store_true", help="go on when the connection is lost"
    )


def _add_recognition(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("recognition")
    group.add_argument("--language", metavar="CODE", help="ISO 639-1 such as en, or auto")
    group.add_argument(
        "--language-options", metavar="en,fr", help="what auto may choose from; default: all"
    )
    group.add_argument("--detect-only", action="store_true", help="the language and no text")
    group.add_argument("--prompt", metavar="TEXT", help="names and spellings to expect")
    group.add_argument("--words", action="store_true", help="times of every word")
    group.add_argument("--beam", type=int, metavar="N", help="beam width")
    group.add_argument("--beams", action="store_true", help="what every beam came to")


def _add_endpointing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("partials and finals")
    group.add_argument(
        "--partials",
        action=argparse.BooleanOptionalAction,
        help="text before its final; default: on a terminal",
    )
    group.add_argument("--interval", type=float, metavar="S", help="seconds between partials")
    group.add_argument(
        "--max-final-s", type=float, metavar="S", help="force a final after this much audio"
    )
    group.add_argument("--threshold", type=float, metavar="P", help="probability of speech")
    group.add_argument("--min-silence-ms", type=int, metavar="MS", help="silence before a final")
    group.add_argument("--pad-ms", type=int, metavar="MS", help="audio kept around speech")


def _add_sending(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sending")
    group.add_argument("--encoding", choices=ENCODINGS, default=PCM, help="default: %(default)s")
    group.add_argument(
        "--rate",
        type=wire_rate,
        metavar="HZ",
        help=f"a file is converted to it (default: its own); of standard input and the microphone "
        f"it is the rate (default: {SAMPLE_RATE})",
    )
    group.add_argument(
        "--packet-ms", type=positive, default=VAD_FRAME_MS, metavar="MS", help="default: 32"
    )
    group.add_argument(
        "--speed",
        type=speed,
        metavar="X",
        help="1: real time (default for files), 2: twice as fast, 0: as fast as the server takes "
        "it (default for standard input)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--timing", action="store_true", help="the server's timings of finals")
    group.add_argument("--json", action="store_true", help="every message as a line of JSON")


if __name__ == "__main__":
    sys.exit(main())
