"""The network that is laid out anew is the published one, and says so when it cannot be."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pipeline.audio import SAMPLE_RATE, VAD_CONTEXT_SAMPLES, VAD_FRAME_SAMPLES
from pipeline.onnx_format import GraphWriter
from pipeline.silero_graph import STATE_SIZE, batched_model
from tests.pipeline.support import SILERO_VAD_ONNX

STREAMS, STEPS = 3, 5
SAMPLES = VAD_CONTEXT_SAMPLES + VAD_FRAME_SAMPLES


def test_steps_and_state_are_those_of_the_published_network() -> None:
    random = np.random.default_rng(1)
    frames = random.normal(0, 3000, (STEPS, STREAMS, SAMPLES)).astype(np.float32)
    state = random.normal(0, 0.5, (2, STREAMS, STATE_SIZE)).astype(np.float32)
    batched = onnxruntime.InferenceSession(batched_model(Path(SILERO_VAD_ONNX).read_bytes()))
    shape = np.array((STEPS, STREAMS, STATE_SIZE))
    inputs = {"frames": frames.reshape(-1, SAMPLES), "shape": shape, "state": state}
    probabilities, next_state = batched.run(["probabilities", "next_state"], inputs)

    published = onnxruntime.InferenceSession(SILERO_VAD_ONNX)
    for step in range(STEPS):
        rate = np.array(SAMPLE_RATE, np.int64)
        inputs = {"input": frames[step] / 32768, "state": state, "sr": rate}
        expected, state = published.run(None, inputs)
        found = probabilities.reshape(STEPS, STREAMS)[step]
        np.testing.assert_allclose(found, expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(next_state, state, atol=1e-4)


def test_another_models_file_is_refused() -> None:
    writer = GraphWriter()
    writer.node("Relu", "x", outputs=["y"])
    other = writer.model(16, {"x": ("float32", [1])}, {"y": ("float32", [1])})
    with pytest.raises(ValueError, match=r"not Silero VAD's 16 kHz model: .*stft"):
        batched_model(other)
