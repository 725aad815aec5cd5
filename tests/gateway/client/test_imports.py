"""The client is light: whoever uses it needs nothing of the server."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SERVER_ONLY = ("aiohttp", "av", "grpc", "numpy", "soxr", "tritonclient", "pipeline")


def test_it_imports_nothing_of_the_server() -> None:
    program = "import sys, gateway.client; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert loaded.isdisjoint(SERVER_ONLY)
    assert {name for name in ran.stdout.split() if name.startswith("gateway.")} <= {
        "gateway.wire",
        "gateway.client",
        *(f"gateway.client.{part.stem}" for part in (ROOT / "gateway/client").glob("*.py")),
    }
