"""A real Prometheus on this machine, which reads what the deployed one would, more often."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scripts.preflight import free_port

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "build/monitoring"
START_TIMEOUT_S = 30


def program(name: str) -> str:
    """`prometheus` or `promtool`; see build/install_prometheus.sh."""
    unpacked = ROOT / "build/output/prometheus" / name
    found = str(unpacked) if unpacked.exists() else shutil.which(name)
    assert found, "there is no Prometheus: build/install_prometheus.sh"
    return found


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def query(self, query: str) -> list[dict[str, Any]]:
        """The series that a query gives now."""
        found = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        return list(found["result"])

    def alerts(self) -> dict[str, dict[str, Any]]:
        """What it makes of each alert, by name."""
        groups = self._get("/api/v1/rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def targets(self) -> dict[str, str]:
        """The health of what it reads, by job."""
        active = self._get("/api/v1/targets")["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in active}

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=5) as response:
            return json.load(response)["data"]


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str], interval_s: int) -> Iterator[Prometheus]:
    """Prometheus with our configuration, its alerts included; only where it reads, and how often,
    is the test's.

    Args:
        folder: for its data.
        targets: HOST:PORT by job.
        interval_s: between two readings.
    """
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    every = f"{interval_s}s"
    config["global"] = {"scrape_interval": every, "evaluation_interval": every}
    config["rule_files"] = [str(MONITORING / name) for name in config["rule_files"]]
    config["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": [targets[job["job_name"]]]}]}
        for job in config["scrape_configs"]
        if job["job_name"] in targets
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=log,
        )
    running = Prometheus(port)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not running.is_ready():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield running
    finally:
        process.terminate()
        process.wait(10)
