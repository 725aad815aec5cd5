"""The production repository on this machine: the stand-in for TensorRT-LLM, all else as shipped."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from build import fetch_weights
from scripts.server import Models, Server, Settings
from tests.serving import serving_environment
from tests.stand_in.engine import make_engine

STAND_IN = Path(__file__).parents[1] / "stand_in" / "tensorrtllm"
PROFILE = "h100"


@dataclass(frozen=True)
class RequestLog:
    """What the engine was asked and answered, a line of JSON a request."""

    path: Path

    def lines(self) -> list[dict[str, Any]]:
        """All so far, oldest first."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def engine_log(tmp_path_factory: pytest.TempPathFactory) -> RequestLog:
    return RequestLog(tmp_path_factory.mktemp("engine") / "requests.jsonl")


@pytest.fixture(scope="session")
def engine_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of an engine of large-v3."""
    folder = tmp_path_factory.mktemp("engines") / "large-v3-h100"
    make_engine(folder, fetch_weights.model_folder(fetch_weights.DEFAULT_MODEL))
    return str(folder)


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, engine_dir: str, engine_log: RequestLog
) -> Iterator[Server]:
    """Triton with the production models, and the gateway, on free ports of 127.0.0.1.

    Fails at the end if a session has asked the engine for what it could not take.
    """
    folder = tmp_path_factory.mktemp("production")
    shutil.copytree(STAND_IN, folder / "backends" / "tensorrtllm")
    environment = {**serving_environment(), "STAND_IN_LOG": str(engine_log.path)}
    models = Models(config_name=PROFILE, backends=folder / "backends", engine=Path(engine_dir))
    with Server(
        Settings.from_environment(environment),
        environment=environment,
        logs=folder / "logs",
        models=models,
    ) as running:
        yield running
