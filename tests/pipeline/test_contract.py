"""The model repository is held against the tensor contract: names, types, shapes and maps."""

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from pipeline import contract
from pipeline.contract import Tensor
from pipeline.voice_activity import IDLE_LIMIT_S
from tests.pipeline.support import ROOT

REPOSITORY = ROOT / "model_repository"
CONFIGS = sorted([*REPOSITORY.glob("*/config.pbtxt"), *REPOSITORY.glob("*/configs/*.pbtxt")])
MODELS = sorted(REPOSITORY.glob("*/*/model.py"))

WINDOW = (contract.WINDOW, contract.WINDOW_INFO)
PROMPT = next(t for t in contract.ENGINE_INPUTS if t.name == "decoder_input_ids")
TENSORS: dict[str, tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = {
    contract.ENSEMBLE: ((contract.AUDIO,), (contract.TRANSCRIPT, contract.FEEDBACK)),
    contract.SILERO_VAD: ((contract.AUDIO,), (*WINDOW, contract.RESUME)),
    contract.LOG_MEL: (WINDOW, (*contract.ENGINE_INPUTS, contract.LANGUAGE_PROB)),
    contract.WHISPER: (contract.ENGINE_INPUTS, contract.ENGINE_OUTPUTS),
    contract.TRANSCRIPT_MODEL: (
        (*contract.ENGINE_OUTPUTS, PROMPT, contract.LANGUAGE_PROB, *WINDOW),
        (contract.TRANSCRIPT, contract.FEEDBACK),
    ),
}

EMBEDDED_INPUTS = {contract.WHISPER: (*contract.ENGINE_INPUTS, *contract.EMBEDDED_ENGINE_HINTS)}
"""Where they are not those of the contract."""
EMBEDDED = "embedded.pbtxt"
ENSEMBLES = [path for path in CONFIGS if path.relative_to(REPOSITORY).parts[0] == contract.ENSEMBLE]


UNMAPPED = {contract.RESUME}
"""Outputs that are no part of the ensemble: the model itself is asked for them."""


def inputs_of(model: str, path: Path) -> tuple[Tensor, ...]:
    """What a model takes by the contract, in this configuration."""
    inputs = TENSORS[model][0]
    return EMBEDDED_INPUTS.get(model, inputs) if path.name == EMBEDDED else inputs


def parse(path: Path) -> Any:
    return text_format.Parse(path.read_text(encoding="utf-8"), pb.ModelConfig())


def config_of(model: str) -> Any:
    """A model's config, the embedded one where there are several."""
    embedded = REPOSITORY / model / "configs" / EMBEDDED
    return parse(embedded if embedded.is_file() else REPOSITORY / model / "config.pbtxt")


def tensors_of(declared: Any) -> set[Tensor]:
    return {Tensor(t.name, pb.DataType.Name(t.data_type), tuple(t.dims)) for t in declared}


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).parts[0]


@pytest.fixture(scope="module", params=ENSEMBLES, ids=lambda path: path.name)
def ensemble(request: pytest.FixtureRequest) -> Path:
    """Each configuration of the ensemble."""
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def steps(ensemble: Path) -> list[Any]:
    return list(parse(ensemble).ensemble_scheduling.step)


def test_the_repository_holds_the_contracts_models_and_no_other() -> None:
    assert {name_of(path) for path in CONFIGS} == set(TENSORS)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_config_declares_the_contracts_tensors(path: Path) -> None:
    config, name = parse(path), name_of(path)
    assert config.name == name
    assert tensors_of(config.input) == set(inputs_of(name, path))
    assert tensors_of(config.output) == set(TENSORS[name][1])


def test_profiles_differ_from_the_h100_in_what_a_profile_decides_alone() -> None:
    whole = parse(REPOSITORY / contract.WHISPER / "config.pbtxt")
    profiles = [path for path in CONFIGS if name_of(path) == contract.WHISPER]
    profiles = [path for path in profiles if path.name not in {EMBEDDED, "config.pbtxt"}]
    assert len(profiles) == 5
    for path in profiles:
        config = parse(path)
        for name in ("kv_cache_free_gpu_mem_fraction", "max_beam_width"):
            assert config.parameters[name].string_value
            config.parameters[name].CopyFrom(whole.parameters[name])
        policy = whole.dynamic_batching.default_queue_policy
        assert config.dynamic_batching.default_queue_policy.max_queue_size > 0
        config.dynamic_batching.default_queue_policy.CopyFrom(policy)
        assert config == whole, path.name


def test_the_embedded_engine_can_do_without_hints() -> None:
    config = config_of(contract.WHISPER)
    optional = {tensor.name for tensor in config.input if tensor.optional}
    assert optional == {tensor.name for tensor in contract.EMBEDDED_ENGINE_HINTS}


def test_the_ensembles_differ_in_the_hints_alone() -> None:
    plain, embedded = (
        parse(REPOSITORY / contract.ENSEMBLE / p) for p in ("config.pbtxt", f"configs/{EMBEDDED}")
    )
    for step in embedded.ensemble_scheduling.step:
        if step.model_name == contract.WHISPER:
            for tensor in contract.EMBEDDED_ENGINE_HINTS:
                del step.input_map[tensor.name]
    assert plain == embedded


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_members_that_batch_take_tensors_of_any_length_together(path: Path) -> None:
    config = parse(path)
    if config.platform == "ensemble" or config.backend != "python":
        return
    for tensor in config.input:
        assert tensor.allow_ragged_batch == (-1 in tensor.dims), tensor.name


def test_the_steps_are_the_stages_in_their_order(steps: list[Any]) -> None:
    assert [step.model_name for step in steps] == [
        contract.SILERO_VAD,
        contract.LOG_MEL,
        contract.WHISPER,
        contract.TRANSCRIPT_MODEL,
    ]


def test_every_step_maps_its_tensors(steps: list[Any], ensemble: Path) -> None:
    for step in steps:
        inputs = inputs_of(step.model_name, ensemble)
        assert set(step.input_map) == {tensor.name for tensor in inputs}
        outputs = set(TENSORS[step.model_name][1]) - UNMAPPED
        assert set(step.output_map) == {tensor.name for tensor in outputs}


def test_every_tensor_of_the_ensemble_is_made_once_and_used(steps: list[Any]) -> None:
    made = Counter(name for step in steps for name in step.output_map.values())
    used = {name for step in steps for name in step.input_map.values()}
    given = {contract.AUDIO.name}
    wanted = {contract.TRANSCRIPT.name, contract.FEEDBACK.name}
    assert set(made.values()) == {1}
    assert not given & set(made)
    assert used | wanted == set(made) | given


def test_mapped_tensors_are_of_one_type_and_shape(steps: list[Any], ensemble: Path) -> None:
    kinds: dict[str, set[tuple[str, tuple[int, ...]]]] = {}
    for step in steps:
        tensors = (*inputs_of(step.model_name, ensemble), *TENSORS[step.model_name][1])
        declared = {t.name: (t.data_type, t.dims) for t in tensors}
        for name, mapped in [*step.input_map.items(), *step.output_map.items()]:
            kinds.setdefault(mapped, set()).add(declared[name])
    assert all(len(kind) == 1 for kind in kinds.values()), kinds


def test_no_step_behind_the_decoupled_one_reads_the_ensembles_input(steps: list[Any]) -> None:
    decoupled = [
        s.model_name for s in steps if config_of(s.model_name).model_transaction_policy.decoupled
    ]
    assert decoupled == [contract.SILERO_VAD]
    readers = [s.model_name for s in steps if contract.AUDIO.name in s.input_map.values()]
    assert readers == [contract.SILERO_VAD]


def test_the_ensemble_batches_no_more_than_each_member(steps: list[Any]) -> None:
    most = config_of(contract.ENSEMBLE).max_batch_size
    assert most > 0  # tensors carry a batch dimension
    for path in CONFIGS:
        assert most <= parse(path).max_batch_size


def test_the_ensemble_has_the_version_folder_that_triton_wants() -> None:
    assert any((REPOSITORY / contract.ENSEMBLE / "1").iterdir())


def test_triton_forgets_a_sequence_before_its_stage_does() -> None:
    batching = config_of(contract.SILERO_VAD).sequence_batching
    assert 0 < batching.max_sequence_idle_microseconds < IDLE_LIMIT_S * 1_000_000
    assert batching.WhichOneof("strategy_choice") == "oldest"


def test_the_stage_with_state_has_one_instance() -> None:
    assert sum(group.count for group in config_of(contract.SILERO_VAD).instance_group) == 1


@pytest.mark.parametrize("path", MODELS, ids=name_of)
def test_a_stages_entry_is_short_and_holds_no_logic(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not any(isinstance(node, defined) for node in ast.walk(ast.parse(text)))


def test_every_python_stage_has_an_entry() -> None:
    python = {name_of(path) for path in CONFIGS if parse(path).backend == "python"}
    assert {name_of(path) for path in MODELS} == python
