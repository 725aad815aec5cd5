"""Fixtures for all tests: one real server for the session, which starts when first asked for."""

import gc
from collections.abc import Generator, Iterator

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Collect garbage before a failure is reported, and not while it is.

    Its report parses the test's source. Should that collect garbage whose finalizer
    prints a traceback, which parses source too, Python 3.11 raises "AST constructor recursion depth
    mismatch" (CPython's issue 106905), and pytest ends without telling what had failed.
    """
    if call.excinfo is None:
        return (yield)
    gc.collect()
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
