"""Debian's Chromium without a window, and the page in it as its reader uses it.

Selenium drives it through Debian's own chromedriver, which is always of the browser's version. The
microphone is a recording. Knows no gateway; a page is opened by its URL.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

PATIENCE_S = 20
POLL_S = 0.05
DESKTOP = (1280, 800)
PHONE = (320, 640)
FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--use-fake-device-for-media-stream",
)
SETTLED = ".utterance p"

Found = TypeVar("Found")


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(
            f"{name} is not installed, and the tests of the page need it: "
            f"sudo apt-get install {package}",
            pytrace=False,
        )
    return path


@contextmanager
def chromium(microphone: Path, folder: Path) -> Iterator[Chrome]:
    """A running browser that hears the recording each time a page opens the microphone, and saves
    what it downloads in the folder's `downloads`."""
    options = ChromeOptions()
    options.binary_location = _program("chromium", "chromium")
    flags = [
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium's sandbox does not let root in
    for flag in flags:
        options.add_argument(flag)
    downloads = {"download.default_directory": str(folder / "downloads")}
    options.add_experimental_option("prefs", downloads)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(_program("chromedriver", "chromium-driver")))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The page, opened as if for the first time."""

    def __init__(self, driver: Chrome, url: str, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads
        self.noise: tuple[str, ...] = ()
        """What the console may say, since the test is about it."""
        self.resize(*DESKTOP)
        self.prefer()
        self.permit_microphone()
        self.open(url)
        driver.execute_script("localStorage.clear(); sessionStorage.clear()")
        driver.refresh()

    def open(self, url: str) -> None:
        self.driver.get(url)

    def prefer(self, scheme: str = "light", motion: str = "no-preference") -> None:
        """What the system tells pages of its user's taste."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self._devtools("Emulation.setEmulatedMedia", features=features)

    def permit_microphone(self, setting: str = "granted") -> None:
        """What the reader answers when the browser asks: `granted` or `denied`."""
        self._devtools("Browser.setPermission", permission={"name": "microphone"}, setting=setting)

    def resize(self, width: int, height: int) -> None:
        """A screen of so many CSS pixels; a narrow one is a phone's."""
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    # What the reader sees.

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """The visible text in one element."""
        return self.find(selector).text

    def button(self, name: str) -> WebElement:
        """The visible button of this name."""
        named = [found for found in self.find_all("button") if found.accessible_name == name]
        (button,) = [found for found in named if found.is_displayed()]
        return button

    @property
    def status(self) -> str:
        return self.text("#status")

    @property
    def settled(self) -> list[str]:
        """The finals, from the oldest on."""
        texts: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", SETTLED
        )
        return texts

    def style(self, selector: str, name: str) -> str:
        """A computed style."""
        return self.find(selector).value_of_css_property(name)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function's body returns in the page."""
        return self.driver.execute_script(script, *arguments)

    @property
    def console(self) -> list[str]:
        """What the console has said since it was last asked, less the `noise`."""
        messages = [entry["message"] for entry in self._log()]
        return [said for said in messages if not any(noise in said for noise in self.noise)]

    def until(self, look: Callable[[], Found], limit_s: float = PATIENCE_S) -> Found:
        """What `look` finds, when it finds something."""
        deadline = time.monotonic() + limit_s
        while not (found := look()):
            if time.monotonic() > deadline:
                problem, status = self.text("#problem"), self.status
                pytest.fail(f"in vain for {limit_s} s; status {status!r}, problem {problem!r}")
            time.sleep(POLL_S)
        return found

    # What the reader does.

    def start(self) -> None:
        self.find("#start").click()

    def choose_setting(self, name: str, value: str | bool) -> None:
        """Change one setting in the sheet, and close it. An option is chosen by its name."""
        self.button("Settings").click()
        field = self.find(f"[name={name}]")
        if isinstance(value, str):
            field.send_keys(value)
        elif field.is_selected() != value:
            field.click()
        self.button("Close the settings").click()

    def choose(self, path: Path) -> None:
        """Choose a file, as in the dialog that `Open a file` opens."""
        self.find("#file").send_keys(str(path))

    def drop(self, path: Path) -> None:
        """Drag a file from outside and let it go over the transcript."""
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self._devtools("Input.dispatchDragEvent", type=kind, x=640, y=300, data=data)

    def transcribe(self, path: Path) -> list[str]:
        """Choose a file and wait until it is done; the finals."""
        self.choose(path)
        self.until(lambda: self.status == "Done")
        return self.settled

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def point_at(self, element: WebElement) -> None:
        ActionChains(self.driver).move_to_element(element).perform()

    def saved(self, name: str) -> str:
        """The text of a file that the browser has saved."""
        path = self.downloads / name
        self.until(path.exists)
        text = path.read_text(encoding="utf-8")
        path.unlink()
        return text

    def _log(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.execute("getLog", {"type": "browser"})["value"]
        return entries

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)
