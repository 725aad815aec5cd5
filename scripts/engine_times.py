"""Time the embedded engine without Triton: its two halves by batch, and all of it by threads.

    python scripts/engine_times.py
    python scripts/engine_times.py --device cuda --compute-type float16 --threads 2x16,4x32

The windows are 5 s of speech each, from the recordings of the tests. `--threads 4x32` means four
threads that decode up to 32 windows together, as `workers` and `max_batch` do in
model_repository/whisper/configs/embedded.pbtxt; all windows are there at once. Environment
variables that matter are set as `scripts/serve.py` sets them, so it starts itself anew once.
"""

import argparse
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

import numpy as np
from numpy.typing import NDArray

from build.fetch_weights import DEFAULT_MODEL, OUTPUT, model_folder
from pipeline.audio import SAMPLE_RATE
from pipeline.engines.ctranslate2_engine import CTranslate2Engine, EngineSettings
from pipeline.engines.request import Answer, Encoded, EngineRequest, Place, Purpose
from pipeline.engines.workers import EngineWorkers
from pipeline.log_mel import LEAST_NEW_TOKENS, NEW_TOKENS_PER_S, WindowPolicy
from pipeline.spectrogram import log_mel_spectrogram
from pipeline.tokens import WhisperTokenizer
from scripts.arguments import positive
from scripts.load.playlist import read_library
from scripts.load.run import core_count, cpu_model
from scripts.load_test import RECORDINGS, TEXTS
from scripts.perf.engine import windows
from scripts.perf.table import number, plain
from scripts.recording import Pcm, resample
from scripts.triton_server import environment

SPEECH_S = 5.0
ALONE = 16
"""Windows that are decoded one by one: their texts differ, and so does the time they take."""
REPEATS = 3
_PREPARED = "ENGINE_TIMES_PREPARED"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = _parser().parse_args(arguments)
    print(f"{args.device}, {args.compute_type}; {cpu_model()}, {core_count()} cores")
    speech = _speech()
    engine = _engine(args, 1)
    _table(("windows", "encode ms each", "decode ms together"), _halves(engine, speech, args))
    _table(("windows", "threads", "batch", "windows/s"), _together(speech, args))
    return 0


def _halves(
    engine: CTranslate2Engine, speech: dict[str, list[Pcm]], args: argparse.Namespace
) -> Iterator[list[str]]:
    for purpose in (Purpose.FINAL, Purpose.PARTIAL):
        requests = _requests(engine.tokenizer, speech, max(args.batches), purpose)
        _decode(engine, [*map(engine.encode, requests[:2])])  # the first of a kind takes longer
        encoding_s = [_time(engine.encode, request) for request in requests]
        encoded = [engine.encode(request) for request in requests]
        for size in args.batches:
            batches = [[window] for window in encoded[:ALONE]] if size == 1 else [encoded[:size]]
            taken_s = [
                median(_time(_decode, engine, batch) for _ in range(REPEATS)) for batch in batches
            ]
            name = f"{size} {purpose.name.lower()}"
            yield [name, number(median(encoding_s) * 1e3, 1), number(mean(taken_s) * 1e3, 1)]


def _decode(engine: CTranslate2Engine, windows: Sequence[Encoded]) -> None:
    for _ in engine.decode(windows):
        pass


def _together(speech: dict[str, list[Pcm]], args: argparse.Namespace) -> Iterator[list[str]]:
    for threads, batch in args.threads:
        engine = _engine(args, threads)
        for purpose in (Purpose.FINAL, Purpose.PARTIAL):
            requests = _requests(engine.tokenizer, speech, args.windows, purpose)
            _decode_all(engine, requests[: 4 * threads], threads, batch)
            taken_s = _time(_decode_all, engine, requests, threads, batch)
            rate = number(len(requests) / taken_s, 1)
            yield [f"{len(requests)} {purpose.name.lower()}", str(threads), str(batch), rate]


def _decode_all(
    engine: CTranslate2Engine, requests: Sequence[EngineRequest], threads: int, batch: int
) -> None:
    """Return when all are decoded. Raises what the engine raises."""
    answered, failed = threading.Semaphore(0), []

    def done(answer: Answer | Exception) -> None:
        if isinstance(answer, Exception):
            failed.append(answer)
        answered.release()

    workers = EngineWorkers(engine, threads, batch)
    for index, request in enumerate(requests):
        workers.submit(request, str(index).encode(), done)
    for _ in requests:
        answered.acquire()
    workers.stop()
    if failed:
        raise failed[0]


def _requests(
    tokenizer: WhisperTokenizer, speech: dict[str, list[Pcm]], count: int, purpose: Purpose
) -> list[EngineRequest]:
    """Windows as the server makes them, each of a stream of its own."""
    most = LEAST_NEW_TOKENS + round(NEW_TOKENS_PER_S * SPEECH_S)
    policy = WindowPolicy(n_mels=tokenizer.n_mels)
    return [
        EngineRequest(
            _features(audio, policy),
            tokenizer.decoder_prompt(language, ""),
            most,
            place=Place(stream, 0, purpose),
        )
        for stream, (audio, language) in enumerate(windows(speech, count, SPEECH_S), start=1)
    ]


def _features(audio: Pcm, policy: WindowPolicy) -> NDArray[np.float16]:
    padded = np.zeros(policy.padded_samples(len(audio), whole=True), np.float32)
    padded[: len(audio)] = audio / np.float32(32768)
    return log_mel_spectrogram(padded, policy.n_mels).astype(np.float16)


def _speech() -> dict[str, list[Pcm]]:
    clips, library = read_library(RECORDINGS, TEXTS)
    speech = defaultdict(list)
    for clip in clips:
        speech[clip.language].append(resample(library.recordings[clip.name], SAMPLE_RATE).pcm)
    return speech


def _engine(args: argparse.Namespace, threads: int) -> CTranslate2Engine:
    folder = str(model_folder(args.model))
    return CTranslate2Engine(EngineSettings(folder, args.device, args.compute_type, threads))


def _time(call: Callable[..., object], *arguments: object) -> float:
    """Seconds that a call takes."""
    began = perf_counter()
    call(*arguments)
    return perf_counter() - began


def _table(columns: Sequence[str], rows: Iterator[list[str]]) -> None:
    print("", *plain(columns, [*rows]), sep="\n", flush=True)


def _threads(text: str) -> list[tuple[int, int]]:
    pairs = [part.partition("x") for part in text.split(",")]
    return [(positive(threads), positive(batch)) for threads, _, batch in pairs]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--model", default=DEFAULT_MODEL, help="as WHISPER_MODEL; default: %(default)s")
    add("--device", default="cpu", help="cpu or cuda; default: %(default)s")
    add("--compute-type", default="int8", help="default: %(default)s")
    add(
        "--batches",
        type=lambda text: [positive(part) for part in text.split(",")],
        default=[1, 4, 16],
        metavar="N,N",
        help="windows decoded together; default: 1,4,16",
    )
    add(
        "--threads",
        type=_threads,
        default=[(max(2, core_count()), 16)],
        metavar="TxN,TxN",
        help="threads, and how many windows each decodes together; default: one for each core, 16",
    )
    add("--windows", type=positive, default=64, help="for the threads; default: %(default)s")
    return parser


def _prepare() -> None:
    """Start anew with the environment of Triton's stages, which takes effect at the start alone."""
    if _PREPARED not in os.environ:
        told = environment(os.environ, OUTPUT, OUTPUT) | {_PREPARED: "1"}
        os.execve(sys.executable, [sys.executable, *sys.argv], told)


if __name__ == "__main__":
    _prepare()
    sys.exit(main())
