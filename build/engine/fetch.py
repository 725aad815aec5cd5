"""Fetches files over HTTP: gone on with where it was cut, checked, and there whole or not at all.

A partial file stays beside its target for the next try. It knows no model.
"""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import IO

from build.engine.errors import StepFailedError
from build.engine.models import MIB, Download
from build.engine.stamps import sha256_of

TRIES = 5
"""Connections for one file, while each is cut or refused for a passing reason."""
TIMEOUT_S = 60
_BLOCK = MIB
_RESUMED, _OUT_OF_RANGE, _TOO_MANY = 206, 416, 429


class _CutError(Exception):
    """The connection ended early, or the server could not answer just now."""


def partial_of(target: Path) -> Path:
    """Where the bytes are until they are all there."""
    return target.with_name(f".{target.name}.partial")


def fetch(download: Download, folder: Path, pause: Callable[[float], None] = time.sleep) -> None:
    """Have `download` in `folder`; a file that is there and right costs its checksum.

    Raises:
        StepFailedError: it cannot be fetched, or is not the file that was expected.
    """
    target = folder / download.name
    if target.is_file():
        if sha256_of(target) == download.sha256:
            return
        print(f"{target} is damaged: fetching it again", file=sys.stderr)
        target.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    partial = partial_of(target)
    resumed = partial.exists()
    _fetch_all(download, partial, pause)
    if resumed and sha256_of(partial) != download.sha256:
        print(f"{partial} was not the beginning of {download.url}: from the start", file=sys.stderr)
        partial.unlink()
        _fetch_all(download, partial, pause)
    found = sha256_of(partial)
    if found != download.sha256:
        partial.unlink()
        raise StepFailedError(
            f"{download.url} is not the file that this version was made for: its sha256 is "
            f"{found}, expected {download.sha256}; nothing was kept"
        )
    partial.replace(target)


def _fetch_all(download: Download, partial: Path, pause: Callable[[float], None]) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            _fetch_rest(download, partial)
            return
        except _CutError as error:
            reason = str(error)
        if attempt < TRIES:
            print(f"{download.name}: {reason}; going on in {2**attempt} s", file=sys.stderr)
            pause(2**attempt)
    raise StepFailedError(
        f"{download.url} could not be fetched ({reason}); what has come is kept. Without a "
        f"network, put the file at {partial.with_name(download.name)} by hand"
    )


def _fetch_rest(download: Download, partial: Path) -> None:
    """Append what is missing of the file, or all of it where the server knows no ranges."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(download.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        _refused(error, download, partial, have)
        return
    except (OSError, HTTPException) as error:  # URLError is an OSError
        raise _CutError(_reason(error)) from error
    with response:
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if response.status == _RESUMED and goes_on else 0
        with partial.open("ab" if have else "wb") as file:
            _copy(response, file, have, _Progress(download.name))


def _refused(error: urllib.error.HTTPError, download: Download, partial: Path, have: int) -> None:
    with error:
        if error.code == _OUT_OF_RANGE and have:
            if sha256_of(partial) != download.sha256:  # it holds more than the file has
                partial.unlink()
                raise _CutError("the partial file does not fit") from error
        elif error.code >= 500 or error.code == _TOO_MANY:
            raise _CutError(f"HTTP {error.code} {error.reason}") from error
        else:
            raise StepFailedError(
                f"{download.url} could not be fetched: HTTP {error.code} {error.reason}"
            ) from error


def _copy(response: HTTPResponse, file: IO[bytes], have: int, progress: "_Progress") -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    while block := _read(response):
        file.write(block)
        have += len(block)
        progress.show(have, total)
    progress.end()
    if total is not None and have < total:
        raise _CutError(f"the connection ended after {have} of {total} bytes")


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(_BLOCK)
    except IncompleteRead as error:  # the next read says that there is no more
        return error.partial
    except (OSError, HTTPException) as error:
        raise _CutError(_reason(error)) from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


class _Progress:
    """A line that is rewritten on a terminal; elsewhere a line for every tenth."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = -1
        self._live = sys.stderr.isatty()

    def show(self, have: int, total: int | None) -> None:
        step = (100 if self._live else 10) * have // total if total else have // (64 * MIB)
        if step == self._shown:
            return
        self._shown = step
        of = f" of {total / MIB:.0f} MiB ({100 * have // total} %)" if total else " MiB"
        print(
            f"{self._name}: {have / MIB:.0f}{of}",
            end="\r" if self._live else "\n",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        if self._live:
            print(file=sys.stderr)
