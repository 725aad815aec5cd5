"""What a build refuses before it fetches anything."""

from pathlib import Path

import pytest

from build.engine.errors import StepFailedError
from build.engine.image import Image
from build.engine.machine import Gpu
from build.engine.models import LARGE_V3, LARGE_V3_TURBO, MIB
from build.engine.preflight import SPARE_MIB, check_disk, check_gpu, check_image
from build.engine.profiles import all_profiles, find_profile
from tests.build.engine.support import H100, SLICE, TOOLS, FakeMachine

IMAGE = Image(examples=(Path("/nowhere"), TOOLS))


def test_the_pinned_image_is_taken(machine: FakeMachine) -> None:
    check_image(IMAGE, machine)
    machine.environment["NVIDIA_TRITON_SERVER_VERSION"] = "26.06"
    check_image(IMAGE, machine)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.3.0", "TensorRT-LLM 1.3.0 is installed here, and engines are built with 1.2.1"),
        (None, "TensorRT-LLM is not installed here"),
    ],
)
def test_another_tensorrt_llm_is_refused(
    version: str | None, message: str, machine: FakeMachine
) -> None:
    machine.packages = {"tensorrt_llm": version} if version else {}
    with pytest.raises(StepFailedError, match=message) as raised:
        check_image(IMAGE, machine)
    assert IMAGE.name in str(raised.value)


def test_another_release_of_the_image_is_refused(machine: FakeMachine) -> None:
    machine.environment["NVIDIA_TRITON_SERVER_VERSION"] = "26.07"
    with pytest.raises(StepFailedError, match=r"Triton's image 26\.07"):
        check_image(IMAGE, machine)


def test_where_the_example_was_looked_for_is_said(machine: FakeMachine, tmp_path: Path) -> None:
    nowhere = Image(examples=(tmp_path / "one", tmp_path / "two"))
    with pytest.raises(StepFailedError) as raised:
        check_image(nowhere, machine)
    assert f"looked in {tmp_path / 'one'} and {tmp_path / 'two'}" in str(raised.value)
    assert "convert_checkpoint.py and run.py of NVIDIA's Whisper example" in str(raised.value)


def test_an_example_without_its_scripts_is_refused(machine: FakeMachine, tmp_path: Path) -> None:
    (tmp_path / "run.py").touch()
    with pytest.raises(StepFailedError, match=r"^convert_checkpoint\.py of NVIDIA"):
        check_image(Image(examples=(tmp_path,)), machine)


@pytest.mark.parametrize(
    ("profile", "gpu", "message"),
    [
        ("h100", SLICE, r"not for .* MIG 3g\.40gb; --profile h100-mig-3g\.40gb is for this GPU"),
        ("h100-mig-3g.40gb", H100, r"for the MIG slice 3g\.40gb, not .*; --profile h100 is for"),
        ("h100", Gpu("NVIDIA L40S", 46068, "8.9"), "the GPU is NVIDIA L40S.*--profile l40s is"),
        ("l40s", Gpu("NVIDIA L4", 23034, "8.9"), "the GPU is NVIDIA L4, .*; no profile is for"),
        ("a100", Gpu("NVIDIA A100X", 20000, "8.0"), "it needs 40000 MiB .*has 20000 MiB"),
    ],
)
def test_a_gpu_that_the_profile_is_not_for_is_refused_with_the_profile_that_is(
    profile: str, gpu: Gpu, message: str
) -> None:
    machine = FakeMachine(visible=[gpu])
    with pytest.raises(StepFailedError, match=f"profile {profile}: .*{message}"):
        check_gpu(find_profile(profile), all_profiles(), machine)


def test_the_gpu_of_the_profile_is_taken(machine: FakeMachine) -> None:
    assert check_gpu(find_profile("h100"), all_profiles(), machine) == H100


def test_room_is_wanted_for_what_is_still_to_be_written(tmp_path: Path) -> None:
    folders = {tmp_path / name: False for name in ("weights", "checkpoint", "engine")}
    needed = SPARE_MIB + 3 * int(LARGE_V3.weights_mib)
    check_disk(LARGE_V3, folders, FakeMachine(free=needed * MIB))
    with pytest.raises(StepFailedError, match=f"about {needed} MiB are needed: make room"):
        check_disk(LARGE_V3, folders, FakeMachine(free=needed * MIB - 1))


def test_what_is_there_needs_no_room(tmp_path: Path) -> None:
    folders = {tmp_path / "weights": True, tmp_path / "engine": False}
    needed = SPARE_MIB + int(LARGE_V3_TURBO.weights_mib)
    check_disk(LARGE_V3_TURBO, folders, FakeMachine(free=needed * MIB))
