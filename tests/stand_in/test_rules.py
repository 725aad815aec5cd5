"""The rules let the committed configurations pass, and each of them can fail."""

from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from pipeline.contract import WHISPER
from tests.pipeline.test_contract import EMBEDDED, REPOSITORY, parse
from tests.stand_in.engine import LIMITS
from tests.stand_in.rules import DTYPES, SHAPED, ViolationError, check_model, check_request

CONFIGS = [
    path for path in sorted((REPOSITORY / WHISPER).rglob("*.pbtxt")) if path.name != EMBEDDED
]


class Engine:
    """What the rules ask of a manifest."""

    limits = LIMITS
    n_mels = 128
    vocab_size = 51866


def as_json(path: Any) -> dict[str, Any]:
    """A configuration as Triton hands it to a Python model: with all defaults."""
    config: dict[str, Any] = json_format.MessageToDict(
        parse(path), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return config


def request() -> dict[str, Any]:
    """One that the engine takes."""
    scalars = {name: np.ones(1, dtype) for name, dtype in DTYPES.items() if name not in SHAPED}
    features = np.linspace(-0.5, 1.5, 3000 * 128, dtype=np.float32).astype(np.float16)
    return {
        **scalars,
        "encoder_input_features": features.reshape(1, 3000, 128),
        "input_lengths": np.array([3000], np.int32),
        "encoder_output_lengths": np.array([1500], np.int32),
        "decoder_input_ids": np.array([[50258]], np.int32),
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_of_the_engine_would_be_loaded(path: Any) -> None:
    check_model(as_json(path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a_slip_of_the_pen", "1"),
        ("tokenizer_dir", None),
        ("xgrammar_tokenizer_info_path", None),
        ("guided_decoding_backend", None),
        ("gpt_model_type", "V1"),
        ("gpt_model_path", "/models/decoder"),
        ("encoder_model_path", ""),
        ("batch_scheduler_policy", "max_utilization"),
        ("kv_cache_free_gpu_mem_fraction", "1.5"),
        ("cross_kv_cache_fraction", "0"),
        ("max_beam_width", "0"),
        ("max_tokens_in_paged_kv_cache", "24000"),
        ("exclude_input_in_output", "false"),
        ("enable_kv_cache_reuse", "true"),
        ("normalize_log_probs", "true"),
        ("cancellation_check_period_ms", "500"),
    ],
)
def test_a_parameter_that_breaks_a_rule_is_found(name: str, value: str | None) -> None:
    config = as_json(CONFIGS[0])
    config["parameters"].pop(name, None)
    if value is not None:
        config["parameters"][name] = {"string_value": value}
    with pytest.raises(ViolationError):
        check_model(config)


@pytest.mark.parametrize(
    "field", ["reshape", "allow_ragged_batch", "decoupled", "default_queue_policy"]
)
def test_a_model_of_another_shape_is_found(field: str) -> None:
    config = as_json(CONFIGS[0])
    if field == "decoupled":
        config["model_transaction_policy"][field] = True
    elif field == "default_queue_policy":
        del config["dynamic_batching"][field]
    else:
        tensor = next(t for t in config["input"] if t.get(field))
        tensor[field] = False
        if field == "reshape":
            del tensor[field]
    with pytest.raises(ViolationError):
        check_model(config)


def test_a_request_that_keeps_the_rules_is_taken() -> None:
    check_request(request(), Engine())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder_input_features", np.zeros((1, 3000, 80), np.float16)),
        ("encoder_input_features", np.zeros((2, 3000, 128), np.float16)),
        ("encoder_input_features", np.zeros((1, 3000, 128), np.float32)),
        ("encoder_input_features", np.full((1, 3000, 128), np.nan, np.float16)),
        ("input_lengths", np.array([2999], np.int32)),
        ("encoder_output_lengths", np.array([3000], np.int32)),
        ("decoder_input_ids", np.zeros((1, 0), np.int32)),
        ("decoder_input_ids", np.zeros((1, 229), np.int32)),
        ("decoder_input_ids", np.array([[51866]], np.int32)),
        ("request_output_len", np.array([0], np.int32)),
        ("request_output_len", np.array([448], np.int32)),
        ("end_id", np.array([50256], np.int32)),
        ("runtime_top_k", np.array([50], np.int32)),
        ("runtime_top_k", np.array([1], np.int64)),
        ("return_log_probs", np.array([False])),
        ("beam_width", np.array([4], np.int32)),
        ("temperature", np.array([[1.0]], np.float32)),
        ("early_stopping", np.array([True])),
    ],
)
def test_a_request_that_breaks_a_rule_is_found(name: str, value: Any) -> None:
    with pytest.raises(ViolationError):
        check_request(request() | {name: value}, Engine())


@pytest.mark.parametrize("name", DTYPES)
def test_a_tensor_that_is_missing_is_found(name: str) -> None:
    tensors = request()
    del tensors[name]
    with pytest.raises(ViolationError):
        check_request(tensors, Engine())
