"""The manifest of a compiled engine: what is read is what was written, or one line says why not."""

import json
from pathlib import Path

import pytest

from pipeline.engine_manifest import MANIFEST_FILE, ManifestError, read_manifest
from tests.pipeline.support import MODEL_DIR
from tests.stand_in.engine import make_engine


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = make_engine(tmp_path / "engine", Path(MODEL_DIR))
    assert read_manifest(tmp_path / "engine") == written


def test_a_folder_without_a_manifest_is_no_engine(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json cannot be read: No such file"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"manifest_version": 2}, "manifest_version"),
        ({"n_mels": 0}, "n_mels"),
        ({"precision": "fp8"}, "precision"),
        ({"limits": {}}, "limits"),
        ({"unheard_of": 1}, "unheard_of"),
        (None, "it"),
    ],
)
def test_a_manifest_of_another_kind_is_refused_in_one_line(
    change: dict[str, object] | None, problem: str, tmp_path: Path
) -> None:
    make_engine(tmp_path / "engine", Path(MODEL_DIR))
    path = tmp_path / "engine" / MANIFEST_FILE
    content = json.loads(path.read_text())
    path.write_text("{" if change is None else json.dumps(content | change))
    with pytest.raises(ManifestError, match=problem) as raised:
        read_manifest(tmp_path / "engine")
    assert "\n" not in str(raised.value)
