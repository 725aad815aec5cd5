"""What is refused when an engine is to be served, and what each refusal tells the user to do."""

import shutil
from pathlib import Path

import pytest

from build.engine import acceptance
from build.engine.__main__ import main
from build.engine.errors import EngineError
from build.engine.machine import Gpu, MachineError
from build.engine.profiles import PROFILES
from build.engine.stamps import sha256_of
from build.engine.verify import EngineRefusedError, verify_engine
from pipeline.engine_manifest import BuiltOn, EngineFile, EngineLimits, EngineManifest
from tests.build.engine.support import H100, SLICE, FakeMachine

BUILD = "docker compose run --rm build-engine"
AGAIN = f"build it again with {BUILD} --profile h100-mig-3g.40gb --model large-v3 --precision int8"
FILES = ("encoder/config.json", "encoder/rank0.engine", "tokenizer.json")


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine(visible=[SLICE])


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A small engine of int8, built on a slice."""
    folder = tmp_path / "large-v3-int8-h100-mig-3g.40gb"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"contents of {name}", encoding="utf-8")
    describe(folder)
    return folder


def describe(folder: Path, profile: str = "h100-mig-3g.40gb") -> None:
    """Write the manifest."""
    gpu = BuiltOn(
        name=SLICE.name,
        mig_profile=SLICE.mig_profile,
        memory_mib=SLICE.memory_mib,
        compute_capability=SLICE.compute_capability,
    )
    manifest = EngineManifest(
        model="large-v3",
        precision="int8",
        profile=profile,
        image="image",
        tensorrt_llm="1.2.1",
        tensorrt="10.14.1.48",
        cuda="13.1",
        gpu=gpu,
        limits=EngineLimits(
            encoder_max_batch_size=8,
            decoder_max_batch_size=32,
            max_beam_width=1,
            max_input_len=228,
            max_seq_len=448,
            max_encoder_input_len=3000,
        ),
        n_mels=128,
        vocab_size=51866,
        files={
            name: EngineFile(bytes=(folder / name).stat().st_size, sha256=sha256_of(folder / name))
            for name in FILES
        },
        commands={"decoder": ["trtllm-build"]},
        built_at="2026-01-01T00:00:00+00:00",
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")


def refusal(engine: Path, machine: FakeMachine, thorough: bool = False) -> str:
    """The line that says why an engine is refused."""
    with pytest.raises(EngineRefusedError) as raised:
        verify_engine(engine, machine, thorough)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_whole_engine_of_this_machine_is_taken(engine: Path, machine: FakeMachine) -> None:
    assert verify_engine(engine, machine, thorough=True).model == "large-v3"


def test_an_engine_that_is_not_there_is_refused(tmp_path: Path, machine: FakeMachine) -> None:
    wanted = {
        "large-v3-h100": "--profile h100 --model large-v3",
        "large-v3-turbo-h100-mig-1g.10gb": "--profile h100-mig-1g.10gb --model large-v3-turbo",
        "large-v3-int8-l40s": "--profile l40s --model large-v3 --precision int8",
        "engine": "--profile PROFILE --model MODEL (python -m build.engine profiles lists both)",
    }
    for name, arguments in wanted.items():
        said = refusal(tmp_path / name, machine)
        assert said == f"there is no engine at {tmp_path / name}: build it with {BUILD} {arguments}"


def test_a_folder_without_a_manifest_is_not_finished(engine: Path, machine: FakeMachine) -> None:
    (engine / "manifest.json").unlink()
    said = refusal(engine, machine)
    assert f"{engine} is not whole" in said
    assert f"finish the build with {AGAIN.partition(' with ')[2]}" in said


def test_a_manifest_of_another_version_is_refused(engine: Path, machine: FakeMachine) -> None:
    (engine / "manifest.json").write_text('{"manifest_version": 2}', encoding="utf-8")
    said = refusal(engine, machine)
    assert "is not a manifest of this version" in said
    assert "build it anew" in said


def test_a_missing_file_is_named(engine: Path, machine: FakeMachine) -> None:
    (engine / "encoder/rank0.engine").unlink()
    assert refusal(engine, machine) == f"{engine / 'encoder/rank0.engine'} is missing: {AGAIN}"


def test_a_file_that_was_cut_short_is_named(engine: Path, machine: FakeMachine) -> None:
    path = engine / "encoder/rank0.engine"
    path.write_text("contents", encoding="utf-8")
    assert refusal(engine, machine) == f"{path} has 8 bytes instead of 32: {AGAIN}"


def test_damage_of_the_same_size_is_found_by_the_checksum(
    engine: Path, machine: FakeMachine
) -> None:
    path = engine / "tokenizer.json"
    path.write_text("Contents of tokenizer.json", encoding="utf-8")
    verify_engine(engine, machine)
    assert refusal(engine, machine, thorough=True) == (
        f"{path} is damaged (its sha256 differs): {AGAIN}"
    )


@pytest.mark.parametrize(
    ("gpu", "this"),
    [
        (H100, "this is NVIDIA H100 80GB HBM3;"),
        (Gpu(SLICE.name, 20096, "9.0", "2g.20gb"), "this is NVIDIA H100 80GB HBM3 MIG 2g.20gb;"),
        (Gpu("NVIDIA H100 PCIe", 40448, "9.0", "3g.40gb"), "this is NVIDIA H100 PCIe MIG 3g.40gb;"),
        (Gpu("NVIDIA L40S", 46068, "8.9"), "this is NVIDIA L40S;"),
    ],
)
def test_an_engine_of_another_gpu_or_slice_is_refused(gpu: Gpu, this: str, engine: Path) -> None:
    said = refusal(engine, FakeMachine(visible=[gpu]))
    assert "was built on NVIDIA H100 80GB HBM3 MIG 3g.40gb, and" in said
    assert this in said
    assert f"{BUILD} --profile PROFILE --model large-v3" in said


def test_another_compute_capability_is_refused(engine: Path) -> None:
    said = refusal(engine, FakeMachine(visible=[Gpu(SLICE.name, 40448, "9.1", "3g.40gb")]))
    assert "built for compute capability 9.0, and this GPU has 9.1" in said


def test_too_little_memory_is_refused(engine: Path) -> None:
    said = refusal(engine, FakeMachine(visible=[Gpu(SLICE.name, 39999, "9.0", "3g.40gb")]))
    assert "has 39999 MiB of memory, and profile h100-mig-3g.40gb needs 40000" in said


@pytest.mark.parametrize("installed", ["1.3.0", None])
def test_another_tensorrt_llm_is_refused(
    installed: str | None, engine: Path, machine: FakeMachine
) -> None:
    machine.packages = {"tensorrt_llm": installed} if installed else {}
    said = refusal(engine, machine)
    assert f"with TensorRT-LLM 1.2.1, and {installed or 'none'} is installed here" in said


def test_a_profile_that_is_not_here_is_refused(engine: Path, machine: FakeMachine) -> None:
    describe(engine, profile="gh200")
    said = refusal(engine, machine)
    assert "was built for a profile that is not here: no profile 'gh200'" in said


def test_a_machine_without_a_gpu_is_refused(engine: Path) -> None:
    with pytest.raises(MachineError, match="no GPU or MIG slice"):
        verify_engine(engine, FakeMachine(visible=[]))


def test_a_profile_that_is_wrong_is_said(
    engine: Path, machine: FakeMachine, tmp_path: Path
) -> None:
    profiles = tmp_path / "profiles"
    shutil.copytree(PROFILES, profiles)
    (profiles / "h100-mig-3g.40gb.toml").write_text("[gpu]\n", encoding="utf-8")
    with pytest.raises(EngineError, match=r"h100-mig-3g\.40gb\.toml: gpu\.names: Field required"):
        verify_engine(engine, machine, profiles=profiles)


def test_the_command_tells_what_it_has_verified(
    engine: Path, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    acceptance.note(engine, "passed", 2.4, 2.8)
    assert main(["verify", str(engine), "--thorough"], machine) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{engine}: large-v3 (int8) for h100-mig-3g.40gb, built 2026-01-01")
    assert "acceptance passed, 2.4 % of words wrong" in said


def test_the_command_ends_in_1_where_it_refuses(
    engine: Path, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    (engine / "tokenizer.json").unlink()
    assert main(["verify", str(engine)], machine) == 1
    assert capsys.readouterr().err == f"error: {engine / 'tokenizer.json'} is missing: {AGAIN}\n"


def test_the_profiles_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("a100 ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "h200", "--model", "large-v3"], "error: no profile 'h200'"),
        (["--profile", "h100", "--model", "base"], "error: no model 'base'"),
        (["--profile", "h100-mig-1g.10gb", "--model", "large-v3"], "does not serve large-v3"),
    ],
)
def test_what_cannot_be_built_is_refused_before_the_first_step(
    arguments: list[str],
    message: str,
    machine: FakeMachine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["build", *arguments], machine) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
