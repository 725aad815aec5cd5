"""Holds our configurations of the engine model against the template of the image's own backend.

Triton and the backend ignore names that they do not know and complain of missing ones late, or not
at all. So the build stops where a committed file and the template of this very image differ. The
template is text with `${placeholders}`, some of them where a number or a type belongs. It knows no
engine.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.text_format import ParseError

from build.engine.errors import StepFailedError
from build.engine.triton_schema import parse

BACKEND = "tensorrtllm"

REQUIRED = {
    "gpt_model_type": "the backend throws without it",
    "tokenizer_dir": "the backend throws without it, even unused",
    "xgrammar_tokenizer_info_path": "the backend throws without it, even unused",
    "guided_decoding_backend": "the backend throws without it, even unused",
    "gpt_model_path": "without it there is no decoder",
    "encoder_model_path": "without it there is no encoder",
    "cross_kv_cache_fraction": "encoder-decoder engines do not load without it",
    "batch_scheduler_policy": "the default may change",
    "kv_cache_free_gpu_mem_fraction": "the default takes 0.9 of any GPU",
    "max_beam_width": "it has to be what the engine was built for",
    "enable_kv_cache_reuse": "the default is true",
    "exclude_input_in_output": "the default is false",
    "normalize_log_probs": "the default is true, and every log-probability 0",
}
"""Parameters that our files must have, and why (the backend's `model_instance_state.cc`)."""

LEFT_OUT = {
    "FORCE_CPU_ONLY_INPUT_TENSORS": "the template's no is the default",
    "max_tokens_in_paged_kv_cache": "would cap each pool of the cache",
    "max_attention_window_size": "attention over the whole text",
    "sink_token_length": "belongs to attention windows",
    "kv_cache_host_memory_bytes": "no cache in host memory",
    "kv_cache_onboard_blocks": "belongs to the cache in host memory",
    "enable_trt_overlap": "experimental, ignored since 0.18",
    "cancellation_check_period_ms": "the default of 100 ms would do",
    "stats_check_period_ms": "the default of 100 ms does",
    "iter_stats_max_iterations": "the default does",
    "request_stats_max_iterations": "the default does",
    "enable_chunked_context": "decoder prompts are short",
    "gpu_device_ids": "one GPU",
    "participant_ids": "one process",
    "num_nodes": "one node",
    "lora_cache_optimal_adapter_size": "no LoRA",
    "lora_cache_max_adapter_size": "no LoRA",
    "lora_cache_gpu_memory_fraction": "no LoRA",
    "lora_cache_host_memory_bytes": "no LoRA",
    "lora_prefetch_dir": "no LoRA",
    "decoding_mode": "the default: sampling, since there is one beam",
    "executor_worker_path": "the template's path is the default",
    "lookahead_window_size": "no speculative decoding",
    "lookahead_ngram_size": "no speculative decoding",
    "lookahead_verification_set_size": "no speculative decoding",
    "medusa_choices": "no speculative decoding",
    "eagle_choices": "no speculative decoding",
    "speculative_decoding_fast_logits": "no speculative decoding",
    "gpu_weights_percent": "all weights on the GPU",
    "enable_context_fmha_fp32_acc": "the default does",
    "multi_block_mode": "the default, true, does",
    "cuda_graph_mode": "not tried with Whisper",
    "cuda_graph_cache_size": "belongs to CUDA graphs",
}
"""Parameters of the template that our files may do without, and why. A parameter in neither table
is new: somebody has to decide."""

_BARE_PLACEHOLDER = re.compile(r"(\w+)(\s*:\s*\[?\s*)\$\{\w+\}")
_STAND_INS = {"data_type": "TYPE_INVALID", "decoupled": "false"}
_ANY_TYPE = 0
"""TYPE_INVALID: the template leaves the type to whoever fills it in."""


def check_configs(folder: Path, template: Path) -> list[Path]:
    """Compare every configuration in `folder` (a Triton model's) that is for the backend.

    Returns:
        The files that were compared.

    Raises:
        StepFailedError: they differ; the message has a line for each difference.
    """
    reference = _parse(template, bare_placeholders=True)
    files = [folder / "config.pbtxt", *sorted((folder / "configs").glob("*.pbtxt"))]
    for_backend = [path for path in files if _parse(path).backend == BACKEND]
    compared = {path: _parse(path, strict=True) for path in for_backend}
    if files[0] not in compared:
        raise StepFailedError(f'{files[0]} has not backend: "{BACKEND}"')
    found = [f"{path}: {d}" for path, c in compared.items() for d in differences(c, reference)]
    if found:
        raise StepFailedError("\n".join([f"not what {template} wants:", *found]))
    return list(compared)


def differences(ours: Any, template: Any) -> Iterator[str]:
    """Where a `ModelConfig` of ours is not one that the template could have become."""
    yield from _tensors("input", ours.input, template.input)
    yield from _tensors("output", ours.output, template.output)
    given = {tensor.name for tensor in ours.input}
    for tensor in template.input:
        if not tensor.optional and tensor.name not in given:
            yield f"input {tensor.name} is missing, and the backend requires it"
    yield from _parameters(
        {entry.key: entry.value.string_value for entry in ours.parameters},
        {entry.key for entry in template.parameters},
    )
    if list(ours.instance_group) != list(template.instance_group):
        yield "instance_group is not the template's"


def _tensors(kind: str, ours: Any, template: Any) -> Iterator[str]:
    known = {tensor.name: tensor for tensor in template}
    for tensor in ours:
        name = f"{kind} {tensor.name}"
        theirs = known.get(tensor.name)
        if theirs is None:
            yield f"{name} is unknown to this image"
            continue
        if theirs.data_type not in (_ANY_TYPE, tensor.data_type):
            yield f"{name}: data_type differs"
        if list(tensor.dims) != list(theirs.dims):
            yield f"{name}: dims are {list(theirs.dims)} there, {list(tensor.dims)} here"
        if _reshape(tensor) != _reshape(theirs):
            yield f"{name}: reshape differs"
        if kind == "input":
            yield from _flags(name, tensor, theirs)


def _flags(name: str, ours: Any, theirs: Any) -> Iterator[str]:
    """We may require what the backend can do without, and not the other way round."""
    if ours.optional and not theirs.optional:
        yield f"{name} is optional here, and the backend requires it"
    if ours.allow_ragged_batch != theirs.allow_ragged_batch:
        yield f"{name}: allow_ragged_batch differs"


def _parameters(ours: Mapping[str, str], template: set[str]) -> Iterator[str]:
    for name, value in ours.items():
        if name not in template:
            yield f"parameter {name} is unknown to this image"
        if "${" in value:
            yield f"parameter {name} is not filled in: {value}"
    for name, why in REQUIRED.items():
        if name not in ours:
            yield f"parameter {name} is missing: {why}"
    for name in sorted(template - set(ours) - set(LEFT_OUT) - set(REQUIRED)):
        yield (
            f"parameter {name} of the template is neither here nor left out on purpose "
            "(build/engine/config_check.py, LEFT_OUT): decide"
        )


def _reshape(tensor: Any) -> list[int] | None:
    return list(tensor.reshape.shape) if tensor.HasField("reshape") else None


def _parse(path: Path, strict: bool = False, bare_placeholders: bool = False) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if bare_placeholders:
            text = _BARE_PLACEHOLDER.sub(_stand_in, text)
        return parse(text, strict)
    except OSError as error:
        raise StepFailedError(f"{path} cannot be read: {error.strerror}") from error
    except ParseError as error:
        raise StepFailedError(f"{path} is no Triton configuration: {error}") from error


def _stand_in(match: re.Match[str]) -> str:
    field, between = match.groups()
    return f"{field}{between}{_STAND_INS.get(field, '1')}"
