"""What must hold before a server can start, each failure one line that says what to do.

    python scripts/preflight.py     # the Python installation only; the Makefile asks this first

Imports the standard library alone, so that it runs before anything is installed. It starts
nothing and changes nothing.
"""

import ctypes
import errno
import socket
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PYTHON_VERSIONS = ((3, 11), (3, 12))
"""Triton's Python stub fails with numpy 2, and numpy 1 has no wheels for later versions."""
MAX_PORT = 65_535


class PreflightError(Exception):
    """The machine lacks something; the message is one line."""


@dataclass(frozen=True)
class Port:
    """An address that is about to be listened on: who wants it, and what setting moves it."""

    host: str
    port: int
    wanted_by: str
    setting: str


def check_python_version(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Raises PreflightError unless this is a Python that Triton's stub and numpy 1 run on."""
    if version not in PYTHON_VERSIONS:
        accepted = " or ".join(f"{major}.{minor}" for major, minor in PYTHON_VERSIONS)
        raise PreflightError(
            f"Python {accepted} is needed and this is {version[0]}.{version[1]}: "
            "install one and run make with PYTHON=/path/to/it"
        )


def python_library() -> str:
    """File name of the shared library that Triton's Python stub is linked against."""
    return f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"


def python_library_folder() -> Path | None:
    """Where this Python keeps its own shared library; None: not where it was configured to be."""
    folder = Path(sysconfig.get_config_var("LIBDIR") or "")
    return folder if (folder / python_library()).is_file() else None


def check_python_library() -> None:
    """Raises PreflightError when Triton's Python stub would not find its libpython."""
    if python_library_folder() is None and not _is_loadable(python_library()):
        package = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
        raise PreflightError(
            f"{python_library()} is missing, which Triton's Python stages are linked against: "
            f"sudo apt-get install {package}"
        )


def check_ports(ports: Iterable[Port]) -> None:
    """Raises PreflightError for the first address that cannot be listened on."""
    for port in ports:
        try:
            _bind(port.host, port.port)
        except OSError as error:
            raise PreflightError(_port_failure(port, error)) from error


def port_setting(environment: Mapping[str, str], name: str, default: int) -> int:
    """The port that a variable names. Raises PreflightError when it is none."""
    text = environment.get(name, str(default))
    if not (text.isdecimal() and 0 < int(text) <= MAX_PORT):
        raise PreflightError(
            f"{name}={text!r} cannot be used: accepted is an integer from 1 to {MAX_PORT}"
        )
    return int(text)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _bind(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: connections that ended a moment ago do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        # Linux lets two sockets with SO_REUSEADDR bind as long as neither listens.
        probe.listen(1)


def _port_failure(port: Port, error: OSError) -> str:
    reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
    return (
        f"port {port.port} on {port.host} {reason}, but {port.wanted_by} needs it: "
        f"end what listens there, or choose another with {port.setting}"
    )


def main() -> int:
    """Check this Python installation; returns the exit status."""
    try:
        check_python_version()
        check_python_library()
    except PreflightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
