"""What the tests of the engine build share: a machine, a file server, scripts for the tools."""

import hashlib
import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from build.engine.image import Image
from build.engine.machine import Gpu
from build.engine.models import LARGE_V3, VOCABULARY, Download, WhisperModel
from build.engine.tokenizer import special_tokens, write_ranks

ROOT = Path(__file__).parents[3]
TOOLS = Path(__file__).parent / "tools"
TEMPLATE = Path(__file__).parent / "template.pbtxt"
H100 = Gpu("NVIDIA H100 80GB HBM3", 81559, "9.0")
SLICE = Gpu("NVIDIA H100 80GB HBM3", 40448, "9.0", "3g.40gb")

RANKS = [*(bytes([value]) for value in range(256)), b"th", b"the", b" the", b""]
"""A vocabulary that is quick to convert."""
WEIGHTS = json.dumps({"n_mels": 128, "n_vocab": len(RANKS) + len(special_tokens(100))}).encode()
"""All that the script in the place of convert_checkpoint.py wants to know of a model."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class FakeMachine:
    """A machine with the pinned packages, one GPU and a large disk."""

    visible: list[Gpu] = field(default_factory=lambda: [H100])
    packages: dict[str, str] = field(
        default_factory=lambda: {"tensorrt_llm": "1.2.1", "tensorrt": "10.14.1.48"}
    )
    environment: dict[str, str] = field(default_factory=dict)
    free: int = 1 << 40

    def gpus(self) -> list[Gpu]:
        return self.visible

    def version(self, package: str) -> str | None:
        return self.packages.get(package)

    def setting(self, name: str) -> str | None:
        return self.environment.get(name)

    def free_bytes(self, folder: Path) -> int:
        return self.free


class FileServer:
    """Serves bytes over HTTP on 127.0.0.1, as well or as badly as it is told to."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.ranges: list[str | None] = []
        """The Range header of each request."""
        self.cut_after: list[int] = []
        """Bytes of the next answers' bodies after which the connection ends."""
        self.refuse: list[int] = []
        """Status codes of the next answers."""
        self.knows_ranges = True
        self.address = ""

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

    @contextmanager
    def running(self) -> Iterator["FileServer"]:
        handler = type("Handler", (_Handler,), {"files": self})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            self.address = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    files: FileServer

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.files.ranges.append(wanted)
        if self.files.refuse:
            self.send_error(self.files.refuse.pop(0))
            return
        data = self.files.files[self.path.lstrip("/")]
        start = 0
        if wanted and self.files.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        cut = self.files.cut_after.pop(0) if self.files.cut_after else len(data)
        self.wfile.write(data[start : start + cut])


@dataclass(frozen=True)
class Workshop:
    """A place to build in: folders, the scripts in the place of the image's tools, their log."""

    folder: Path
    image: Image

    @property
    def engines(self) -> Path:
        return self.folder / "engines"

    @property
    def engine(self) -> Path:
        return self.engines / "large-v3-h100"

    @property
    def work(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def assets(self) -> Path:
        return self.folder / "assets"

    def arguments(self, *more: str, profile: str = "h100", model: str = "large-v3") -> list[str]:
        """A command line that builds here."""
        what = ["build", "--profile", profile, "--model", model]
        where = ["--output", self.engines, "--assets", self.assets, "--work", self.work]
        return [*what, *map(str, where), *more]

    def calls(self) -> list[str]:
        """The tools that were run since the last time this was asked, in order."""
        log = self.folder / "calls.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


def make_workshop(folder: Path) -> tuple[Workshop, dict[str, str]]:
    """A workshop in a folder, and the environment in which its tools are found."""
    bin_ = folder / "bin"
    bin_.mkdir(parents=True)
    for name, script in {"python3": "", "trtllm-build": str(TOOLS / "trtllm_build.py")}.items():
        program = bin_ / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {script} "$@"\n')
        program.chmod(0o755)
    environment = {
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{TOOLS}{os.pathsep}{ROOT}",
        "FAKE_CALLS": str(folder / "calls.log"),
    }
    image = Image(examples=(folder / "nowhere", TOOLS), templates=(TEMPLATE,))
    return Workshop(folder, image), environment


def served_files(server: FileServer) -> dict[str, Download]:
    """Downloads of what the server has, with the right checksums."""
    return {
        name: Download(name, server.url(name), sha256(data)) for name, data in server.files.items()
    }


def small_assets(model: WhisperModel = LARGE_V3) -> dict[str, bytes]:
    """Files in the place of OpenAI's."""
    return {
        VOCABULARY.name: write_ranks(RANKS),
        "mel_filters.npz": b"filters",
        model.weights.name: WEIGHTS,
    }
