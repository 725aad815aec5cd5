"""Fixtures for all tests: one real server for the session, which starts when first asked for."""

from collections.abc import Iterator

import pytest

from scripts.server import Server, Settings
from tests.serving import serving_environment


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Triton and the gateway with default settings on free ports of 127.0.0.1."""
    environment = serving_environment()
    logs = tmp_path_factory.mktemp("logs")
    settings = Settings.from_environment(environment)
    with Server(settings, environment=environment, logs=logs) as running:
        yield running
