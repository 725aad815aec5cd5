"""What the TensorRT-LLM backend (1.2.1) demands of a model's configuration and of a request.

Read from the backend's sources (`model_state.cc`, `model_instance_state.cc`, `utils.cc`). Whatever
breaks a rule is a `ViolationError` that names it. It knows no Triton API and no model.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.engine_manifest import EngineLimits

Tensors = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """What is asked of an engine: a part of its manifest."""

    @property
    def limits(self) -> EngineLimits: ...
    @property
    def n_mels(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...


READ_PARAMETERS = frozenset(
    """
    FORCE_CPU_ONLY_INPUT_TENSORS batch_scheduler_policy cancellation_check_period_ms
    cross_kv_cache_fraction cuda_graph_cache_size cuda_graph_mode decoding_mode eagle_choices
    enable_chunked_context enable_context_fmha_fp32_acc enable_kv_cache_reuse enable_trt_overlap
    encoder_model_path exclude_input_in_output executor_worker_path gpt_model_path gpt_model_type
    gpu_device_ids gpu_weights_percent guided_decoding_backend iter_stats_max_iterations
    kv_cache_free_gpu_mem_fraction kv_cache_host_memory_bytes kv_cache_onboard_blocks
    lookahead_ngram_size lookahead_verification_set_size lookahead_window_size
    lora_cache_gpu_memory_fraction lora_cache_host_memory_bytes lora_cache_max_adapter_size
    lora_cache_optimal_adapter_size lora_prefetch_dir max_attention_window_size max_beam_width
    max_tokens_in_paged_kv_cache medusa_choices multi_block_mode normalize_log_probs num_nodes
    participant_ids request_stats_max_iterations sink_token_length speculative_decoding_fast_logits
    stats_check_period_ms tokenizer_dir xgrammar_tokenizer_info_path
    """.split()
)
"""Parameters of the backend's template. It ignores others without a word: most likely a slip."""
KEYS_THAT_MUST_EXIST = ("tokenizer_dir", "xgrammar_tokenizer_info_path", "guided_decoding_backend")
BOOLEANS = frozenset({"True", "true", "TRUE", "1", "False", "false", "FALSE", "0"})

DTYPES: dict[str, type[np.generic]] = {
    "encoder_input_features": np.float16,
    "encoder_output_lengths": np.int32,
    "input_lengths": np.int32,
    "decoder_input_ids": np.int32,
    "request_output_len": np.int32,
    "end_id": np.int32,
    "pad_id": np.int32,
    "runtime_top_k": np.int32,
    "return_log_probs": np.bool_,
    "beam_width": np.int32,
    "temperature": np.float32,
    "len_penalty": np.float32,
    "repetition_penalty": np.float32,
}
"""Of the tensors that Whisper needs; `early_stopping` is not among them: the backend reads it as
another type than its template declares."""
SHAPED = ("encoder_input_features", "decoder_input_ids")
"""All others are scalars, which Triton hands over as [1] (`reshape { shape: [] }`)."""


class ViolationError(ValueError):
    """A rule is broken; the text says which."""


def check_model(config: Mapping[str, Any]) -> None:
    """Raises ViolationError unless the backend would load a model so configured (as JSON)."""
    parameters = {name: p["string_value"] for name, p in config["parameters"].items()}
    _require(not set(parameters) - READ_PARAMETERS, f"unknown among {sorted(parameters)}")
    for key in KEYS_THAT_MUST_EXIST:
        _require(key in parameters, f"the parameter {key} is missing")
    _require(parameters["gpt_model_type"] == "inflight_fused_batching", "in-flight batching is off")
    _require(parameters["gpt_model_path"] == "/engine/decoder", "the decoder is not in /engine")
    _require(parameters["encoder_model_path"] == "/engine/encoder", "the encoder: not in /engine")
    _require(parameters["batch_scheduler_policy"] == "guaranteed_no_evict", "windows are evicted")
    _require(0 < float(parameters["kv_cache_free_gpu_mem_fraction"]) < 1, "no share of memory")
    _require(0 < float(parameters["cross_kv_cache_fraction"]) < 1, "no share for cross-attention")
    _require(int(parameters["max_beam_width"]) >= 1, "no beam")
    _require(parameters["max_tokens_in_paged_kv_cache"] == "", "the caches are capped")
    _require(parameters["exclude_input_in_output"] == "true", "the prompt would be in the answer")
    _require(parameters["enable_kv_cache_reuse"] == "false", "texts would share a cache")
    _require(parameters["normalize_log_probs"] == "false", "every log-probability would be 0")
    _require(1 <= int(parameters["cancellation_check_period_ms"]) <= 100, "cancels too late")
    _require(not config["model_transaction_policy"]["decoupled"], "a window has one answer")
    for tensor in config["input"]:
        if tensor["name"] not in SHAPED:
            _require("reshape" in tensor, f"{tensor['name']} is a scalar and needs its reshape")
        else:
            _require(tensor["allow_ragged_batch"], f"{tensor['name']} differs between requests")
    _require(int(_queue_policy(config)["max_queue_size"]) > 0, "the queue has no end")


def _queue_policy(config: Mapping[str, Any]) -> Mapping[str, Any]:
    policy: Mapping[str, Any] = config["dynamic_batching"].get("default_queue_policy", {})
    return {"max_queue_size": 0, **policy}


def check_request(tensors: Tensors, engine: Engine) -> None:
    """Raises ViolationError unless this engine would answer a request with these tensors."""
    _require(set(tensors) == set(DTYPES), f"the tensors are {sorted(tensors)}")
    for name, array in tensors.items():
        _require(array.dtype == DTYPES[name], f"{name} is {array.dtype}")
        if name not in SHAPED:
            _require(array.shape == (1,), f"{name} has shape {array.shape}")
    _check_features(tensors, engine)
    _check_prompt(tensors, engine)
    _require(1 <= tensors["beam_width"][0] <= engine.limits.max_beam_width, "too many beams")
    _require(tensors["end_id"][0] == tensors["pad_id"][0], "end_id and pad_id differ")
    _require(tensors["runtime_top_k"][0] == 1, "no sampling parameter: log-probs would not come")
    _require(bool(tensors["return_log_probs"][0]), "log-probs are not asked for")


def _check_features(tensors: Tensors, engine: Engine) -> None:
    features = tensors["encoder_input_features"]
    frames = int(tensors["input_lengths"][0])
    _require(
        features.shape == (1, frames, engine.n_mels), f"features {features.shape}, {frames} frames"
    )
    _require(frames % 2 == 0, f"{frames} frames are odd")
    _require(0 < frames <= engine.limits.max_encoder_input_len, f"{frames} frames")
    _require(tensors["encoder_output_lengths"][0] == frames // 2, "encoder_output_lengths")
    _require(bool(np.isfinite(features).all()), "features are not finite")
    # Whisper's own: the loudest is at least 2 above the least, and nothing is far from [-1, 2].
    _require(float(features.max() - features.min()) <= 2.01, "features are no log-mel of Whisper's")


def _check_prompt(tensors: Tensors, engine: Engine) -> None:
    prompt = tensors["decoder_input_ids"]
    _require(prompt.ndim == 2 and prompt.shape[0] == 1, f"decoder_input_ids {prompt.shape}")
    length, new = prompt.shape[1], int(tensors["request_output_len"][0])
    _require(0 < length <= engine.limits.max_input_len, f"a prompt of {length} tokens")
    _require(new > 0, f"request_output_len {new}")
    _require(length + new <= engine.limits.max_seq_len, f"{length} + {new} tokens are too many")
    _require(bool(((prompt >= 0) & (prompt < engine.vocab_size)).all()), "no tokens of the model")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ViolationError(otherwise)
