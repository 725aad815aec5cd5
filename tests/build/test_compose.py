"""What `docker compose` makes of our files, by Docker's own program: who starts, when, with what.

The images are `test_containers.py`'s.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings, SettingsError, unknown_variables
from scripts import serve_engine

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
LATENCY = ("-f", "docker-compose.yml", "-f", "build/compose.latency.yml")
BALANCED = ("-f", "docker-compose.yml", "-f", "build/compose.balanced.yml")
EVERY_PROFILE = ("--profile", "gpu", "--profile", "cpu", "--profile", "build")
GPU_SERVICES = {"engine-check", "triton", "build-engine"}
ONE_SHOT = {"engine-check", "self-check", "build-engine"}
GIVEN_BY_THE_IMAGE = {
    "GATEWAY_HOST",
    "GATEWAY_PORT",
    "GATEWAY_METRICS_HOST",
    "GATEWAY_METRICS_PORT",
}
GIVEN_BY_COMPOSE = {"GATEWAY_TRITON", "GATEWAY_PUBLISHED_HOST"}

Service = dict[str, Any]


def compose(
    *arguments: str, project: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`docker compose config` with nothing of this machine's environment but what is given."""
    return subprocess.run(
        [COMPOSE, *arguments, "config", "--format", "json"],
        cwd=project,
        env={"HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def services(*arguments: str, project: Path = ROOT, **environment: str) -> dict[str, Service]:
    """The services that would start."""
    done = compose(*arguments, project=project, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Service] = json.loads(done.stdout)["services"]
    return found


def gateway_settings(*arguments: str, project: Path = ROOT, **environment: str) -> dict[str, str]:
    """The settings that the gateway is given."""
    given = services(*arguments, project=project, **environment)["gateway"]["environment"]
    return {name: value for name, value in given.items() if value is not None}


def published(service: Service) -> set[tuple[str, int, int]]:
    """Address and port of this machine, and the port inside."""
    ports = service.get("ports", [])
    return {(port["host_ip"], int(port["published"]), port["target"]) for port in ports}


def devices(service: Service) -> list[Any]:
    reservations = service.get("deploy", {}).get("resources", {}).get("reservations", {})
    return list(reservations.get("devices", []))


def engine_of(service: Service) -> Mapping[str, Any]:
    (mount,) = service["volumes"]
    return dict(mount)


@pytest.mark.parametrize(
    ("arguments", "started"),
    [
        ((), {"engine-check", "triton", "self-check", "gateway"}),
        (("--profile", "gpu"), {"engine-check", "triton", "self-check", "gateway"}),
        (("--profile", "cpu"), {"embedded", "self-check", "gateway"}),
        (("--profile", "build"), {"build-engine"}),
        (LATENCY, {"engine-check", "triton", "self-check", "gateway"}),
    ],
)
def test_a_profile_starts_its_own_services_alone(
    arguments: tuple[str, ...], started: set[str]
) -> None:
    assert set(services(*arguments)) == started


def test_the_environment_chooses_a_profile_too() -> None:
    assert "embedded" in services(COMPOSE_PROFILES="cpu")
    assert "triton" not in services(COMPOSE_PROFILES="cpu")


def test_only_what_needs_a_gpu_reserves_one() -> None:
    found = {name: devices(service) for name, service in services(*EVERY_PROFILE).items()}
    assert {name for name, reserved in found.items() if reserved} == GPU_SERVICES
    for name in GPU_SERVICES:
        assert found[name] == [{"capabilities": ["gpu"], "driver": "nvidia", "device_ids": ["0"]}]


def test_the_gpu_or_slice_can_be_chosen() -> None:
    found = services(*EVERY_PROFILE, WHISPER_GPU="MIG-5")
    assert {
        device["device_ids"][0] for name in GPU_SERVICES for device in devices(found[name])
    } == {"MIG-5"}


def test_every_container_is_locked_in() -> None:
    for name, service in services(*EVERY_PROFILE).items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["tmpfs"] == ["/tmp"], name
        assert "cap_add" not in service, name
        assert not service.get("privileged"), name


def test_everything_is_offered_to_this_machine_alone() -> None:
    found = {name: published(service) for name, service in services(*EVERY_PROFILE).items()}
    triton = {("127.0.0.1", 8001, 8001), ("127.0.0.1", 8002, 8002)}
    assert {name: ports for name, ports in found.items() if ports} == {
        "gateway": {("127.0.0.1", 8000, 8000)},
        "triton": triton,
        "embedded": triton,
    }


def test_the_gateway_alone_can_be_opened_to_the_network() -> None:
    found = services(*EVERY_PROFILE, GATEWAY_HOST="0.0.0.0", GATEWAY_PORT="80")
    assert published(found["gateway"]) == {("0.0.0.0", 80, 8000)}
    for name in ("triton", "embedded"):
        assert {host for host, _, _ in published(found[name])} == {"127.0.0.1"}


def test_each_starts_when_the_one_before_has_proved_itself() -> None:
    found = services(*EVERY_PROFILE)
    depends = {
        name: {
            other: (needs["condition"], needs["required"])
            for other, needs in service.get("depends_on", {}).items()
        }
        for name, service in found.items()
    }
    assert depends == {
        "engine-check": {},
        "triton": {"engine-check": ("service_completed_successfully", True)},
        "embedded": {},
        "self-check": {
            "triton": ("service_healthy", False),
            "embedded": ("service_healthy", False),
        },
        "gateway": {"self-check": ("service_completed_successfully", True)},
        "build-engine": {},
    }


def test_servers_come_back_and_one_shot_services_do_not() -> None:
    for name, service in services(*EVERY_PROFILE).items():
        assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped"), name


def test_either_triton_is_found_under_one_name() -> None:
    found = services(*EVERY_PROFILE)
    assert {found[name]["environment"]["GATEWAY_TRITON"] for name in ("gateway", "self-check")} == {
        "triton:8001"
    }
    for name in ("triton", "embedded"):
        assert found[name]["networks"]["default"]["aliases"] == ["triton"]
        assert int(found[name]["shm_size"]) == 1 << 30


@pytest.mark.parametrize("name", ["engine-check", "triton"])
def test_the_chosen_engine_is_mounted_where_triton_reads_it(name: str) -> None:
    mount = engine_of(services()[name])
    assert mount["source"] == str(ROOT / "build/output/engines/large-v3-h100")
    assert mount["target"] == str(serve_engine.ENGINE)
    assert mount["read_only"]
    assert not mount["bind"].get("create_host_path")
    chosen = engine_of(services(WHISPER_ENGINE="large-v3-l40s")[name])
    assert chosen["source"].endswith("/engines/large-v3-l40s")


def test_the_check_reads_what_triton_would() -> None:
    check, triton = (services()[name] for name in ("engine-check", "triton"))
    assert check["command"] == ["python3", "scripts/serve_engine.py", "--check"]
    for key in ("image", "build", "volumes", "deploy"):
        assert check[key] == triton[key]


def test_engines_are_built_in_the_repository_as_the_user() -> None:
    service = services("--profile", "build", WHISPER_UID="7", WHISPER_GID="8")["build-engine"]
    assert service["user"] == "7:8"
    (mount,) = service["volumes"]
    assert (mount["source"], mount["target"]) == (str(ROOT / "build"), "/server/build")


def test_every_dockerfile_is_built_by_a_service_with_the_stage_it_names() -> None:
    built = {
        (service["build"]["dockerfile"], service["build"].get("target"))
        for service in services(*EVERY_PROFILE).values()
    }
    assert built == {
        ("build/triton.Dockerfile", None),
        ("build/embedded.Dockerfile", None),
        ("build/engine.Dockerfile", None),
        ("build/gateway.Dockerfile", "gateway"),
        ("build/gateway.Dockerfile", "self-check"),
    }


def test_every_setting_of_the_gateway_is_passed_on() -> None:
    lines = (ROOT / "build/passed_on.env").read_text().splitlines()
    names = {line for line in lines if not line.startswith("#")}
    of_the_gateway = {f"GATEWAY_{field.name.upper()}" for field in fields(Settings)}
    assert names == of_the_gateway - GIVEN_BY_THE_IMAGE - GIVEN_BY_COMPOSE
    assert set(gateway_settings()) == GIVEN_BY_COMPOSE
    assert gateway_settings()["GATEWAY_TRITON"] == "triton:8001"
    assert gateway_settings(GATEWAY_MAX_STREAMS="7")["GATEWAY_MAX_STREAMS"] == "7"


def started(given: dict[str, str]) -> Settings:
    """The settings in the container, where the image has it listen on all addresses."""
    return Settings.from_environment({"GATEWAY_HOST": "0.0.0.0", **given})


def test_without_keys_the_gateway_starts_for_this_machine_alone() -> None:
    assert started(gateway_settings()).published_host == "127.0.0.1"
    with pytest.raises(SettingsError, match=r"others can reach 0\.0\.0\.0"):
        started(gateway_settings(GATEWAY_HOST="0.0.0.0"))
    assert started(gateway_settings(GATEWAY_HOST="0.0.0.0", GATEWAY_API_KEYS="key"))
    assert started(gateway_settings(GATEWAY_HOST="0.0.0.0", GATEWAY_ALLOW_ANONYMOUS="true"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of our files, to which a user has added keys."""
    for name in (".env", "docker-compose.yml", "build/passed_on.env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "gateway.env").write_text("GATEWAY_API_KEYS=of-the-file\nGATEWAY_PING_S=5\n")
    return tmp_path


def test_keys_in_a_file_reach_the_gateway_and_nobody_else(project: Path) -> None:
    given = gateway_settings(project=project)
    assert (given["GATEWAY_API_KEYS"], given["GATEWAY_PING_S"]) == ("of-the-file", "5")
    others = {k: v for k, v in services(*EVERY_PROFILE, project=project).items() if k != "gateway"}
    assert "of-the-file" not in json.dumps(others)


def test_keys_of_the_environment_go_before_the_files(project: Path) -> None:
    given = gateway_settings(project=project, GATEWAY_API_KEYS="of-the-shell")
    assert (given["GATEWAY_API_KEYS"], given["GATEWAY_PING_S"]) == ("of-the-shell", "5")


def test_git_and_the_images_do_not_know_the_file_with_keys() -> None:
    assert "gateway.env" in (ROOT / ".gitignore").read_text().split()
    assert "gateway.env" in (ROOT / ".dockerignore").read_text().split()
    lines = (ROOT / ".env").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["COMPOSE_PROFILES=gpu"]


def test_the_latency_mode_is_20_streams_of_large_v3_on_a_whole_gpu() -> None:
    settings = Settings.from_environment(gateway_settings(*LATENCY))
    assert settings.max_streams == 20
    assert settings.min_partial_interval_s < settings.partial_interval_s < 0.5
    assert engine_of(services(*LATENCY)["triton"])["source"].endswith("/engines/large-v3-h100")


def test_the_balanced_mode_is_40_streams_on_a_slice() -> None:
    settings = Settings.from_environment(gateway_settings(*BALANCED, WHISPER_GPU="MIG-5"))
    assert settings.max_streams == 40
    assert settings.min_partial_interval_s == settings.partial_interval_s >= 1
    for name in ("engine-check", "triton"):
        service = services(*BALANCED, WHISPER_GPU="MIG-5")[name]
        assert engine_of(service)["source"].endswith("/large-v3-turbo-h100-mig-3g.40gb")
        assert [device["device_ids"] for device in devices(service)] == [["MIG-5"]]


def test_the_balanced_mode_wants_to_know_the_slice() -> None:
    done = compose(*BALANCED)
    assert done.returncode != 0
    assert "WHISPER_GPU is missing a value: set it to the UUID of a MIG slice" in done.stderr


@pytest.mark.parametrize("mode", [LATENCY, BALANCED])
def test_a_mode_sets_only_what_the_gateway_knows(mode: tuple[str, ...]) -> None:
    assert unknown_variables(gateway_settings(*mode, WHISPER_GPU="MIG-5")) == []


@pytest.mark.parametrize(
    ("mode", "configuration", "size"),
    [("latency", "config.pbtxt", 256), ("balanced", "configs/h100-mig-3g.40gb.pbtxt", 128)],
)
def test_a_mode_names_the_queue_of_its_profile(mode: str, configuration: str, size: int) -> None:
    lines = (ROOT / f"build/compose.{mode}.yml").read_text().splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    pbtxt = (ROOT / "model_repository/whisper" / configuration).read_text()
    assert f"model_repository/whisper/{configuration}" in comment
    assert f" {size}" in comment
    assert f"max_queue_size: {size} " in pbtxt
