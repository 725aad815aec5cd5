"""Show what each thing that makes the server fast is worth: the same load with each of them off.

    make levers BENCH="--streams 8"     # options of scripts/load_test.py
    make levers BENCH="--lever in-flight --lever batching --streams 24"

Each row is a server of its own with one lever off, under the same streams (default: 12 for 40 s).
`--lever` takes those whose names begin so, and the row with all of them on.
The table goes to docs/benchmarks.md. A lever is a change to a copy of the model repository's
configuration, or a variable of the environment; the sources stay as they are.
"""

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from scripts import load_test
from scripts.load import run, table
from scripts.load.bench import environment, write_entry
from scripts.part import ServerError
from scripts.preflight import PreflightError
from scripts.server import OUTPUT, Models, Server, Settings

REPOSITORY = run.ROOT / "model_repository"
DEFAULTS = ("--streams=12", "--duration=40", "--ramp=4")
_LOG_MEL = "log_mel/configs/embedded.pbtxt"
_WHISPER = "whisper/configs/embedded.pbtxt"
_ENSEMBLE = "streaming_whisper/configs/embedded.pbtxt"
_SILERO_VAD = "silero_vad/config.pbtxt"
_LAST_TENSOR = 'input_map { key: "repetition_penalty" value: "repetition_penalty" }\n'
_HINTS = _LAST_TENSOR + '      input_map { key: "WINDOW_INFO" value: "window_info" }\n'


@dataclass(frozen=True)
class Lever:
    """What is otherwise when it is off."""

    off: str
    parameters: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """A configuration and its parameter, and the value instead of its own."""
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """A configuration, and a text of it with what stands there instead."""
    environment: Mapping[str, str] = field(default_factory=dict)


LEVERS = (
    Lever("nothing: all levers on"),
    Lever(
        "short windows: every window has 30 s",
        {(_LOG_MEL, "min_partial_ms"): "30000", (_LOG_MEL, "min_final_ms"): "30000"},
    ),
    Lever("runtime: CTranslate2 decodes", environment={"WHISPER_RUNTIME": "ctranslate2"}),
    Lever("guesses: every token is a step", {(_WHISPER, "guesses"): "false"}),
    Lever("weighted silence: all of it is seen", {(_WHISPER, "silence_stride"): "1"}),
    Lever("in-flight batching: nothing joins a batch", {(_WHISPER, "in_flight_batching"): "false"}),
    Lever("batching: windows are decoded one by one", {(_WHISPER, "max_batch"): "1"}),
    Lever(
        "hints to the engine: first in, first out, nothing superseded, partials as finals",
        texts={_ENSEMBLE: (_HINTS, _LAST_TENSOR)},
    ),
    Lever(
        "early windows: decoding begins at the endpoint", {(_SILERO_VAD, "early_silence_ms"): "0"}
    ),
    Lever("segments: long utterances are decoded whole", {(_SILERO_VAD, "segment_ms"): "0"}),
    Lever(
        "memory and instruction set: glibc and CTranslate2 as they are",
        environment={
            "MALLOC_ARENA_MAX": "8",
            "MALLOC_MMAP_MAX_": "65536",
            "MALLOC_TRIM_THRESHOLD_": "131072",
            "MALLOC_TOP_PAD_": "131072",
            "CT2_FORCE_CPU_ISA": "AVX2",
        },
    ),
    Lever("hops by load: always 32 ms", environment={"GATEWAY_HOP_MS": "32"}),
    Lever("hops by load: always 256 ms", environment={"GATEWAY_HOP_MS": "256"}),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        levers, others = wanted(arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return load_test.EXIT_USAGE
    options = [*DEFAULTS, *others]
    # A stop from outside must end the server as well, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(load_test.EXIT_INTERRUPTED))
    begun = datetime.now().astimezone()
    try:
        rows = [(lever.off, *measure(lever, options)) for lever in levers]
    except (PreflightError, ServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return load_test.EXIT_FAILED
    except KeyboardInterrupt:
        return load_test.EXIT_INTERRUPTED
    entry = "\n".join(_entry([*DEFAULTS, *arguments], rows))
    print(entry)
    write_entry(f"{begun:%Y-%m-%d %H:%M}: each lever off", entry)
    return load_test.EXIT_OK


def wanted(arguments: Sequence[str]) -> tuple[Sequence[Lever], list[str]]:
    """The levers that the arguments ask for, and the load test's own arguments.

    Raises:
        ValueError: no lever begins so.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--lever", action="append", default=[])
    options, others = parser.parse_known_args(arguments)
    on, *levers = LEVERS
    for beginning in options.lever:
        if not any(lever.off.startswith(beginning) for lever in levers):
            names = ", ".join(lever.off.partition(":")[0] for lever in levers)
            raise ValueError(f"--lever {beginning}: no lever begins so; there are {names}")
    beginnings = tuple(options.lever) or ("",)
    return [on, *(lever for lever in levers if lever.off.startswith(beginnings))], others


def measure(lever: Lever, options: Sequence[str]) -> list[str]:
    """The cells of `table.COLUMNS` with this lever off."""
    print(f"\n=== off: {lever.off}", flush=True)
    setting = {**environment(), **lever.environment}
    with tempfile.TemporaryDirectory() as folder:
        repository, result = Path(folder) / "model_repository", Path(folder) / "result.md"
        patch(lever, repository)
        with Server(
            Settings.from_environment(setting),
            environment=setting,
            logs=OUTPUT / "logs/levers",
            models=Models(repository=repository),
        ) as server:
            outputs = [f"--markdown={result}", "--recalibrate", f"--server-pid={os.getpid()}"]
            if load_test.main([f"--url={server.settings.url}", *outputs, *options]):
                raise ServerError("the load test has failed")
        rows = [line for line in result.read_text().splitlines() if line.startswith("| ")]
    return [cell.strip() for cell in rows[-1].strip("|").split("|")]


def patch(lever: Lever, repository: Path) -> None:
    """Copy the model repository with this lever off.

    Raises:
        ValueError: the configuration has no such parameter or text.
    """
    shutil.copytree(REPOSITORY, repository)
    for (config, name), value in lever.parameters.items():
        before = f'key: "{name}" value {{ string_value: "'
        _replace(repository / config, before, f'{before}{value}" }} }} # was: ')
    for config, (old, new) in lever.texts.items():
        _replace(repository / config, old, new)


def _replace(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{config} does not hold {old!r}")
    config.write_text(text.replace(old, new, 1), encoding="utf-8")


def _entry(options: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"- command: `make levers BENCH={shlex.quote(shlex.join(options))}`",
        f"- machine: {run.cpu_model()}, {run.core_count()} cores",
        f"- commit: {run.commit() or 'unknown'}",
        "",
        f"| off | {' | '.join(table.COLUMNS)} |",
        f"| --- | {' | '.join('---:' for _ in table.COLUMNS)} |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


if __name__ == "__main__":
    sys.exit(main())
