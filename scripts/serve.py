"""Run the server on this machine: Triton with the embedded engine, and the gateway.

    python scripts/serve.py          # serve until Ctrl-C or SIGTERM
    python scripts/serve.py --demo   # the proof alone: exit 0 when a recording was transcribed

It checks the machine, starts Triton and then the gateway, waits until both are ready, streams a
bundled recording through the websocket in real time, and keeps serving: whichever of the two ends,
or works no more, is started again, up to five times in ten minutes. Both end with it, within
seconds, whichever way it ends. Settings come from the environment: GATEWAY_HOST, GATEWAY_PORT,
GATEWAY_TRITON, TRITON_METRICS_PORT, WHISPER_MODEL. What the two say is in build/output/logs.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from gateway.keys import KeysError
from gateway.settings import SettingsError
from scripts.display import Display
from scripts.part import POLL_S, ServerError, shown
from scripts.preflight import PreflightError
from scripts.server import Server, Settings
from scripts.triton_server import ROOT

RECORDING = ROOT / "tests/data/jfk.wav"
PROOF_TIMEOUT_S = 90


class Stopped(BaseException):
    """SIGINT, SIGTERM or SIGHUP came. No `except Exception` may swallow it."""


def prove(settings: Settings, environment: Mapping[str, str] = os.environ) -> None:
    """Stream the bundled recording in real time and show what comes back.

    Raises:
        ServerError: no final with text came.
    """
    command = [sys.executable, str(ROOT / "scripts/stream.py"), str(RECORDING)]
    options = ["--url", settings.url, "--json", "--partials"]
    keys = settings.gateway.keys().secrets
    display = Display(sys.stdout)
    finals = 0
    with subprocess.Popen(
        [*command, *options],
        env={**environment, "GATEWAY_API_KEY": "".join(keys[:1])},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C ends this process, which ends the client
    ) as client:
        limit = threading.Timer(PROOF_TIMEOUT_S, client.kill)
        limit.start()
        try:
            for line in client.stdout or ():
                message = json.loads(line)
                if message.get("type") == "transcription":
                    display.show(message)
                    finals += bool(message["is_final"] and message["transcript"])
            status = client.wait()
        finally:
            limit.cancel()
            client.kill()
    if status or not finals:
        raise ServerError(f"{shown(RECORDING)} was streamed and no final with text came back")


def serve(settings: Settings, demo: bool) -> None:
    """Start, prove, and unless it is a demo serve until a signal comes."""
    with Server(settings) as server:
        print(f"Streaming {shown(RECORDING)} through {settings.url} in real time:")
        prove(settings)
        if demo:
            return
        print(_how_to_talk(settings), flush=True)
        while True:
            server.tend()
            time.sleep(POLL_S)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--demo", action="store_true", help="end after the proof")
    demo = parser.parse_args(arguments).demo
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        serve(Settings.from_environment(os.environ), demo)
    except Stopped:
        print("\nStopped.")
        return 1 if demo else 0
    except (KeysError, PreflightError, ServerError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    """The first signal unwinds the stack; later ones must not cut the stopping short."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Stopped


def _how_to_talk(settings: Settings) -> str:
    key = " --api-key KEY" if settings.gateway.keys().secrets else ""
    python = Path(sys.executable)
    return (
        f"\nServing at {settings.url} (Ctrl-C ends it). Talk to it from another terminal:\n"
        f"    {shown(python)} scripts/stream.py FILE --url {settings.url} --partials{key}\n"
        f"    {shown(python)} scripts/stream.py mic --url {settings.url} --partials{key}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
