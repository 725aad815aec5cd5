"""Word error rates of the running server over a manifest of recordings.

    python scripts/evaluate.py tests/data/clips/manifest.tsv
    python scripts/evaluate.py corpus.tsv --jobs 4 --speed 0 \\
        --reference build/output/whisper/base --reference-cache offline.json --worst 10

Streams every recording through the websocket, joins its finals, and prints a table per language
and per folder; with --reference also the same for whole recordings decoded offline with the same
weights, and the difference (--worst then ranks by what streaming lost). A recording without text
in the manifest has no speech: a final with text that is not marked as a possible hallucination
counts as a failure.
Exit codes: 0 done, 1 a session failed or text was invented, 2 bad usage, 130 Ctrl-C.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from gateway.client.options import Options
from pipeline.audio import VAD_FRAME_MS
from scripts import report
from scripts.arguments import json_groups, positive, speed
from scripts.client import DEFAULT_URL, Message, Progress, SessionError, run_session
from scripts.display import partial_text
from scripts.manifest import Item, ManifestError, limited, read_manifest
from scripts.offline import OfflineReference, decode_all
from scripts.recording import UnreadableAudioError, read_recording
from scripts.sources import PacketFormat, from_recording

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

PROGRESS_EVERY_S = 10
"""Between lines of progress where there is no terminal to rewrite one on."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = _parser().parse_args(arguments)
    try:
        items = limited(read_manifest(args.manifest), args.limit)
        results = asyncio.run(_stream_all(items, args))
        reference = _reference(results, args)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (ManifestError, UnreadableAudioError, OSError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return EXIT_USAGE
    _print_report(results, reference, args.worst)
    if args.json:
        text = json.dumps(report.as_json(results, reference), ensure_ascii=False, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")
    return EXIT_FAILED if any(r.failure or r.invented for r in results) else EXIT_OK


async def _stream_all(items: list[Item], args: argparse.Namespace) -> list[report.Result]:
    free = asyncio.Semaphore(args.jobs)
    progress = _progress("streamed", len(items))
    done = 0

    async def one(item: Item) -> report.Result:
        nonlocal done
        async with free:
            result = await _stream(item, args)
        done += 1
        progress(done)
        return result

    return await asyncio.gather(*(one(item) for item in items))


async def _stream(item: Item, args: argparse.Namespace) -> report.Result:
    language = "auto" if args.language == "auto" else item.given_language
    recording = read_recording(item.path)
    form = PacketFormat(recording.rate_hz, VAD_FRAME_MS)
    messages: list[Message] = []
    progress = Progress()
    failure = None
    try:
        await run_session(
            args.url,
            Options(
                encoding=form.encoding,
                sample_rate=form.rate_hz,
                language=language,
                more=args.metadata,
            ).metadata(),
            from_recording(recording, form, args.speed),
            messages.append,
            api_key=args.api_key or os.environ.get("GATEWAY_API_KEY"),
            progress=progress,
        )
    except SessionError as error:
        failure = str(error)
    reasons = [reason for reason in (failure, *progress.errors) if reason]
    return _result(item, messages, language == "auto", "; ".join(reasons) or None)


def _result(
    item: Item, messages: list[Message], detected: bool, failure: str | None
) -> report.Result:
    finals = [message for message in messages if message.get("is_final")]
    unmarked = [message for message in finals if not _is_suspect(message)]
    return report.Result(
        item=item,
        text=_joined(finals),
        unmarked_text=_joined(unmarked),
        suspect_finals=len(finals) - len(unmarked),
        language_right=_language_right(item, finals) if detected else None,
        failure=failure,
    )


def _joined(finals: list[Message]) -> str:
    return " ".join(text for final in finals if (text := partial_text(final)))


def _is_suspect(final: Message) -> bool:
    segments = final.get("segments") or []
    return bool(segments) and all(segment.get("possible_hallucination") for segment in segments)


def _language_right(item: Item, finals: list[Message]) -> bool | None:
    """Whether most of what was heard was taken for the right language."""
    seconds: dict[str, float] = {}
    for final in finals:
        if partial_text(final):
            code = str(final.get("language_code"))
            seconds[code] = seconds.get(code, 0.0) + float(final.get("audio_length_sec") or 0.0)
    if not seconds or not item.has_speech:
        return None
    return max(seconds, key=lambda code: seconds[code]) == item.language


def _reference(
    results: list[report.Result], args: argparse.Namespace
) -> list[report.Result] | None:
    if args.reference is None:
        return None
    offline = OfflineReference(args.reference, args.compute_type, args.reference_cache)
    items = [result.item for result in results]
    texts = decode_all(items, offline, _progress("decoded offline", len(items)))
    return [report.Result(item, texts[item.name], texts[item.name]) for item in items]


def _print_report(
    results: list[report.Result], reference: list[report.Result] | None, worst: int
) -> None:
    lines = [*report.tables("streaming", results)]
    if reference:
        lines += [*report.tables("offline", reference), *report.difference(results, reference)]
    print("\n".join([*lines, *report.worst(results, reference, worst), *report.failures(results)]))


def _progress(verb: str, total: int) -> Callable[[int], None]:
    """A line that is rewritten on a terminal, and now and then a line of its own elsewhere."""
    terminal = sys.stderr.isatty()
    said = time.monotonic()

    def show(done: int) -> None:
        nonlocal said
        if terminal:
            print(f"\r{verb} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)
        elif done == total or time.monotonic() - said > PROGRESS_EVERY_S:
            said = time.monotonic()
            print(f"{verb} {done}/{total}", file=sys.stderr)
        sys.stderr.flush()

    return show


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add(
        "manifest",
        type=Path,
        metavar="MANIFEST.tsv",
        help="columns wav, duration_s, language, text",
    )
    add("--url", default=DEFAULT_URL, help="default: %(default)s")
    add("--api-key", metavar="KEY", help="default: $GATEWAY_API_KEY")
    add("--jobs", type=positive, default=1, metavar="N", help="recordings at once; default: 1")
    add("--speed", type=speed, default=0.0, metavar="X", help="1: real time; default 0: no waiting")
    add("--language", choices=("given", "auto"), default="given", help="default: the manifest's")
    add("--metadata", type=json_groups, default={}, metavar="JSON", help="more of the metadata")
    add("--limit", type=positive, metavar="N", help="at most N recordings of every folder")
    add("--worst", type=int, default=0, metavar="N", help="list the N worst with all texts")
    add("--json", type=Path, metavar="OUT", help="write everything to a file as well")
    add("--reference", type=Path, metavar="MODEL_DIR", help="decode offline with these weights too")
    add("--reference-cache", type=Path, metavar="FILE", help="keep offline texts here")
    add("--compute-type", default="int8", help="of the offline pass; default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
