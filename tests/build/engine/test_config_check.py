"""Our configurations against the backend's template, and what must not slip through."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, text_format
from tritonclient.grpc import model_config_pb2 as pb

from build.engine.config_check import LEFT_OUT, REQUIRED, check_configs
from build.engine.errors import StepFailedError
from build.engine.triton_schema import model_config
from tests.build.engine.support import ROOT, TEMPLATE

WHISPER = ROOT / "model_repository" / "whisper"
OURS = (WHISPER / "config.pbtxt").read_text(encoding="utf-8")


def repository(folder: Path, text: str = OURS) -> Path:
    """A model's folder with one configuration."""
    model = folder / "whisper"
    model.mkdir()
    (model / "config.pbtxt").write_text(text, encoding="utf-8")
    return model


def refusal(model: Path, template: Path = TEMPLATE) -> str:
    """What is said of a model that does not fit the template."""
    with pytest.raises(StepFailedError) as raised:
        check_configs(model, template)
    return str(raised.value)


def changed(folder: Path, before: str, after: str) -> str:
    """What is said of our configuration with one change."""
    assert OURS.count(before) == 1, before
    return refusal(repository(folder, OURS.replace(before, after)))


def test_the_committed_configurations_agree_with_the_template() -> None:
    compared = {path.stem for path in check_configs(WHISPER, TEMPLATE)}
    assert compared >= {"config", "h100-mig-1g.10gb", "l40s", "a100"}
    assert "embedded" not in compared


def test_every_parameter_of_the_template_is_ours_or_left_out_on_purpose() -> None:
    ours = set(text_format.Parse(OURS, pb.ModelConfig()).parameters)
    template = {line.split('"')[1] for line in TEMPLATE.read_text().splitlines() if "key:" in line}
    assert len(template) == 46
    assert ours <= template
    assert set(REQUIRED) <= ours
    assert template - ours <= set(LEFT_OUT)
    assert set(LEFT_OUT) <= template


FEATURES = '{ name: "encoder_input_features" data_type: TYPE_FP16 dims: [ -1, -1 ]'
END = '{ name: "end_id" data_type: TYPE_INT32 dims: [ 1 ]'
LENGTHS = '{ name: "input_lengths" data_type: TYPE_INT32 dims: [ 1 ] reshape { shape: [ ] } }'


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('name: "end_id"', 'name: "eos_id"', "input eos_id is unknown to this image"),
        (END, END.replace("INT32", "INT64"), "input end_id: data_type differs"),
        (END, END.replace("[ 1 ]", "[ -1 ]"), "input end_id: dims are [1] there, [-1] here"),
        (f"{END} reshape {{ shape: [ ] }}", END, "input end_id: reshape differs"),
        (f"{LENGTHS},", "", "input input_lengths is missing, and the backend requires it"),
        (
            LENGTHS,
            LENGTHS[:-1] + "optional: true }",
            "input input_lengths is optional here, and the backend requires it",
        ),
        (
            f"{FEATURES} allow_ragged_batch: true",
            FEATURES,
            "input encoder_input_features: allow_ragged_batch differs",
        ),
        ('name: "output_ids"', 'name: "tokens"', "output tokens is unknown to this image"),
        (
            'name: "cum_log_probs" data_type: TYPE_FP32',
            'name: "cum_log_probs" data_type: TYPE_FP16',
            "output cum_log_probs: data_type differs",
        ),
        ('key: "gpt_model_path"', 'key: "engine_path"', "parameter engine_path is unknown to this"),
        ('key: "tokenizer_dir"', 'key: "sink_token_length"', "tokenizer_dir is missing: the backe"),
        ('"normalize_log_probs"', '"num_nodes"', "parameter normalize_log_probs is missing: the"),
        (
            'string_value: "/engine/decoder"',
            'string_value: "${engine_dir}"',
            "parameter gpt_model_path is not filled in: ${engine_dir}",
        ),
        ("kind: KIND_CPU", "kind: KIND_GPU", "instance_group is not the template's"),
        ('backend: "tensorrtllm"', 'backend: "python"', 'config.pbtxt has not backend: "tensorrt'),
        ("dynamic_batching {", "dynamic_batching [", "config.pbtxt is no Triton configuration"),
        ("max_batch_size:", "max_batch_sise:", "config.pbtxt is no Triton configuration"),
    ],
)
def test_a_difference_stops_the_build(
    before: str, after: str, message: str, tmp_path: Path
) -> None:
    assert message in changed(tmp_path, before, after)


def test_every_required_parameter_is_asked_for(tmp_path: Path) -> None:
    said = refusal(repository(tmp_path, OURS.split("parameters")[0]))
    for name in REQUIRED:
        assert f"parameter {name} is missing" in said


def test_all_differences_are_said_at_once_each_with_its_file(tmp_path: Path) -> None:
    model = repository(tmp_path, OURS.replace("end_id", "eos_id").replace("pad_id", "padding"))
    (model / "configs").mkdir()
    other = model / "configs" / "l40s.pbtxt"
    other.write_text(OURS.replace('"beam_width"', '"beams"'), encoding="utf-8")
    first, *differences = refusal(model).splitlines()
    assert str(TEMPLATE) in first
    config = model / "config.pbtxt"
    assert differences == [
        f"{config}: input eos_id is unknown to this image",
        f"{config}: input padding is unknown to this image",
        f"{other}: input beams is unknown to this image",
    ]


def test_a_parameter_that_is_new_in_the_template_has_to_be_decided(tmp_path: Path) -> None:
    newer = tmp_path / "newer.pbtxt"
    extra = 'parameters: { key: "brand_new" value: { string_value: "${brand_new}" } }\n'
    newer.write_text(TEMPLATE.read_text(encoding="utf-8") + extra, encoding="utf-8")
    said = refusal(repository(tmp_path), newer)
    assert "parameter brand_new of the template is neither here nor left out on purpose" in said


def test_a_type_that_the_template_leaves_open_is_free(tmp_path: Path) -> None:
    text = OURS.replace(FEATURES, FEATURES.replace("FP16", "FP32"))
    assert text != OURS
    assert check_configs(repository(tmp_path, text), TEMPLATE)


def fields_of(message: Any) -> dict[str, tuple[int, int, int]]:
    """Number, kind and repetition of each field of a message's descriptor."""
    proto = descriptor_pb2.DescriptorProto()
    message.CopyToProto(proto)
    return {field.name: (field.number, field.type, field.label) for field in proto.field}


def test_the_schema_is_tritons_own() -> None:
    """Every message, field and value, by name, number and kind."""
    theirs = dict(pb.DESCRIPTOR.message_types_by_name)
    theirs["ParametersEntry"] = theirs["ModelConfig"].nested_types_by_name["ParametersEntry"]
    ours = model_config().DESCRIPTOR.file
    for name, message in ours.message_types_by_name.items():
        assert fields_of(message).items() <= fields_of(theirs[name]).items(), name
    kind = theirs["ModelInstanceGroup"].enum_types_by_name["Kind"]
    enums = {"DataType": pb.DESCRIPTOR.enum_types_by_name["DataType"], "Kind": kind}
    for name, enum in ours.enum_types_by_name.items():
        assert [(v.name, v.number) for v in enum.values] == [
            (v.name, v.number) for v in enums[name].values
        ]


def test_a_template_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    said = refusal(repository(tmp_path), tmp_path / "elsewhere.pbtxt")
    assert said == f"{tmp_path / 'elsewhere.pbtxt'} cannot be read: No such file or directory"
