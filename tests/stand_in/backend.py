"""The stand-in for Triton's `tensorrtllm` backend: rules checked, real text answered.

Triton runs a backend folder that holds only a `model.py`, so the production model repository is
served unmodified on a machine without a GPU. What breaks a rule (`tests.stand_in.rules`) is an
error: of the model, which then does not load, or of the request. Answers have the backend's form:
beams padded with -1, no end token, log-probabilities only when asked for.

Environment: WHISPER_MODEL_DIR, a folder with `manifest.json` and `tokenizer.json` as an engine has
them; WHISPER_COMPANION_DIR, Whisper base; STAND_IN_LOG, a file that gets a line of JSON a request.
"""

import json
import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from pipeline.engine_manifest import read_manifest
from pipeline.engines.request import Hypothesis, output_tensors
from tests.stand_in.rules import Tensors, check_model, check_request
from tests.stand_in.whisper import BaseAsLargeV3


class StandIn:
    """Triton's Python model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Check the model's configuration, and load the weights."""
        config = json.loads(args["model_config"])
        check_model(config)
        self._names = [tensor["name"] for tensor in config["input"]]
        engine_dir = Path(os.environ["WHISPER_MODEL_DIR"])
        self._engine = read_manifest(engine_dir)
        self._model = BaseAsLargeV3(engine_dir, Path(os.environ["WHISPER_COMPANION_DIR"]))
        self._log = Path(os.environ["STAND_IN_LOG"])
        self._known: dict[bytes, Hypothesis] = {}

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            tensors = self._tensors(request)
            check_request(tensors, self._engine)
            hypothesis = self._decode(tensors)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            self._note({"failure": failure})
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"stand-in: {failure}"))
        self._note(_told(tensors, hypothesis))
        outputs = output_tensors([hypothesis])
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, array) for name, array in outputs.items()]
        )

    def _decode(self, tensors: Tensors) -> Hypothesis:
        """The answer. Equal requests are decoded once, which saves tests half of their time."""
        asked = b"".join(tensors[name].tobytes() for name in sorted(tensors))
        key = blake2b(asked, digest_size=16).digest()
        if key not in self._known:
            self._known[key] = self._model.decode(
                tensors["encoder_input_features"][0],
                [int(token) for token in tensors["decoder_input_ids"][0]],
                int(tensors["request_output_len"][0]),
                float(tensors["repetition_penalty"][0]),
            )
        return self._known[key]

    def _tensors(self, request: Any) -> Tensors:
        tensors = {name: pb_utils.get_input_tensor_by_name(request, name) for name in self._names}
        return {name: tensor.as_numpy() for name, tensor in tensors.items() if tensor is not None}

    def _note(self, line: dict[str, Any]) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


def _told(tensors: Tensors, hypothesis: Hypothesis) -> dict[str, Any]:
    """What tests ask of a request that was answered."""
    return {
        "features": list(tensors["encoder_input_features"].shape),
        "prompt": tensors["decoder_input_ids"][0].tolist(),
        "beam_width": int(tensors["beam_width"][0]),
        "most_new": int(tensors["request_output_len"][0]),
        "tokens": hypothesis.tokens,
    }
