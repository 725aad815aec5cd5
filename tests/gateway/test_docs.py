"""docs/protocol.md and the settings in docs/architecture.md say what the code does."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.audio import AudioFormat
from gateway.closing import CloseCode
from gateway.legacy import LEGACY_GROUPS
from gateway.protocol import OPTION_OF, Metadata
from gateway.refusal import RefusalType
from gateway.server import WEBSOCKET_PATHS
from gateway.settings import Settings
from pipeline.options import StreamOptions

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "protocol.md").read_text()
DEFAULTS: dict[str, Any] = {
    **{path: StreamOptions.model_fields[option].default for path, option in OPTION_OF.items()},
    "streaming_params.encoding": AudioFormat().encoding,
    "streaming_params.sample_rate": AudioFormat().sample_rate,
    "streaming_diarization_config": {},
    "include_timing_info": False,
}


def row_of(field: str) -> list[str]:
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{field}` |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("field", DEFAULTS)
def test_every_field_stands_there_with_its_default(field: str) -> None:
    assert row_of(field)[2] == f"`{json.dumps(DEFAULTS[field])}`"


def test_every_group_is_covered() -> None:
    assert {field.split(".")[0] for field in DEFAULTS} == set(Metadata.model_fields)


def test_every_older_spelling_path_and_close_code_stands_there() -> None:
    for group, keys in LEGACY_GROUPS.items():
        assert all(f"`{group}.{key}`" in TEXT or f"`.{key}`" in TEXT for key in keys)
    for path in WEBSOCKET_PATHS:
        assert path in TEXT
    assert all(f"| {code} |" in TEXT for code in map(int, CloseCode))


@pytest.mark.parametrize("kind", RefusalType)
def test_every_refusal_stands_there_with_its_status(kind: RefusalType) -> None:
    assert f"\n| {kind.status} | `{kind.wire_name}` |" in TEXT


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_listed(field: dataclasses.Field[object]) -> None:
    variable = f"GATEWAY_{field.name.upper()}"
    listed = [
        line
        for line in (DOCS / "architecture.md").read_text().splitlines()
        if line.startswith("| `GATEWAY_") and f"`{variable}`" in line
    ]
    assert len(listed) == 1
