"""Requests and answers of an engine, to and from the contract's tensors."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.contract import ENGINE_OUTPUTS
from pipeline.engines.request import ContractError, Hypothesis, output_tensors, parse_request

Tensors = dict[str, NDArray[np.generic]]


def tensors(frames: int = 300, **changes: NDArray[np.generic]) -> Tensors:
    """A request that the contract allows, but for `changes`."""
    return {
        "encoder_input_features": np.zeros((1, frames, 80), np.float16),
        "encoder_output_lengths": np.array([[frames // 2]], np.int32),
        "input_lengths": np.array([[frames]], np.int32),
        "decoder_input_ids": np.array([[50258, 50259]], np.int32),
        "request_output_len": np.array([[32]], np.int32),
        "beam_width": np.array([[3]], np.int32),
        "len_penalty": np.array([[0.5]], np.float32),
        "repetition_penalty": np.array([[1.25]], np.float32),
        **changes,
    }


def test_a_request_is_read_from_its_tensors() -> None:
    features = np.random.default_rng(0).random((1, 300, 80)).astype(np.float16)
    request = parse_request(tensors(encoder_input_features=features), no_repeat_ngram_size=4)
    np.testing.assert_array_equal(request.features, features[0])
    assert request.prompt == [50258, 50259]
    assert (request.max_new_tokens, request.beam_width) == (32, 3)
    assert (request.length_penalty, request.repetition_penalty) == (0.5, 1.25)
    assert request.no_repeat_ngram_size == 4


@pytest.mark.parametrize("frames", [2, 3000])
def test_windows_up_to_whispers_own_are_taken(frames: int) -> None:
    assert len(parse_request(tensors(frames)).features) == frames


@pytest.mark.parametrize("frames", [0, 301, 3002])
def test_other_numbers_of_frames_are_refused(frames: int) -> None:
    with pytest.raises(ContractError, match=f"{frames} mel frames; accepted is an even number"):
        parse_request(tensors(frames))


@pytest.mark.parametrize("shape", [(1, 298, 80), (2, 300, 80), (300, 80), (1, 80, 300)])
def test_features_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    features = np.zeros(shape, np.float16)
    with pytest.raises(ContractError, match="encoder_input_features is"):
        parse_request(tensors(encoder_input_features=features))


def test_an_output_length_that_is_not_half_the_input_is_refused() -> None:
    with pytest.raises(ContractError, match="encoder_output_lengths is 149"):
        parse_request(tensors(encoder_output_lengths=np.array([[149]], np.int32)))


def test_answers_are_padded_as_tensorrt_llm_pads_them() -> None:
    beams = [Hypothesis([5, 6, 7], [-0.5, -0.25, -0.25]), Hypothesis([8], [-2.0])]
    outputs = output_tensors(beams)
    np.testing.assert_array_equal(outputs["output_ids"], [[[5, 6, 7], [8, -1, -1]]])
    np.testing.assert_array_equal(outputs["sequence_length"], [[3, 1]])
    np.testing.assert_array_equal(outputs["cum_log_probs"], [[-1.0, -2.0]])
    np.testing.assert_array_equal(
        outputs["output_log_probs"], [[[-0.5, -0.25, -0.25], [-2.0, 0, 0]]]
    )


@pytest.mark.parametrize("beams", [[Hypothesis([], [])], [Hypothesis([1], [0.0])] * 5])
def test_answers_have_the_contracts_types_and_shapes(beams: list[Hypothesis]) -> None:
    outputs = output_tensors(beams)
    types = {"TYPE_INT32": np.int32, "TYPE_FP32": np.float32}
    assert set(outputs) == {tensor.name for tensor in ENGINE_OUTPUTS}
    for tensor in ENGINE_OUTPUTS:
        array = outputs[tensor.name]
        assert array.dtype == types[tensor.data_type]
        assert array.shape[:2] == (1, len(beams))
        assert array.ndim == 1 + len(tensor.dims)


def test_an_empty_answer_is_nothing_but_padding() -> None:
    outputs = output_tensors([Hypothesis([], [])])
    np.testing.assert_array_equal(outputs["output_ids"], [[[-1]]])
    np.testing.assert_array_equal(outputs["sequence_length"], [[0]])
