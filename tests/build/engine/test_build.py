"""A whole build, with scripts in the place of NVIDIA's tools: what it makes, and what anew."""

import json
from pathlib import Path

import pytest

from build.engine import acceptance
from build.engine.__main__ import main
from build.engine.machine import Gpu
from build.engine.verify import verify_engine
from pipeline.engine_manifest import read_manifest
from tests.build.engine.support import H100, SLICE, FakeMachine, Workshop, sha256

EVERYTHING = ["convert", "encoder", "decoder", "data set", "run"]


def build(workshop: Workshop, machine: FakeMachine, *more: str, profile: str = "h100") -> list[str]:
    """Build; returns the tools that were run."""
    assert main(workshop.arguments(*more, profile=profile), machine, workshop.image) == 0
    return workshop.calls()


def tools(calls: list[str]) -> list[str]:
    """The names alone."""
    names = [call.split(" ")[0] for call in calls]
    return ["data set" if name == "data" else name for name in names]


def test_an_engine_is_built_from_nothing(workshop: Workshop, machine: FakeMachine) -> None:
    assert tools(build(workshop, machine)) == EVERYTHING
    manifest = verify_engine(workshop.engine, machine, thorough=True)
    assert (manifest.model, manifest.precision, manifest.profile) == ("large-v3", "float16", "h100")
    assert manifest.image == "nvcr.io/nvidia/tritonserver:26.06-trtllm-python-py3"
    assert (manifest.tensorrt_llm, manifest.tensorrt) == ("1.2.1", "10.14.1.48")
    assert manifest.gpu.model_dump() == {
        "name": H100.name,
        "mig_profile": None,
        "memory_mib": 81559,
        "compute_capability": "9.0",
    }
    assert manifest.limits.model_dump() == {
        "encoder_max_batch_size": 16,
        "decoder_max_batch_size": 64,
        "max_beam_width": 1,
        "max_input_len": 228,
        "max_seq_len": 448,
        "max_encoder_input_len": 3000,
    }
    assert manifest.n_mels == 128
    assert manifest.commands["decoder"][0] == "trtllm-build"
    assert set(manifest.commands) == {"convert", "encoder", "decoder"}


def test_the_manifest_lists_every_file_and_nothing_else(
    workshop: Workshop, machine: FakeMachine
) -> None:
    build(workshop, machine)
    manifest = read_manifest(workshop.engine)
    files = {
        path.relative_to(workshop.engine).as_posix(): path.read_bytes()
        for path in workshop.engine.rglob("*")
        if path.is_file()
    }
    about = {"manifest.json", "acceptance.json"}
    assert set(files) == set(manifest.files) | about
    assert set(manifest.files) == {
        "encoder/config.json",
        "encoder/rank0.engine",
        "decoder/config.json",
        "decoder/rank0.engine",
        "tokenizer.json",
    }
    for name, file in manifest.files.items():
        assert (file.bytes, file.sha256) == (len(files[name]), sha256(files[name]))


def test_nothing_half_written_is_left(workshop: Workshop, machine: FakeMachine) -> None:
    build(workshop, machine)
    assert not list(workshop.folder.rglob("*.partial"))
    assert not Path("model.cache").exists()  # tools leave that where they are run


def test_the_vocabulary_is_that_of_the_tokenizer(workshop: Workshop, machine: FakeMachine) -> None:
    build(workshop, machine)
    content = json.loads((workshop.engine / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = len(content["model"]["vocab"]) + len(content["added_tokens"])
    assert read_manifest(workshop.engine).vocab_size == tokens


def test_acceptance_is_kept_with_the_engine(
    workshop: Workshop, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    build(workshop, machine)
    kept = acceptance.read(workshop.engine)
    assert (kept.status, kept.word_errors_percent, kept.at_most_percent) == ("passed", 2.4, 2.8)
    assert "acceptance passed, 2.4 % of words wrong on hf-internal-t" in capsys.readouterr().out


def test_acceptance_looks_at_a_whole_engine(workshop: Workshop, machine: FakeMachine) -> None:
    call = build(workshop, machine)[-1]
    assert call == "run acceptance.json decoder encoder manifest.json tokenizer.json"


def test_a_build_that_is_done_does_nothing(
    workshop: Workshop, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    build(workshop, machine)
    before = (workshop.engine / "manifest.json").stat().st_mtime_ns
    capsys.readouterr()
    assert build(workshop, machine) == []
    assert capsys.readouterr().out.count("done already") == 7
    assert (workshop.engine / "manifest.json").stat().st_mtime_ns == before


def test_another_flag_rebuilds_what_it_is_for(workshop: Workshop, machine: FakeMachine) -> None:
    build(workshop, machine)
    again = build(workshop, machine, "--decoder-gemm-plugin", "disable")
    assert tools(again) == ["decoder", "data set", "run"]
    command = read_manifest(workshop.engine).commands["decoder"]
    assert command[command.index("--gemm_plugin") + 1] == "disable"


def test_the_old_manifest_is_gone_while_a_part_is_rebuilt(
    workshop: Workshop, machine: FakeMachine
) -> None:
    build(workshop, machine)
    calls = build(workshop, machine, "--decoder-gemm-plugin", "disable")
    assert calls[0] == "decoder"  # the script would note that it saw a manifest


def test_profiles_share_weights_and_checkpoint(workshop: Workshop, machine: FakeMachine) -> None:
    build(workshop, machine)
    machine.visible = [SLICE]
    other = build(workshop, machine, profile="h100-mig-3g.40gb")
    assert tools(other) == ["encoder", "decoder", "data set", "run"]
    machine.visible = [H100]
    assert build(workshop, machine) == []


def test_int8_has_a_checkpoint_and_an_engine_of_its_own(
    workshop: Workshop, machine: FakeMachine
) -> None:
    build(workshop, machine)
    assert tools(build(workshop, machine, "--precision", "int8")) == EVERYTHING
    assert read_manifest(workshop.engines / "large-v3-int8-h100").precision == "int8"
    assert build(workshop, machine) == []


@pytest.mark.parametrize(
    ("path", "again"),
    [
        ("checkpoints/large-v3-float16/encoder/rank0.safetensors", EVERYTHING),
        ("engines/large-v3-h100/encoder/rank0.engine", ["encoder", "data set", "run"]),
        ("engines/large-v3-h100/decoder/config.json", ["decoder", "data set", "run"]),
        ("engines/large-v3-h100/tokenizer.json", ["data set", "run"]),
        ("engines/large-v3-h100/manifest.json", ["data set", "run"]),
        ("engines/large-v3-h100/acceptance.json", ["data set", "run"]),
        ("assets/large-v3.pt", []),
    ],
)
@pytest.mark.parametrize("fate", ["removed", "overwritten"])
def test_what_somebody_has_touched_is_made_again(
    path: str, again: list[str], fate: str, workshop: Workshop, machine: FakeMachine
) -> None:
    build(workshop, machine)
    if fate == "removed":
        (workshop.folder / path).unlink()
    else:
        (workshop.folder / path).write_text("something else")
    assert tools(build(workshop, machine)) == again
    verify_engine(workshop.engine, machine, thorough=True)


@pytest.mark.parametrize("capability", ["9.0", "9.1"])
def test_another_gpu_or_capability_rebuilds_both_parts(
    capability: str, workshop: Workshop, machine: FakeMachine
) -> None:
    build(workshop, machine)
    machine.visible = [Gpu("NVIDIA H100 PCIe", 81559, capability)]
    assert tools(build(workshop, machine)) == ["encoder", "decoder", "data set", "run"]
    assert read_manifest(workshop.engine).gpu.name == "NVIDIA H100 PCIe"


def test_the_turbo_model_is_accepted_by_our_own_limit(
    workshop: Workshop, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ERRORS", "3.1")
    assert main(workshop.arguments(model="turbo"), machine, workshop.image) == 0
    kept = acceptance.read(workshop.engines / "large-v3-turbo-h100")
    assert (kept.status, kept.word_errors_percent) == ("passed", 3.1)
