"""Fetches perf_analyzer, NVIDIA's load generator for Triton, and what it needs to run here.

    python build/fetch_perf_analyzer.py

The program comes from PyPI, pinned by hash. It wants glibc 2.38 and the C++ library of GCC 13.
Where this machine's are older, those of Debian 13 are put into a folder of their own, and the
program is started by that folder's loader: apt fetches and checks them, nothing is installed, and
root is not needed. Running it again costs a checksum. It knows nothing of what is measured.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from build.fetch_weights import BUILD, OUTPUT, Asset, Bundle, WeightsError, fetch_bundle

FOLDER = "perf_analyzer"
PERF_ANALYZER = Bundle(
    BUILD / "requirements-perf-analyzer.txt",
    (
        Asset(
            f"{FOLDER}/perf_analyzer",
            ("perf_analyzer/bin/perf_analyzer",),
            "ccc6220d9a4b0485b853ab40fe012d2a5d9c55f1e55835f6a8eb8b552d6c49c6",
        ),
    ),
    platform=("--platform=manylinux_2_38_x86_64", "--python-version=3.12"),
)

MACHINE = "x86_64"
LOADER = "ld-linux-x86-64.so.2"
LIBRARIES = ("libc6", "libgcc-s1", "libssl3t64", "libstdc++6", "libzstd1", "zlib1g")
"""Packages of Debian 13 that hold what the program is linked against, and what that needs."""
LIBRARY_FOLDER = "usr/lib/x86_64-linux-gnu"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCE = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian trixie main\n"
"""apt checks the signature, so the transport need not be trusted."""

_OLD_LIBRARIES = (
    "perf_analyzer wants glibc 2.38 and GCC 13's libstdc++, which this machine does not have, and "
    "Debian 13's cannot be fetched"
)


class FetchError(Exception):
    """Something is missing; the message is one line that says what to do."""


def command(output: Path = OUTPUT) -> list[str]:
    """What starts perf_analyzer, without arguments; it is not looked whether it is there."""
    program = str(output / FOLDER / "perf_analyzer")
    libraries = output / FOLDER / "lib"
    if not libraries.is_dir():
        return [program]
    return [str(libraries / LOADER), "--library-path", str(libraries), program]


def is_runnable(output: Path = OUTPUT) -> bool:
    """Whether perf_analyzer is there and starts."""
    try:
        return not subprocess.run(
            [*command(output), "--version"], capture_output=True, check=False
        ).returncode
    except OSError:
        return False


def fetch(output: Path = OUTPUT) -> None:
    """The program, and the libraries where this machine's own do not do.

    Raises:
        FetchError, WeightsError: it cannot be had here, or not now.
    """
    if platform.machine() != MACHINE:
        raise FetchError(
            f"PyPI has perf_analyzer for {MACHINE} alone and this machine is {platform.machine()}: "
            "run it on another machine, with --triton HOST:PORT of this one's server"
        )
    fetch_bundle(PERF_ANALYZER, output)
    (output / PERF_ANALYZER.assets[0].target).chmod(0o755)
    if is_runnable(output):
        return
    print("perf_analyzer needs newer libraries than this machine's: fetching Debian 13's ...")
    fetch_libraries(output / FOLDER / "lib")
    if not is_runnable(output):
        raise FetchError(
            f"{' '.join(command(output))} --version fails even with Debian 13's libraries: run it "
            "yourself to see why, and fetch it anew after rm -r " + str(output / FOLDER)
        )


def fetch_libraries(folder: Path) -> None:
    """Debian 13's libraries into `folder`, which appears when all of them are there.

    Raises:
        FetchError: apt or Debian's keys are missing, or apt could not fetch them.
    """
    _check_tools()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".libraries-") as temporary:
        work = Path(temporary)
        _download(work)
        for package in sorted((work / "packages").glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(work / "tree")], work)
        shutil.rmtree(folder, ignore_errors=True)
        (work / "tree" / LIBRARY_FOLDER).rename(folder)


def _check_tools() -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FetchError(
                f"{_OLD_LIBRARIES} without {tool}: run this on Debian 13, on Ubuntu 24.04, or in "
                "a container of one of them"
            )
    if not KEYRING.is_file():
        raise FetchError(
            f"{_OLD_LIBRARIES} without Debian's keys: sudo apt-get install debian-archive-keyring"
        )


def _download(work: Path) -> None:
    """The newest packages of Debian 13 into `work`/packages, by apt with a state of its own."""
    for folder in ("lists/partial", "archives/partial", "packages"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text(SOURCE)
    settings = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": work,
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",  # the folder is nobody else's to write to
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"], work)
    _run([*apt, "download", *LIBRARIES], work / "packages")


def _run(line: Sequence[str], folder: Path) -> None:
    if subprocess.run(line, cwd=folder, check=False).returncode:
        raise FetchError(
            f"{line[0]} could not get Debian 13's libraries (its message is above): check that "
            "deb.debian.org can be reached and run the same command again"
        )


def main() -> int:
    """Fetch it; returns the exit status."""
    try:
        fetch()
    except (FetchError, WeightsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"perf_analyzer: {' '.join(command())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
