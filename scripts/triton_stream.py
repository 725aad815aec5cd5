"""Stream a recording straight into the Triton ensemble, with no gateway between.

    python scripts/triton_stream.py talk.flac
    python scripts/triton_stream.py talk.flac --language auto --speed 0 --json
    python scripts/triton_stream.py talk.flac --options '{"partials": true, "beam_width": 3}'

Prints what `stream.py` prints for the same recording. Exit codes: 0 done, 1 Triton reports an
error or is not there, 2 bad usage or no audio to read, 130 Ctrl-C.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from pydantic import ValidationError
from tritonclient.utils import InferenceServerException

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from pipeline.audio import SAMPLE_RATE, ms_to_samples
from pipeline.contract import ENSEMBLE
from pipeline.options import StreamOptions
from scripts import arguments
from scripts.display import Display, Message
from scripts.ensemble_stream import MAX_SEQUENCE_ID, EnsembleStream
from scripts.recording import Pcm, UnreadableAudioError, read_recording

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

DEFAULT_TRITON = "127.0.0.1:8001"
HOP_SAMPLES = ms_to_samples(128)
MAX_UNANSWERED_HOPS = 64
"""About 8 s of audio: a faster sender waits, so that feedback keeps up with it."""


def main(command_line: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = _parser().parse_args(command_line)
    try:
        options = _options(args)
        pcm = read_recording(Path(args.file), SAMPLE_RATE).pcm
        _stream(args, options, pcm)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (UnreadableAudioError, ValueError) as error:
        return _complain(str(error), EXIT_USAGE)
    except InferenceServerException as error:
        return _complain(f"Triton at {args.triton}: {error.message()}", EXIT_FAILED)
    return EXIT_OK


_NOTHING = np.zeros(0, np.int16)


def transcribe(stream: EnsembleStream, pcm: Pcm, speed: float) -> Iterator[Message]:
    """All messages of a recording sent at `speed` times real time; 0 is as fast as it goes."""
    started = time.monotonic()
    for start in range(0, len(pcm), HOP_SAMPLES):
        hop = pcm[start : start + HOP_SAMPLES]
        spoken_s = (start + len(hop)) / SAMPLE_RATE
        yield from stream.messages_until(started + spoken_s / speed if speed else started)
        yield from stream.messages_while(MAX_UNANSWERED_HOPS - 1)
        stream.send(hop)
    yield from stream.messages_while(0)
    while stream.has_news:  # a window may have waited for it; END cannot wait any more
        stream.send(_NOTHING)
        yield from stream.messages_while(0)
    stream.send(_NOTHING, end=True)
    yield from stream.messages_while(0)


def _stream(args: argparse.Namespace, options: StreamOptions, pcm: Pcm) -> None:
    display = Display(sys.stdout)
    with triton.InferenceServerClient(args.triton) as client:
        if not client.is_model_ready(ENSEMBLE):
            raise InferenceServerException(f"the model {ENSEMBLE} is not ready")
        sequence_id = random.randint(1, MAX_SEQUENCE_ID)
        with EnsembleStream(client, options, sequence_id) as stream:
            for message in transcribe(stream, pcm, args.speed):
                _show(display, message, args.json)
    display.erase()


def _show(display: Display, message: Message, as_json: bool) -> None:
    if as_json:
        print(json.dumps(message, ensure_ascii=False), flush=True)
    else:
        display.show(message)


def _options(args: argparse.Namespace) -> StreamOptions:
    """The stream's options, checked here as the pipeline will check them.

    Raises:
        ValueError: names the field and what is accepted.
    """
    language = {"language": args.language} if args.language else {}
    try:
        return StreamOptions.model_validate_json(json.dumps(args.options | language))
    except ValidationError as error:
        details = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ValueError("; ".join(details)) from error


def _complain(text: str, code: int) -> int:
    print(f"triton_stream.py: {text}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", metavar="FILE", help="WAV, FLAC, MP3 or OGG")
    parser.add_argument(
        "--triton", metavar="HOST:PORT", default=DEFAULT_TRITON, help="default: %(default)s"
    )
    parser.add_argument("--language", metavar="CODE", help="ISO 639-1 such as en, or auto")
    parser.add_argument(
        "--options",
        type=arguments.json_object,
        metavar="JSON",
        default={},
        help="any of the fields in pipeline/options.py",
    )
    parser.add_argument(
        "--speed",
        type=arguments.speed,
        default=1.0,
        metavar="X",
        help="1: real time (default), 0: as fast as Triton answers",
    )
    parser.add_argument("--json", action="store_true", help="every message as a line of JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
