"""The image holds what the server needs, and the compose file starts that image."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "build" / "embedded.Dockerfile"


def copied() -> list[str]:
    """Sources of the Dockerfile's COPY lines, relative to the repository."""
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    return [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]


def test_all_that_the_image_copies_exists() -> None:
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_the_image_holds_all_that_the_server_runs() -> None:
    needed = {"pipeline", "gateway", "scripts", "model_repository", "tests/data/jfk.wav"}
    recipes = {f"build/{path.name}" for path in (ROOT / "build").glob("requirements-*.txt")}
    assert needed | recipes | {"build/fetch_weights.py"} <= set(copied())


def test_the_image_installs_only_what_is_pinned_by_hash_and_does_not_run_as_root() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert "--require-hashes" in text
    assert "\nUSER server\n" in text


def test_compose_builds_that_image_and_opens_it_to_this_machine_only() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    server = services["server"]
    assert ROOT / server["build"]["dockerfile"] == DOCKERFILE
    assert server["ports"] == ["127.0.0.1:8000:8000"]
