"""The hardware profiles: their arithmetic, their strictness, and what Triton is told of them."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from build.engine.errors import EngineError
from build.engine.machine import Gpu
from build.engine.models import LARGE_V3, LARGE_V3_TURBO, MODELS, WhisperModel, find_model
from build.engine.profiles import (
    PROFILES,
    RUNTIME_MIB,
    Profile,
    all_profiles,
    find_profile,
    load_profile,
    table,
)
from pipeline.tokens import MAX_PROMPT_TOKENS, MAX_TEXT_TOKENS
from tests.build.engine.support import H100, ROOT, SLICE

ALL = all_profiles()
CONFIGS = ROOT / "model_repository" / "whisper"
every_profile = pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)


def served(profile: Profile) -> list[WhisperModel]:
    return [MODELS[name] for name in profile.models]


def config_of(profile: Profile) -> Any:
    """What Triton reads for the profile."""
    own = CONFIGS / "configs" / f"{profile.name}.pbtxt"
    path = own if own.is_file() else CONFIGS / "config.pbtxt"
    assert own.is_file() or profile.name == "h100"
    return text_format.Parse(path.read_text(encoding="utf-8"), pb.ModelConfig())


def test_there_is_a_profile_for_each_hardware_that_is_promised() -> None:
    assert [profile.name for profile in ALL] == [
        "a100",
        "h100",
        "h100-mig-1g.10gb",
        "h100-mig-2g.20gb",
        "h100-mig-3g.40gb",
        "l40s",
    ]


def test_sizes_follow_from_openais_dimensions() -> None:
    assert (LARGE_V3.cross_kv_mib, LARGE_V3.self_kv_mib) == (234.375, 70.0)
    assert (LARGE_V3_TURBO.cross_kv_mib, LARGE_V3_TURBO.self_kv_mib) == (29.296875, 8.75)
    parameters = {model.name: model.weights_mib * (1 << 20) / 2 for model in MODELS.values()}
    copied_head = 51866 * 1280  # OpenAI counts the embedding once: 1.54 and 0.81 billion
    assert round((parameters["large-v3"] - copied_head) / 1e6) == 1543
    assert round((parameters["large-v3-turbo"] - copied_head) / 1e6) == 809


@every_profile
def test_the_cache_holds_every_utterance_that_is_decoded_together(profile: Profile) -> None:
    for model in served(profile):
        most = profile.batches(model).decoder_max_batch_size
        assert profile.utterances_in_cache(model) >= most, model.name


@every_profile
def test_weights_runtime_and_cache_fit_the_least_memory(profile: Profile) -> None:
    for model in served(profile):
        most = profile.batches(model).decoder_max_batch_size
        cache = most * (model.cross_kv_mib + model.self_kv_mib)
        assert model.weights_mib + RUNTIME_MIB + cache < profile.gpu.least_memory_mib


@every_profile
def test_both_caches_run_full_together(profile: Profile) -> None:
    share = LARGE_V3.cross_kv_mib / (LARGE_V3.cross_kv_mib + LARGE_V3.self_kv_mib)
    assert profile.serving.cross_kv_cache_fraction == pytest.approx(share, abs=0.005)


@every_profile
def test_four_batches_of_the_largest_model_may_wait(profile: Profile) -> None:
    largest = max(served(profile), key=lambda model: model.weights_mib)
    batch = profile.batches(largest).decoder_max_batch_size
    assert profile.serving.max_queue_size == 4 * batch


@every_profile
def test_limits_are_whispers_own(profile: Profile) -> None:
    limits = profile.limits
    start_of_previous_text, start_and_task = 1, 4
    assert limits.max_input_len == MAX_PROMPT_TOKENS + start_of_previous_text + start_and_task
    assert limits.max_seq_len == MAX_TEXT_TOKENS
    assert (limits.max_encoder_input_len, limits.max_beam_width) == (3000, 1)


@every_profile
def test_triton_is_told_the_profiles_values(profile: Profile) -> None:
    config, serving = config_of(profile), profile.serving
    value = {name: parameter.string_value for name, parameter in config.parameters.items()}
    fraction = float(value["kv_cache_free_gpu_mem_fraction"])
    assert fraction == serving.kv_cache_free_gpu_mem_fraction
    assert float(value["cross_kv_cache_fraction"]) == serving.cross_kv_cache_fraction
    assert int(value["max_beam_width"]) == profile.limits.max_beam_width
    queue = config.dynamic_batching.default_queue_policy
    assert queue.max_queue_size == serving.max_queue_size


def test_every_configuration_of_the_backend_has_its_profile() -> None:
    names = {path.stem for path in (CONFIGS / "configs").glob("*.pbtxt")} - {"embedded"}
    assert names == {profile.name for profile in ALL} - {"h100"}


def test_the_smallest_slice_serves_turbo_alone() -> None:
    smallest = find_profile("h100-mig-1g.10gb")
    assert served(smallest) == [LARGE_V3_TURBO]
    with pytest.raises(EngineError, match=r"does not serve large-v3, only large-v3-turbo"):
        smallest.batches(LARGE_V3)


def test_each_gpu_has_one_profile() -> None:
    fitting = {
        gpu: [profile.name for profile in ALL if profile.mismatch(gpu) is None]
        for gpu in (
            H100,
            SLICE,
            Gpu("NVIDIA H100 PCIe", 81559, "9.0"),
            Gpu("NVIDIA H100 80GB HBM3", 9856, "9.0", "1g.10gb"),
            Gpu("NVIDIA H100 80GB HBM3", 20096, "9.0", "2g.20gb"),
            Gpu("NVIDIA L40S", 46068, "8.9"),
            Gpu("NVIDIA A100-SXM4-40GB", 40960, "8.0"),
            Gpu("NVIDIA A100 80GB PCIe", 81920, "8.0"),
            Gpu("NVIDIA L4", 23034, "8.9"),
            Gpu("NVIDIA A100-SXM4-80GB", 40192, "8.0", "3g.40gb"),
        )
    }
    names = ["h100", "h100-mig-3g.40gb", "h100", "h100-mig-1g.10gb", "h100-mig-2g.20gb"]
    expected = [[name] for name in (*names, "l40s", "a100", "a100")]
    assert list(fitting.values()) == [*expected, [], []]


@pytest.mark.parametrize(
    ("gpu", "why"),
    [
        (Gpu("NVIDIA A100 80GB PCIe", 81920, "8.0"), "the GPU is NVIDIA A100 80GB PCIe, not"),
        (SLICE, "it is for a whole GPU, not for NVIDIA H100 80GB HBM3 MIG 3g.40gb"),
        (Gpu("NVIDIA H100 64GB", 65000, "9.0"), "it needs 80000 MiB of GPU memory"),
    ],
)
def test_what_does_not_fit_is_said(gpu: Gpu, why: str) -> None:
    mismatch = find_profile("h100").mismatch(gpu)
    assert mismatch is not None
    assert mismatch.startswith(why)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("max_queue_size = 256", "max_queue = 256", "serving.max_queue_size: Field required"),
        ("max_beam_width = 1 ", "max_beams = 1\nmax_beam_width = 1 ", "limits.max_beams: Extra"),
        ("= 0.85", '= "0.85"', "serving.kv_cache_free_gpu_mem_fraction: Input should be a valid"),
        ("= 0.85", "= 1.85", "serving.kv_cache_free_gpu_mem_fraction: Input should be less than 1"),
        ('"none"', '"third"', "gpu.mig_profile: String should match"),
        ("[models.large-v3]", "[models.large-v4]", "models: Value error, 'large-v4' is none of"),
        ("= 228 ", "= 228.0 ", "limits.max_input_len: Input should be a valid integer"),
        ('["NVIDIA H100*"]', "[]", "gpu.names: List should have at least 1 item"),
        ("[limits]", "[limits", "cannot be read"),
    ],
)
def test_a_wrong_profile_is_one_line(before: str, after: str, message: str, tmp_path: Path) -> None:
    text = (PROFILES / "h100.toml").read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "h100.toml"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(EngineError) as raised:
        load_profile(path)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(EngineError, match=r"no profile 'h200'.*a100, h100"):
        find_profile("h200")
    with pytest.raises(EngineError, match="no profile"):
        find_profile("../profiles/h100")
    with pytest.raises(EngineError, match=r"no model 'large-v2'; .* large-v3, large-v3-turbo"):
        find_model("large-v2")


def test_the_table_has_a_line_for_each_model_of_a_profile() -> None:
    lines = table(ALL)
    assert len(lines) == 1 + sum(len(profile.models) for profile in ALL)
    assert lines[0].split()[:2] == ["profile", "GPU"]
    row = next(line for line in lines if line.startswith("h100-mig-1g.10gb"))
    assert row.split()[-5:] == ["large-v3-turbo", "4", "16", "110", "64"]
