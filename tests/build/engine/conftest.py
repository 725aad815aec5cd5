"""Fixtures of the engine build's tests: a workshop whose tools are scripts, files to fetch."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from build.engine.models import LARGE_V3, LARGE_V3_TURBO, Download, WhisperModel
from tests.build.engine.support import (
    FakeMachine,
    FileServer,
    Workshop,
    make_workshop,
    served_files,
    small_assets,
)


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


@pytest.fixture(scope="session")
def files() -> Iterator[FileServer]:
    """A server with small files in the place of OpenAI's."""
    with FileServer(small_assets(LARGE_V3) | small_assets(LARGE_V3_TURBO)).running() as server:
        yield server


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: FileServer) -> Workshop:
    """A place to build in, with the small files in the place of the large ones."""
    made, environment = make_workshop(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    served = served_files(files)

    def downloads(model: WhisperModel) -> tuple[Download, ...]:
        return tuple(served[name] for name in small_assets(model))

    monkeypatch.setattr("build.engine.plan.downloads", downloads)
    return made
