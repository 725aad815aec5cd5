"""One browser for all tests of the page, whose microphone hears the bundled recording; the page of
the real server; and gateways of a test's own in front of the same Triton.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from selenium.webdriver import Chrome

from pipeline.audio import SAMPLE_RATE
from scripts.preflight import free_port
from scripts.server import Server
from tests.end_to_end.page.browser import Page, chromium
from tests.end_to_end.recordings import JFK, samples
from tests.serving import SETTINGS

SILENCE_S = 3
"""Behind the recording: Chromium's fake microphone goes on with its last sample for ever."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The browser's own."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="session")
def browser(folder: Path) -> Iterator[Chrome]:
    microphone = folder / "microphone.wav"
    silence = np.zeros(SILENCE_S * SAMPLE_RATE, np.int16)
    soundfile.write(microphone, np.concatenate((samples(JFK), silence)), SAMPLE_RATE)
    with chromium(microphone, folder) as driver:
        yield driver


OpenPage = Callable[[str], Page]


@pytest.fixture
def open_page(browser: Chrome, folder: Path) -> Iterator[OpenPage]:
    """Opens the page of the gateway at an address. Its console may say nothing but `noise`."""
    opened: list[Page] = []

    def _open(address: str) -> Page:
        opened.append(Page(browser, f"http://{address}/", folder / "downloads"))
        return opened[-1]

    yield _open
    consoles = [page.console for page in opened]
    browser.get("about:blank")
    assert not any(consoles), consoles


@pytest.fixture
def page(server: Server, open_page: OpenPage) -> Page:
    """The page of the real server."""
    return open_page(server.settings.address)


class Gateway:
    """A gateway that a test starts and ends as it likes, on a port that stays the same."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        inherited = {
            name: text for name, text in os.environ.items() if not name.startswith(SETTINGS)
        }
        self._environment = {**inherited, "GATEWAY_PORT": str(self._port), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway"],
            env=self._environment,
            stderr=subprocess.PIPE,
        )
        said = self._process.stderr
        assert said is not None
        while b"listening" not in (line := said.readline()):
            assert line, "the gateway has ended"

    def stop(self) -> None:
        """As an operator does; it says farewell to its clients."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def kill(self) -> None:
        """As a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self._process = None


MakeGateway = Callable[..., AbstractContextManager[Gateway]]


@pytest.fixture
def gateway(server: Server) -> MakeGateway:
    """Starts a gateway in front of the server's Triton, with settings such as `max_streams="1"`."""

    @contextmanager
    def _gateway(**settings: str) -> Iterator[Gateway]:
        defaults = {"triton": server.settings.gateway.triton}
        chosen = defaults | settings
        made = Gateway({f"GATEWAY_{name.upper()}": value for name, value in chosen.items()})
        made.start()
        try:
            yield made
        finally:
            made.stop()

    return _gateway
