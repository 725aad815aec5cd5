"""`build/fetch_perf_analyzer.py`: how the program is started, and what stands in its way."""

import hashlib
import platform
import re
import zipfile
from pathlib import Path

import pytest

from build import fetch_perf_analyzer
from build.fetch_perf_analyzer import LIBRARIES, LIBRARY_FOLDER, LOADER, FetchError, fetch_libraries
from build.fetch_weights import Asset, Bundle, fetch_bundle

RUNS, FAILS = "#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 1\n"


def put_program(output: Path, script: str = RUNS) -> Path:
    path = output / "perf_analyzer/perf_analyzer"
    path.parent.mkdir(parents=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


class Machine:
    """apt-get and dpkg-deb as small scripts that write down what they are told."""

    def __init__(self, folder: Path, apt: str = "") -> None:
        self.folder = folder
        self.log = folder / "log"
        folder.mkdir()
        packages = " ".join(f"{name}_1_amd64.deb" for name in LIBRARIES)
        self._put("apt-get", f"{apt}\ncase $* in *download*) touch {packages};; esac")
        self._put("dpkg-deb", f'd="$3"/{LIBRARY_FOLDER}; mkdir -p "$d" && touch "$d"/{LOADER}')

    def _put(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.log}\n{script}\n')
        path.chmod(0o755)


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keys.gpg"
    path.touch()
    monkeypatch.setattr(fetch_perf_analyzer, "KEYRING", path)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyring: Path) -> Machine:
    machine = Machine(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{machine.folder}:/usr/bin:/bin")
    return machine


def test_it_is_started_as_it_is_where_the_machines_libraries_do(tmp_path: Path) -> None:
    program = put_program(tmp_path)
    assert fetch_perf_analyzer.command(tmp_path) == [str(program)]
    assert fetch_perf_analyzer.is_runnable(tmp_path)


def test_it_is_started_by_the_loader_of_libraries_that_were_fetched(tmp_path: Path) -> None:
    program = put_program(tmp_path)
    libraries = program.parent / "lib"
    libraries.mkdir()
    expected = [str(libraries / LOADER), "--library-path", str(libraries), str(program)]
    assert fetch_perf_analyzer.command(tmp_path) == expected


def test_what_is_missing_or_fails_does_not_run(tmp_path: Path) -> None:
    assert not fetch_perf_analyzer.is_runnable(tmp_path)
    put_program(tmp_path, FAILS)
    assert not fetch_perf_analyzer.is_runnable(tmp_path)


def test_libraries_are_fetched_by_an_apt_with_a_state_of_its_own(
    machine: Machine, tmp_path: Path
) -> None:
    folder = tmp_path / "output/lib"
    folder.parent.mkdir()
    fetch_libraries(folder)
    assert (folder / LOADER).is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["lib"]
    update, download, *unpacked = machine.log.read_text().splitlines()
    assert update.endswith("update")
    assert download.endswith(" ".join(["download", *LIBRARIES]))
    for line in (update, download):
        assert f"-oDir::State::Lists={folder.parent}/" in line
        assert "-oDir::State::status=/dev/null" in line
    assert len(unpacked) == len(LIBRARIES)


def test_an_apt_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyring: Path
) -> None:
    machine = Machine(tmp_path / "bin", apt="exit 100")
    monkeypatch.setenv("PATH", f"{machine.folder}:/usr/bin:/bin")
    (tmp_path / "output").mkdir()
    with pytest.raises(FetchError, match=r"deb\.debian\.org can be reached"):
        fetch_libraries(tmp_path / "output/lib")
    assert not list((tmp_path / "output").iterdir())


def test_a_machine_without_apt_is_told_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="without apt-get: run this on Debian 13"):
        fetch_libraries(tmp_path / "lib")


def test_a_machine_without_debians_keys_is_told_the_package(
    machine: Machine, keyring: Path, tmp_path: Path
) -> None:
    keyring.unlink()
    with pytest.raises(FetchError, match="sudo apt-get install debian-archive-keyring"):
        fetch_libraries(tmp_path / "lib")


def test_another_processor_is_refused_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(FetchError, match="x86_64 alone and this machine is aarch64"):
        fetch_perf_analyzer.fetch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_there_and_runs_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path)
    monkeypatch.setattr(fetch_perf_analyzer, "fetch_bundle", lambda bundle, output: None)
    monkeypatch.setattr(fetch_perf_analyzer, "fetch_libraries", pytest.fail)
    fetch_perf_analyzer.fetch(tmp_path)


def test_a_program_that_fails_with_the_right_libraries_too_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path, FAILS)
    monkeypatch.setattr(fetch_perf_analyzer, "fetch_bundle", lambda bundle, output: None)
    monkeypatch.setattr(fetch_perf_analyzer, "fetch_libraries", lambda folder: None)
    with pytest.raises(FetchError, match="--version fails even with Debian 13's libraries"):
        fetch_perf_analyzer.fetch(tmp_path)


def write_wheel(folder: Path, tag: str, program: bytes) -> str:
    """A wheel of another platform; returns its requirement with the hash."""
    path = folder / f"loader-1.0-py3-none-{tag}.whl"
    about = "loader-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("loader/program", program)
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: loader\nVersion: 1.0")
        wheel.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nTag: py3-none-{tag}")
        wheel.writestr(f"{about}/RECORD", "")
    return f"loader==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_a_wheel_for_a_newer_machine_than_this_one_is_taken_apart_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "CONFIG_FILE": "/dev/null",
        "NO_INDEX": "1",
        "FIND_LINKS": tmp_path,
    }.items():
        monkeypatch.setenv(f"PIP_{name}", str(value))
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(write_wheel(tmp_path, "manylinux_2_99_x86_64", b"the program"))
    asset = Asset("loader", ("loader/program",), hashlib.sha256(b"the program").hexdigest())
    platform = ("--platform=manylinux_2_99_x86_64", "--python-version=3.12")
    fetch_bundle(Bundle(requirements, (asset,), platform), tmp_path / "output")
    assert (tmp_path / "output/loader").read_bytes() == b"the program"


def test_the_program_is_pinned() -> None:
    pinned = fetch_perf_analyzer.PERF_ANALYZER.requirements.read_text()
    assert re.search(r"^perf-analyzer==[\d.]+ --hash=sha256:[0-9a-f]{64}$", pinned, re.MULTILINE)
