"""docs/protocols.md says of files, schemas and the client what the code does."""

import re
from pathlib import Path

import pytest

from gateway import client
from gateway.client import ClientError, RefusedError
from gateway.rest.decoding import ACCEPTED
from gateway.rest.form import SILENCE_MS, STREAMED_FORMATS, TranscriptionForm
from gateway.rest.subtitles import LINE_COLUMNS, MAX_CUE_S
from gateway.rest.upload import SILENCE_S
from gateway.schemas.messages import SERVER_MESSAGES
from gateway.schemas.routes import documents

TEXT = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
FILES = TEXT.partition("## OpenAI: transcription of files")[2].partition("\n## ")[0]
ERRORS = [
    kind
    for name in client.__all__
    if isinstance(kind := getattr(client, name), type) and issubclass(kind, ClientError)
]
NEVER_RAISED = {"ClientError", "ClosedError"}
"""Roots of the tree; `AddressError` is a `ConnectError` of its own."""


@pytest.mark.parametrize("name", ["file", *TranscriptionForm.model_fields])
def test_every_field_of_the_form_stands_there(name: str) -> None:
    rows = [line for line in FILES.splitlines() if re.match(rf"\| .*`{name}(\[\])?`", line)]
    assert rows


def test_every_kind_of_file_stands_there() -> None:
    assert {*re.findall(r"[A-Z][A-Za-z0-9]+", ACCEPTED)} <= {*re.findall(r"[A-Za-z0-9]+", FILES)}


def test_numbers_are_those_of_the_code() -> None:
    assert f"{SILENCE_MS} ms of silence" in FILES
    assert f"two lines of {LINE_COLUMNS} characters and {MAX_CUE_S:g} s" in FILES
    assert f"for {SILENCE_S:g} s" in FILES
    assert all(f"`{name}`" in FILES for name in STREAMED_FORMATS)


@pytest.mark.parametrize("name", documents(["/websocket"]))
def test_every_document_is_listed(name: str) -> None:
    by_itself = f"`/schema/{name}.json`" in TEXT
    assert by_itself or name in SERVER_MESSAGES or name.endswith("_request")


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_stands_there_with_its_hint(kind: type[ClientError]) -> None:
    if kind.__name__ in NEVER_RAISED or kind is client.AddressError:
        return
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{kind.__name__}` |")]
    hint = row.strip("| ").split("|")[-1].strip()
    if issubclass(kind, RefusedError):
        return
    assert hint.partition(":")[0] == (
        "none" if kind.retry_after_s is None else f"{kind.retry_after_s:g}"
    )
