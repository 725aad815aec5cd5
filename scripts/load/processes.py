"""What the server's processes and the load generator itself take of this machine.

The server is found by its process id, or by who listens on its port: that process, those it has
started, and those it is connected to on this machine, and so on. A server elsewhere, or one whose
processes cannot be looked into, is not measured.
"""

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

GENERATOR = "load generator"
_STAGE = re.compile(r"/([^/]+)/\d+/model\.py$")
"""In the command line of a Python stage of Triton: the model's name."""


@dataclass(frozen=True)
class Usage:
    """Of one kind of process."""

    cpu_s: float = 0.0
    memory_bytes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu_s + other.cpu_s, self.memory_bytes + other.memory_bytes)


@dataclass(frozen=True)
class Sample:
    """Everything at one moment."""

    server: dict[str, Usage] = field(default_factory=dict)
    generator: Usage = field(default_factory=Usage)
    machine_busy_s: float = 0.0
    """CPU time of all processes since the machine started."""


class Watched(NamedTuple):
    """A process, and what it is to the reader of a report."""

    kind: str
    process: psutil.Process


def server_processes(url: str, server_pid: int | None = None) -> list[Watched]:
    """The processes of the server; none when it is not on this machine."""
    if server_pid is not None:
        found = _tree(server_pid)
    elif is_here(urlsplit(url).hostname or ""):
        found = _connected(_listeners(), urlsplit(url).port or 80)
    else:
        return []
    return [watched for process in found for watched in _watched(process)]


def sample(server: Iterable[Watched]) -> Sample:
    """CPU time so far and memory now, by kind of process, of those that still run."""
    kinds: dict[str, Usage] = {}
    for name, process in server:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            kinds[name] = kinds.get(name, Usage()) + _usage(process)
    times = psutil.cpu_times()
    busy_s = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
    return Sample(kinds, _usage(psutil.Process()), busy_s)


def kind(name: str, command: list[str]) -> str:
    """The stage of a Python stage of Triton, `gateway`, a script's name, or the program's."""
    for argument in command:
        if stage := _STAGE.search(argument):
            return stage[1]
    if "gateway" in command:
        return "gateway"
    script = next((part for part in command[1:] if part.endswith(".py")), None)
    return Path(script).name if script else name


def _watched(process: psutil.Process) -> Iterator[Watched]:
    """Not the load generator itself, which may have started the server."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        if process.pid != os.getpid():
            yield Watched(kind(process.name(), process.cmdline()), process)


def is_here(host: str) -> bool:
    """Whether a host's name or address is this machine's loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _usage(process: psutil.Process) -> Usage:
    times = process.cpu_times()
    return Usage(times.user + times.system, process.memory_info().rss)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _listeners() -> dict[int, int]:
    """Process ids by the TCP ports that they listen on."""
    return {
        connection.laddr.port: connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.status == psutil.CONN_LISTEN and connection.pid
    }


def _connected(listeners: dict[int, int], port: int) -> list[psutil.Process]:
    """The tree of the process on a port, and of those it talks to."""
    found: dict[int, psutil.Process] = {}
    ports = [port]
    while ports:
        pid = listeners.get(ports.pop())
        for process in _tree(pid) if pid and pid not in found else []:
            found[process.pid] = process
            ports += _local_peers(process)
    return list(found.values())


def _local_peers(process: psutil.Process) -> list[int]:
    """Ports on this machine that a process has connected to, or that have connected to it."""
    try:
        connections = process.net_connections("tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
    return [
        connection.raddr.port
        for connection in connections
        if connection.raddr and is_here(connection.raddr.ip)
    ]
