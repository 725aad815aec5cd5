"""The command lines, held against the flags that TensorRT-LLM 1.2.1 is known to take."""

import shlex
from pathlib import Path

import pytest

from build.engine.__main__ import main
from build.engine.models import MODELS
from build.engine.profiles import Profile, all_profiles
from tests.build.engine.support import FakeMachine

CONVERT_FLAGS = {
    "--model_dir",
    "--model_name",
    "--output_dir",
    "--use_weight_only",
    "--weight_only_precision",
}
BUILD_FLAGS = {
    "--checkpoint_dir",
    "--output_dir",
    "--moe_plugin",
    "--gemm_plugin",
    "--bert_attention_plugin",
    "--gpt_attention_plugin",
    "--max_batch_size",
    "--max_num_tokens",
    "--max_beam_width",
    "--max_input_len",
    "--max_seq_len",
    "--max_encoder_input_len",
}
RUN_FLAGS = {
    "--engine_dir",
    "--dataset",
    "--dataset_name",
    "--enable_warmup",
    "--name",
    "--assets_dir",
    "--results_dir",
    "--accuracy_check",
}
GONE = {
    "--enable_xqa",
    "--context_fmha_fp32_acc",
    "--use_custom_all_reduce",
    "--multi_block_mode",
}
"""Flags of older scripts that 1.2.1 does not have."""

BUILDS = [
    (profile, model, precision)
    for profile in all_profiles()
    for model in profile.models
    for precision in ("float16", "int8")
]


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[str]]:
    """The lines that a dry run prints, by step."""
    assert main(["build", *arguments, "--dry-run"], FakeMachine(visible=[])) == 0
    steps: dict[str, list[str]] = {}
    name = ""
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("    "):
            steps[name].append(line.strip())
        elif not line.startswith("#"):
            name = line
            steps[name] = []
    return steps


def options(line: str) -> dict[str, str]:
    """Flags of a command line and what follows each; every word belongs to a flag."""
    words = shlex.split(line)
    start = next(i for i, word in enumerate(words) if word.startswith("--"))
    found: dict[str, str] = {}
    for word in words[start:]:
        if word.startswith("--"):
            assert word not in found, f"{word} twice"
            flag, found[word] = word, ""
        else:
            assert not found[flag], f"two values of {flag}"
            found[flag] = word
    return found


@pytest.mark.parametrize(
    ("profile", "model", "precision"), BUILDS, ids=lambda value: getattr(value, "name", str(value))
)
def test_every_flag_is_one_that_the_tools_have(
    profile: Profile, model: str, precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = dry_run(capsys, "--profile", profile.name, "--model", model, "--precision", precision)
    allowed = {
        "convert": CONVERT_FLAGS,
        "encoder": BUILD_FLAGS,
        "decoder": BUILD_FLAGS,
        "acceptance": RUN_FLAGS,
    }
    for step, flags in allowed.items():
        used = set(options(steps[step][-1]))
        assert used <= flags, step
        assert not used & GONE


def test_the_steps_are_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    steps = dry_run(capsys, "--profile", "h100", "--model", "large-v3")
    assert list(steps) == [
        "preflight",
        "config-check",
        "fetch",
        "tokenizer",
        "convert",
        "encoder",
        "decoder",
        "manifest",
        "acceptance",
    ]
    assert all(steps.values())


def test_the_encoder_takes_whole_batches_of_windows(capsys: pytest.CaptureFixture[str]) -> None:
    steps = dry_run(capsys, "--profile", "h100", "--model", "large-v3")
    (line,) = steps["encoder"]
    assert line.startswith("trtllm-build ")
    given = options(line)
    folders = Path(given.pop("--checkpoint_dir")), Path(given.pop("--output_dir"))
    assert [folder.name for folder in folders] == ["encoder", ".encoder.partial"]
    assert given == {
        "--moe_plugin": "disable",
        "--max_batch_size": "16",
        "--max_num_tokens": "24000",
        "--gemm_plugin": "disable",
        "--bert_attention_plugin": "float16",
        "--max_input_len": "3000",
        "--max_seq_len": "3000",
    }


@pytest.mark.parametrize("gemm_plugin", ["float16", "disable"])
def test_the_decoder_is_built_for_the_profiles_limits(
    gemm_plugin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    what = ["--profile", "h100-mig-1g.10gb", "--model", "turbo"]
    steps = dry_run(capsys, *what, "--decoder-gemm-plugin", gemm_plugin)
    (line,) = steps["decoder"]
    assert line.startswith("trtllm-build ")
    given = options(line)
    folders = Path(given.pop("--checkpoint_dir")), Path(given.pop("--output_dir"))
    assert [folder.name for folder in folders] == ["decoder", ".decoder.partial"]
    assert given == {
        "--moe_plugin": "disable",
        "--max_beam_width": "1",
        "--max_batch_size": "16",
        "--max_seq_len": "448",
        "--max_input_len": "228",
        "--max_encoder_input_len": "3000",
        "--gemm_plugin": gemm_plugin,
        "--bert_attention_plugin": "float16",
        "--gpt_attention_plugin": "float16",
    }


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_only_int8_quantizes_the_weights(
    precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = dry_run(capsys, "--profile", "h100", "--model", "large-v3", "--precision", precision)
    (line,) = steps["convert"]
    assert line.startswith("python3 /app/examples/models/core/whisper/convert_checkpoint.py ")
    given = options(line)
    assert given["--model_name"] == "large-v3"
    assert Path(given["--model_dir"]).name == "assets"
    assert Path(given["--output_dir"]).name == f".large-v3-{precision}.partial"
    assert given.get("--weight_only_precision") == ("int8" if precision == "int8" else None)
    assert ("--use_weight_only" in given) == (precision == "int8")


def test_engines_are_named_by_model_precision_and_profile(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = []
    for model, profile, precision in [
        ("large-v3", "h100", "float16"),
        ("turbo", "h100-mig-1g.10gb", "float16"),
        ("large-v3", "l40s", "int8"),
    ]:
        what = ["--profile", profile, "--model", model, "--precision", precision]
        (line,) = dry_run(capsys, *what)["encoder"]
        names.append(Path(options(line)["--output_dir"]).parent.name)
    assert names == ["large-v3-h100", "large-v3-turbo-h100-mig-1g.10gb", "large-v3-int8-l40s"]


def test_only_large_v3_is_held_to_the_examples_own_threshold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for model in MODELS:
        steps = dry_run(capsys, "--profile", "h100", "--model", model)
        data_set, decode = steps["acceptance"]
        given = options(decode)
        assert given["--dataset"] == "hf-internal-testing/librispeech_asr_dummy"
        assert given["--dataset_name"] == "clean"
        assert given["--name"] == Path(given["--engine_dir"]).name
        assert ("--accuracy_check" in given) == (model == "large-v3")
        assert f"load_dataset('{given['--dataset']}', 'clean'" in shlex.split(data_set)[-1]


def test_what_is_fetched_stands_there_with_its_checksum(
    capsys: pytest.CaptureFixture[str],
) -> None:
    steps = dry_run(capsys, "--profile", "h100", "--model", "turbo")
    assert len(steps["fetch"]) == 3
    weights = steps["fetch"][-1]
    assert "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a" in weights
    assert "/large-v3-turbo.pt to " in weights


def test_a_dry_run_writes_nothing_and_says_where_the_example_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [f"--{name}={tmp_path / name}" for name in ("output", "assets", "work")]
    arguments = ["build", "--profile", "h100", "--model", "large-v3", "--dry-run", *where]
    assert main(arguments, FakeMachine(visible=[], packages={})) == 0
    assert not list(tmp_path.iterdir())
    assert "/app/tensorrt_llm/examples/models/core/whisper" in capsys.readouterr().out
