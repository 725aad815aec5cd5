"""Measure the embedded server on this machine and enter the result into docs/benchmarks.md.

    python -m scripts.load.bench [options of scripts/load_test.py]

Starts a server of its own on free ports, its other settings being the environment's, and loads it
with rising numbers of streams. The newest result goes to the top of the document; earlier ones
stay, good and bad. The report is build/output/bench.html, with everything behind it in bench.json.
"""

import os
import shlex
import signal
import sys
from pathlib import Path

from scripts import load_test
from scripts.load.run import ROOT
from scripts.part import ServerError, shown
from scripts.preflight import PreflightError, free_port
from scripts.server import OUTPUT, Server, Settings

DOCUMENT = ROOT / "docs/benchmarks.md"
HEADING = """# Benchmarks

What `make bench` measured, newest first: streams of recorded speech, played back to back in real
time through the websocket of the embedded server, which shares the machine with the load. Options
go to the load test, as in `make bench BENCH="--streams 1,2 --duration 30"`. Read numbers of
different machines as ratios.

A stream is *held* when the median word of its last third was seen, in a partial or a final, within
2 s of being spoken. *First partial* counts from the beginning of an utterance, *word lag* from the
end of a word to the first message that shows it, *final* from the end of speech plus the silence
that ends an utterance. *WER* is of the finals, in brackets that of the same recordings played
alone; *flicker* is words of a partial that the next message takes back, per word. Nobody is refused
here: a server in use refuses new streams when words come late.
"""
_ENTRY = "\n## "


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = sys.argv[1:] if arguments is None else arguments
    # A stop from outside must end the server as well, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(load_test.EXIT_INTERRUPTED))
    try:
        return _bench(options)
    except (PreflightError, ServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return load_test.EXIT_FAILED
    except KeyboardInterrupt:
        return load_test.EXIT_INTERRUPTED


def entered(document: str, title: str, entry: str) -> str:
    """The document with another entry in front of those that it has."""
    earlier = document[document.index(_ENTRY) :] if _ENTRY in document else ""
    return f"{HEADING}{_ENTRY}{title}\n\n{entry.strip()}\n{earlier}"


def _bench(options: list[str]) -> int:
    table = OUTPUT / "bench.md"
    outputs = [f"--{kind}={OUTPUT / f'bench.{kind}'}" for kind in ("html", "json")]
    table.unlink(missing_ok=True)
    setting = environment()
    settings = Settings.from_environment(setting)
    with Server(settings, environment=setting, logs=OUTPUT / "logs/bench") as server:
        status = load_test.main(
            [
                f"--url={server.settings.url}",
                f"--server-pid={os.getpid()}",
                f"--markdown={table}",
                "--recalibrate",
                *outputs,
                *options,
            ]
        )
    if status == load_test.EXIT_OK:
        _enter(table, options)
        print(f"Entered into {shown(DOCUMENT)}; report: {shown(OUTPUT / 'bench.html')}")
    return status


def environment() -> dict[str, str]:
    """The settings that hold here, on ports that nobody uses, for everybody: also for streams that
    a server in use would refuse because words come late."""
    ports = {
        "GATEWAY_PORT": str(free_port()),
        "GATEWAY_TRITON": f"127.0.0.1:{free_port()}",
        "TRITON_METRICS_PORT": str(free_port()),
    }
    limits = {
        "GATEWAY_MAX_PARTIAL_DELAY_S": "3600",
        "GATEWAY_MAX_FINAL_DELAY_S": "3600",
        "GATEWAY_BURST_STREAMS": "100000",
    }
    return {**os.environ, **ports, **limits, "GATEWAY_API_KEYS": ""}


def _enter(table: Path, options: list[str]) -> None:
    lines = table.read_text(encoding="utf-8").splitlines()
    when = next(line.partition(": ")[2] for line in lines if line.startswith("- when: "))
    kept = [
        line for line in lines if not line.startswith(("- when: ", "- server: ", "- command: "))
    ]
    command = "make bench" + (f" BENCH={shlex.quote(shlex.join(options))}" if options else "")
    model = os.environ.get("WHISPER_MODEL") or Settings.model
    entry = "\n".join([f"- model: Whisper {model}", f"- command: `{command}`", *kept])
    write_entry(when, entry)


def write_entry(title: str, entry: str) -> None:
    """Enter a result into the document."""
    document = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    DOCUMENT.write_text(entered(document, title, entry), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
