"""Measure a running Triton with NVIDIA's perf_analyzer: the ensemble, or its engine alone.

    python scripts/perf_analyzer.py ensemble --streams 1,2,4,8
    python scripts/perf_analyzer.py whisper --concurrency 1,2,4,8 --triton host:8001

`ensemble` plays recordings as real-time streams of hops over gRPC streaming, each recording a
sequence with START and END, and reports how long hops wait for the message that they complete.
`whisper` sends windows of the recordings' speech, made into features by the server's own log_mel,
and reports how many the engine decodes. One run of perf_analyzer for each number; what it was
given and what it said is kept. The program is fetched by build/fetch_perf_analyzer.py.
Exit codes: 0 done, 1 a step or the server failed, 2 bad usage, 130 Ctrl-C (steps that are complete
are reported all the same).
"""

import argparse
import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from pipeline.audio import SAMPLE_RATE
from pipeline.contract import ENSEMBLE, LOG_MEL, WHISPER
from pipeline.options import StreamOptions
from scripts.load.live import Live
from scripts.load.playlist import read_library
from scripts.load.run import ROOT, command_line, commit, core_count, cpu_model
from scripts.manifest import ManifestError
from scripts.perf import program
from scripts.perf.engine import WINDOWS, EngineTest, windows
from scripts.perf.ensemble import EnsembleTest
from scripts.perf.measurement import Measurement
from scripts.perf.options import parser
from scripts.perf.program import ProgramError
from scripts.perf.server import MeasuredServer, ServerError
from scripts.recording import Pcm, UnreadableAudioError, resample
from scripts.triton_options import HEADER_PATTERN

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

DATA = ROOT / "tests/data"
RECORDINGS = (DATA / "clips", DATA / "jfk.wav")

Speech = dict[str, list[Pcm]]
"""Recordings at 16 kHz, by language."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    args = parser((__doc__ or "").partition("\n")[0], ROOT).parse_args(given)
    try:
        starter = program.program()
        measurement = _prepared(args, given)
    except (ManifestError, UnreadableAudioError, ValueError) as error:
        return _complain(str(error), EXIT_USAGE)
    except (ProgramError, ServerError) as error:
        return _complain(str(error), EXIT_FAILED)
    status = EXIT_OK
    try:
        measurement.go(starter, args.loads, Live(sys.stderr))
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    _report(args, measurement)
    return status or (EXIT_FAILED if measurement.failed else EXIT_OK)


def _prepared(args: argparse.Namespace, given: Sequence[str]) -> Measurement[Any]:
    """The test with its input written."""
    server = MeasuredServer(args.triton)
    clips, library = read_library(args.recordings or RECORDINGS)
    speech: Speech = defaultdict(list)
    for clip in clips:
        speech[clip.language].append(resample(library.recordings[clip.name], SAMPLE_RATE).pcm)
    seconds = sum(clip.duration_s for clip in clips)
    prepare = _prepared_ensemble if args.what == "ensemble" else _prepared_engine
    subject, measured = prepare(args, server, speech)
    folder = args.output / args.what
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    facts = {
        "when": f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
        "machine": f"{cpu_model()}, {core_count()} cores",
        "commit": commit() or "unknown",
        "server": server.describe(),
        "recordings": f"{len(clips)} of {seconds:.0f} s in all ({', '.join(speech)})",
        "measured": measured,
        "command": f"`{command_line('scripts/perf_analyzer.py', given)}`",
    }
    return Measurement(subject, folder, facts)


def _prepared_ensemble(
    args: argparse.Namespace, server: MeasuredServer, speech: Speech
) -> tuple[EnsembleTest, str]:
    server.check_ready(ENSEMBLE)
    options: StreamOptions | None = None
    measured = f"real-time streams in hops of {args.hop_ms} ms, {args.duration:g} s for each number"
    if server.takes_options_from_headers():
        every = {"partials": True, "partial_interval_s": args.interval} if args.interval else {}
        options = StreamOptions.model_validate({"language": args.language, **every})
        measured += f", partials every {args.interval:g} s" if args.interval else ", no partials"
    else:
        measured += (
            ", no partials: perf_analyzer can ask for them in a gRPC header alone, and this Triton "
            f"was not started with --grpc-header-forward-pattern={HEADER_PATTERN}"
        )
    recordings = [pcm for parts in speech.values() for pcm in parts]
    return EnsembleTest(args.triton, recordings, args.hop_ms, args.duration, options), measured


def _prepared_engine(
    args: argparse.Namespace, server: MeasuredServer, speech: Speech
) -> tuple[EngineTest, str]:
    server.check_ready(WHISPER, LOG_MEL)
    if args.windows < WINDOWS and server.remembers_windows():
        raise ValueError(
            f"--windows {args.windows}: this server's engine remembers what it has decoded, so "
            f"fewer than {WINDOWS} different windows would measure its memory"
        )
    first = server.engine_inputs(*windows(speech, args.windows, args.speech_s)[0])
    _, frames, n_mels = first["encoder_input_features"].shape
    measured = (
        f"{args.windows} different windows of {args.speech_s:g} s of speech, {frames} frames of "
        f"{n_mels} mel bins, until stable within {args.stability:g} % over three times "
        f"{args.measure_s:g} s"
    )
    subject = EngineTest(
        address=args.triton,
        speech=speech,
        features=server.engine_inputs,
        windows=args.windows,
        speech_s=args.speech_s,
        measure_s=args.measure_s,
        trials=args.trials,
        stability_percent=args.stability,
    )
    return subject, measured


def _report(args: argparse.Namespace, measurement: Measurement[Any]) -> None:
    """On the terminal, and the files that were asked for."""
    print(*measurement.plain(), sep="\n")
    _write(args.json, json.dumps(measurement.document(), indent=2))
    _write(args.markdown, "\n".join(measurement.markdown()))


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")


def _complain(text: str, code: int) -> int:
    print(f"perf_analyzer.py: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
