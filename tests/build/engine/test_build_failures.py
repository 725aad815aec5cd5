"""Builds that fail, are interrupted, and go on: what is said, what is left, what is done again."""

import fcntl
from pathlib import Path

import pytest

from build.engine import acceptance
from build.engine.__main__ import main
from build.engine.machine import MachineError
from build.engine.verify import EngineRefusedError, verify_engine
from tests.build.engine.support import FakeMachine, FileServer, Workshop

ORDER = ["convert", "encoder", "decoder", "data set", "run"]
GO_ON = "docker compose run --rm build-engine --profile h100 --model large-v3"


def tools(workshop: Workshop) -> list[str]:
    """The tools that were run, in order."""
    names = [call.split(" ")[0] for call in workshop.calls()]
    return ["data set" if name == "data" else name for name in names]


def build(workshop: Workshop, machine: FakeMachine, *more: str) -> int:
    return main(workshop.arguments(*more), machine, workshop.image)


@pytest.mark.parametrize("tool", ["convert", "encoder", "decoder"])
def test_the_first_failure_ends_the_build_and_can_be_gone_on_from(
    tool: str,
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_FAULT", f"{tool}:7")
    assert build(workshop, machine) == 1
    said = capsys.readouterr().err
    assert f"error: step {tool} failed with exit status 7: " in said
    assert f"go on with: {GO_ON}" in said
    done = ORDER[: ORDER.index(tool) + 1]
    assert tools(workshop) == done
    with pytest.raises((EngineRefusedError, MachineError)):
        verify_engine(workshop.engine, machine)

    monkeypatch.delenv("FAKE_FAULT")
    assert build(workshop, machine) == 0
    assert tools(workshop) == ORDER[ORDER.index(tool) :]
    verify_engine(workshop.engine, machine, thorough=True)


@pytest.mark.parametrize("tool", ["convert", "encoder", "decoder"])
def test_an_interrupted_build_can_be_gone_on_with(
    tool: str,
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_FAULT", f"{tool}:interrupt")
    assert build(workshop, machine) == 130
    assert f"interrupted in step {tool}; go on with {GO_ON}" in capsys.readouterr().err
    assert not (workshop.engine / tool).exists()
    tools(workshop)

    monkeypatch.delenv("FAKE_FAULT")
    assert build(workshop, machine) == 0
    assert tools(workshop) == ORDER[ORDER.index(tool) :]


@pytest.mark.parametrize("tool", ["convert", "encoder", "decoder"])
def test_a_tool_that_ends_well_and_leaves_half_is_found_out(
    tool: str,
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_FAULT", f"{tool}:nothing")
    assert build(workshop, machine) == 1
    said = capsys.readouterr().err
    assert f"step {tool} failed: the command ended well, but " in said
    assert "config.json" in said or "safetensors" in said


def test_a_failed_rebuild_leaves_no_whole_engine(
    workshop: Workshop, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build(workshop, machine) == 0
    monkeypatch.setenv("FAKE_FAULT", "decoder:1")
    assert build(workshop, machine, "--decoder-gemm-plugin", "disable") == 1
    with pytest.raises(EngineRefusedError, match="is not whole"):
        verify_engine(workshop.engine, machine)


def test_a_tool_that_is_not_there_is_one_line(
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (workshop.folder / "bin" / "trtllm-build").unlink()
    monkeypatch.setenv("PATH", str(workshop.folder / "bin"))
    assert build(workshop, machine) == 1
    said = capsys.readouterr().err
    assert "step encoder failed: trtllm-build cannot be run: No such file or directory" in said


def test_an_engine_that_is_smaller_than_asked_gets_no_manifest(
    workshop: Workshop,
    machine: FakeMachine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = workshop.folder / "bin" / "trtllm-build"
    text = script.read_text(encoding="utf-8")
    script.write_text(text.replace('"$@"', '"$@" --max_batch_size 3'), encoding="utf-8")
    assert build(workshop, machine) == 1
    assert "encoder max_batch_size of the engine is 3, asked was 16" in capsys.readouterr().err
    assert not (workshop.engine / "manifest.json").exists()


def test_an_engine_with_another_vocabulary_gets_no_manifest(
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "build.engine.plan.read_ranks", lambda text: [bytes([b]) for b in range(256)]
    )
    assert build(workshop, machine) == 1
    assert "step manifest failed: the engine has 128 mel bins and" in capsys.readouterr().err
    assert not (workshop.engine / "manifest.json").exists()


def test_weights_that_cannot_be_fetched_end_the_build(
    workshop: Workshop,
    machine: FakeMachine,
    files: FileServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files.refuse.append(403)
    assert build(workshop, machine) == 1
    said = capsys.readouterr().err
    assert "step fetch failed: " in said
    assert "HTTP 403" in said
    assert tools(workshop) == []


def test_an_engine_that_errs_too_much_loses_its_manifest(
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_ERRORS", "34.2")
    assert build(workshop, machine) == 1
    said = capsys.readouterr().err
    assert "step acceptance failed: 34.2 % of the words are wrong, at most 2.8 % may be" in said
    assert (workshop.engine / acceptance.REJECTED_MANIFEST).is_file()
    with pytest.raises(EngineRefusedError, match="is not whole"):
        verify_engine(workshop.engine, machine)
    tools(workshop)
    assert build(workshop, machine) == 1  # and is not taken for whole by the next try
    assert tools(workshop) == ["data set", "run"]


def test_a_decoding_that_fails_leaves_the_engine_and_says_so(
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "run:139")
    assert build(workshop, machine) == 1
    assert "step acceptance failed with exit status 139" in capsys.readouterr().err
    verify_engine(workshop.engine, machine)
    assert acceptance.read(workshop.engine).status == "not done"


def test_a_decoding_that_writes_no_errors_is_no_acceptance(
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "run:nothing")
    assert build(workshop, machine) == 1
    assert "ended well and wrote no errors" in capsys.readouterr().err
    assert acceptance.read(workshop.engine).status == "not done"


def test_without_the_data_set_acceptance_is_open_and_can_be_done_later(
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "data set:1")
    assert build(workshop, machine) == 3
    said = capsys.readouterr().err
    assert "the engine is whole, but its acceptance is NOT DONE" in said
    assert GO_ON in said
    verify_engine(workshop.engine, machine)
    assert acceptance.read(workshop.engine).status == "not done"

    monkeypatch.delenv("FAKE_FAULT")
    tools(workshop)
    assert build(workshop, machine) == 0
    assert tools(workshop) == ["data set", "run"]
    assert acceptance.read(workshop.engine).status == "passed"


def test_acceptance_can_be_skipped_and_what_was_passed_stays_passed(
    workshop: Workshop, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(workshop, machine, "--skip-acceptance") == 0
    assert "acceptance skipped" in capsys.readouterr().out
    assert tools(workshop) == ["convert", "encoder", "decoder"]
    assert build(workshop, machine) == 0
    assert build(workshop, machine, "--skip-acceptance") == 0
    assert acceptance.read(workshop.engine).status == "passed"
    tools(workshop)
    assert build(workshop, machine) == 0
    assert tools(workshop) == []


def test_two_builds_in_one_folder_do_not_mix(
    workshop: Workshop, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop.work.mkdir()
    with (workshop.work / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert build(workshop, machine) == 1
    assert f"another build is at work in {workshop.work}" in capsys.readouterr().err
    assert tools(workshop) == []


def test_a_full_disk_is_one_line(
    workshop: Workshop,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("build.engine.plan.replace_file", full)
    assert build(workshop, machine) == 1
    assert "step tokenizer failed: [Errno 28] No space left on device" in capsys.readouterr().err


def test_a_wrong_machine_ends_the_build_before_anything_is_fetched(
    workshop: Workshop, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.visible = []
    assert build(workshop, machine) == 1
    assert "step preflight failed: no GPU or MIG slice is visible" in capsys.readouterr().err
    assert not workshop.assets.exists()
