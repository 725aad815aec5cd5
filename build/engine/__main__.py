"""The command line: `python -m build.engine build|verify|profiles`. See the package's docstring.

Exit status: 0 done, 1 failed or refused, 2 wrong arguments, 3 the engine is whole but its
acceptance could not be done, 130 interrupted.
"""

import argparse
import fcntl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from build.engine import acceptance, profiles
from build.engine.errors import AcceptanceOpenError, BusyError, EngineError, StepFailedError
from build.engine.image import PINNED, Image
from build.engine.machine import Machine, ThisMachine
from build.engine.models import PRECISIONS, find_model
from build.engine.plan import OUTPUT, Plan, Request
from build.engine.profiles import find_profile
from build.engine.stamps import Stamps
from build.engine.steps import Run
from build.engine.verify import build_command, verify_engine

FAILED, ACCEPTANCE_OPEN, INTERRUPTED = 1, 3, 130


def main(
    arguments: Sequence[str] | None = None, machine: Machine | None = None, image: Image = PINNED
) -> int:
    """Do what the command line says; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parsed = _parser().parse_args(arguments)
    machine = machine or ThisMachine()
    try:
        if parsed.command == "profiles":
            print("\n".join(profiles.table(profiles.all_profiles())))
            return 0
        if parsed.command == "verify":
            return _verify(parsed.folder, machine, parsed.thorough)
        plan = Plan(_request(parsed), machine, image)
        if parsed.dry_run:
            _show(plan, parsed.work, image)
            return 0
        return _build(plan, _request(parsed), build_command(*arguments[1:]))
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m build.engine", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build an engine, inside the pinned image")
    build.add_argument("--profile", required=True, help="a file of build/profiles")
    build.add_argument("--model", required=True, help="large-v3 or large-v3-turbo (turbo)")
    build.add_argument("--precision", choices=PRECISIONS, default="float16")
    build.add_argument("--output", type=_absolute, default=OUTPUT / "engines", metavar="FOLDER")
    build.add_argument("--assets", type=_absolute, default=OUTPUT / "assets", metavar="FOLDER")
    build.add_argument("--work", type=_absolute, default=OUTPUT / "checkpoints", metavar="FOLDER")
    build.add_argument(
        "--decoder-gemm-plugin",
        choices=("float16", "disable"),
        default="float16",
        help="disable: what NVIDIA tests the C++ runtime with",
    )
    build.add_argument("--dry-run", action="store_true", help="print every command, do nothing")
    build.add_argument("--skip-acceptance", action="store_true", help="do not decode the test set")
    verify = commands.add_parser("verify", help="say whether an engine can be served here")
    verify.add_argument("folder", type=_absolute, help="build/output/engines/NAME")
    verify.add_argument("--thorough", action="store_true", help="compare checksums as well")
    commands.add_parser("profiles", help="list the hardware profiles")
    return parser


def _absolute(folder: str) -> Path:
    return Path(folder).expanduser().absolute()


def _request(parsed: argparse.Namespace) -> Request:
    profile, model = find_profile(parsed.profile), find_model(parsed.model)
    profile.batches(model)  # refuses what the profile does not serve
    return Request(
        profile,
        model,
        precision=parsed.precision,
        output=parsed.output,
        assets=parsed.assets,
        work=parsed.work,
        gemm_plugin=parsed.decoder_gemm_plugin,
        skip_acceptance=parsed.skip_acceptance,
    )


def _show(plan: Plan, work: Path, image: Image) -> None:
    print(f"# commands are run in {work}")
    if not image.example().is_dir():
        looked = ", ".join(map(str, image.examples))
        print(f"# NVIDIA's Whisper example is not on this machine; in the image it is in {looked}")
    for step in plan.steps():
        print(step.name)
        for line in step.lines:
            print(f"    {line}")


def _build(plan: Plan, request: Request, again: str) -> int:
    run = Run(plan.steps(), Stamps(request.stamps))
    try:
        with _alone(request.work):
            run.go()
    except AcceptanceOpenError as error:
        print(f"{error}. To do it later: {again}", file=sys.stderr)
        return ACCEPTANCE_OPEN
    except BusyError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"\ninterrupted in step {run.current}; go on with {again}", file=sys.stderr)
        return INTERRUPTED
    except (EngineError, OSError) as error:
        status = error.status if isinstance(error, StepFailedError) else None
        said = f" with exit status {status}" if status is not None else ""
        print(f"error: step {run.current} failed{said}: {error}", file=sys.stderr)
        print(f"When that is mended, go on with: {again}", file=sys.stderr)
        return FAILED
    print(f"{request.engine} is built; acceptance {acceptance.read(request.engine)}")
    return 0


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Two builds in one folder would write the same checkpoint."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"another build is at work in {work}: wait for it") from error
        yield


def _verify(folder: Path, machine: Machine, thorough: bool) -> int:
    manifest = verify_engine(folder, machine, thorough)
    print(
        f"{folder}: {manifest.model} ({manifest.precision}) for {manifest.profile}, built "
        f"{manifest.built_at}; acceptance {acceptance.read(folder)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
