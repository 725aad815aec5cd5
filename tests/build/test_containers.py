"""The images hold what their programs import, from pinned places, and run as nobody in particular.

`docker-compose.yml` is `test_compose.py`'s.
"""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from build import fetch_weights
from build.engine.image import PINNED
from scripts import serve_engine
from tests.build.dockerfile import ROOT, Stage, stages
from tests.build.imports import locked, needed

DOCKERFILES = sorted((ROOT / "build").glob("*.Dockerfile"))
SLIM = "python:3.12-slim-bookworm"


class Image(NamedTuple):
    """A final stage, the modules that run in it, and where their packages come from."""

    stage: Stage
    roots: tuple[str, ...]
    locks: tuple[str, ...]
    provided: frozenset[str] = frozenset()
    """By the base image."""


def stage_of(dockerfile: str, name: str = "") -> Stage:
    found = stages(ROOT / f"build/{dockerfile}.Dockerfile")
    return next(stage for stage in found if stage.name == name)


GATEWAY = stage_of("gateway", "gateway")
SELF_CHECK = stage_of("gateway", "self-check")
EMBEDDED, TRITON, ENGINE = (stage_of(name) for name in ("embedded", "triton", "engine"))
IMAGES = {
    "gateway": Image(GATEWAY, ("gateway.__main__",), ("gateway",)),
    "self-check": Image(SELF_CHECK, ("scripts.self_check",), ("gateway", "self-check")),
    "embedded": Image(
        EMBEDDED, ("scripts.serve_embedded", "pipeline.triton", "build.fetch_weights"), ("runtime",)
    ),
    "triton": Image(
        TRITON, ("scripts.serve_engine", "pipeline.triton"), ("stages",), frozenset({"numpy"})
    ),
    "engine": Image(ENGINE, ("build.engine.__main__",), ("engine",)),
}
each_image = pytest.mark.parametrize("name", IMAGES)


def copies(name: str) -> list[tuple[str, Path]]:
    """What an image holds of the repository; the self-check stands on the gateway."""
    own = IMAGES[name].stage.copies
    return [*GATEWAY.copies, *own] if name == "self-check" else own


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_hadolint_finds_nothing(path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


@each_image
def test_all_that_an_image_copies_exists_and_keeps_its_place(name: str) -> None:
    assert [(source, place) for source, place in copies(name) if Path(source) != place] == []
    assert [source for source, _ in copies(name) if not (ROOT / source).exists()] == []


@each_image
def test_an_image_holds_every_file_that_its_programs_import(name: str) -> None:
    held = {Path(source) for source, _ in copies(name)}
    files, _ = needed(IMAGES[name].roots)
    missing = [file for file in files if not held & {Path(file), *Path(file).parents}]
    assert missing == []  # COPY them in the Dockerfile


@each_image
def test_an_image_installs_every_package_that_its_programs_import(name: str) -> None:
    _, packages = needed(IMAGES[name].roots)
    there = set(locked(*IMAGES[name].locks)) | IMAGES[name].provided
    assert packages - there == set()  # add them to the group in pyproject.toml, then `make lock`


def test_the_gateway_knows_no_more_of_the_pipeline_than_it_imports() -> None:
    held = {source for source, _ in copies("gateway") if source.startswith("pipeline/")}
    files, _ = needed(IMAGES["gateway"].roots)
    assert held == {file for file in files if file.startswith("pipeline/")}


def test_bases_are_pinned_and_engines_are_served_where_they_were_built() -> None:
    bases = {stage.base for path in DOCKERFILES for stage in stages(path)}
    assert bases == {SLIM, PINNED.name, GATEWAY.name}
    assert {TRITON.base, ENGINE.base} == {PINNED.name}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_every_package_is_pinned_by_hash_and_brings_no_other(path: Path) -> None:
    installs = [
        command for stage in stages(path) for command in stage.all("RUN") if " pip " in command
    ]
    assert installs
    for command in installs:
        assert {"--require-hashes", "--no-deps", "--requirement"} <= set(command.split())


@pytest.mark.parametrize("lock", ["stages", "engine"])
def test_what_nvidias_image_has_does_not_come_in_again(lock: str) -> None:
    own = ("numpy", "torch", "triton", "tensorrt", "nvidia", "cuda")
    brought = set(locked(lock)) - {"tritonclient"}  # of the watch over Triton, in our path alone
    assert [package for package in brought if package.startswith(own)] == []


@pytest.mark.parametrize("lock", ["gateway", "self-check", "stages"])
def test_images_have_the_versions_that_the_tests_run(lock: str) -> None:
    tested = locked("dev")
    assert {
        name: version for name, version in locked(lock).items() if tested[name] != version
    } == {}


def test_the_self_check_changes_nothing_of_the_gateways_packages() -> None:
    assert locked("gateway").items() <= locked("self-check").items()


def test_what_the_stages_import_is_nowhere_but_in_their_own_path() -> None:
    assert TRITON.copies_from("fetched")["/server/packages"] == "packages"
    assert TRITON.environment["PYTHONPATH"] == "/server:/server/packages"
    assert not TRITON.all("ENTRYPOINT")  # NVIDIA's own
    assert ENGINE.environment["PYTHONPATH"] == "/server"
    (path_file,) = [command for command in ENGINE.all("RUN") if command.startswith("echo")]
    assert path_file.startswith(f"echo {ENGINE.copies_from('fetched')['/server/packages']} ")


def test_the_weights_are_where_the_starter_looks_for_them() -> None:
    root = str(serve_engine.ROOT)
    wanted = {
        value.removeprefix(f"{root}/")
        for value in serve_engine.DEFAULTS.values()
        if value.startswith(root)
    }
    silero = f"build/output/{fetch_weights.SILERO_VAD_FILE}"
    assert wanted == {silero, f"build/output/whisper/{fetch_weights.DEFAULT_MODEL}"}
    fetched = TRITON.copies_from("fetched")
    assert fetched[f"/server/{silero}"] == "build/output/"
    assert fetched["/server/build/output/whisper"] == "build/output/whisper"


@each_image
def test_nothing_runs_as_root(name: str) -> None:
    user, _, group = IMAGES[name].stage.all("USER")[-1].partition(":")
    assert int(user) > 0
    assert int(group) > 0


@each_image
def test_what_serves_says_whether_it_is_ready_and_what_ends_says_nothing(name: str) -> None:
    (check,) = IMAGES[name].stage.all("HEALTHCHECK")
    triton = "http://127.0.0.1:8000/v2/health/ready"
    asked = {"gateway": '"gateway.probe"', "embedded": triton, "triton": triton}
    assert asked[name] in check if name in asked else check == "NONE"


def test_each_image_runs_its_program() -> None:
    assert GATEWAY.command("CMD") == ["python", "-m", "gateway"]
    assert SELF_CHECK.command("CMD") == ["python", "scripts/self_check.py"]
    assert EMBEDDED.command("CMD") == ["python", "scripts/serve_embedded.py"]
    assert TRITON.command("CMD") == ["python3", "scripts/serve_engine.py"]
    assert ENGINE.command("ENTRYPOINT")[1:] == ["python3", "-m", "build.engine", "build"]


def test_servers_listen_where_other_containers_reach_them() -> None:
    assert GATEWAY.environment["GATEWAY_HOST"] == "0.0.0.0"
    assert {EMBEDDED.environment["TRITON_HOST"], TRITON.environment["TRITON_HOST"]} == {"0.0.0.0"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_no_image_knows_a_secret(path: Path) -> None:
    settings = [
        rest for stage in stages(path) for word in ("ENV", "ARG") for rest in stage.all(word)
    ]
    assert not [text for text in settings if any(w in text for w in ("KEY", "TOKEN", "SECRET"))]
    assert {".git", ".env", "gateway.env"} <= set((ROOT / ".dockerignore").read_text().split())
