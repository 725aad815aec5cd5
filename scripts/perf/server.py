"""What has to be known of the Triton that is measured, and the engine's inputs as it makes them.

Talks to it by tritonclient. It knows no perf_analyzer.
"""

import queue
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from pipeline.contract import (
    AUDIO,
    ENGINE_INPUTS,
    ENSEMBLE,
    LOG_MEL,
    OPTIONS_PARAMETER,
    WHISPER,
    WINDOW,
    WINDOW_INFO,
)
from pipeline.options import StreamOptions
from pipeline.window import WindowInfo
from scripts.ensemble_stream import MAX_SEQUENCE_ID
from scripts.recording import Pcm

TIMEOUT_S = 10
PYTHON_BACKEND = "python"
_NO_OPTIONS = "?"


class ServerError(Exception):
    """Triton is not there or does not answer as it should; the message is one line."""


class MeasuredServer:
    """A running Triton with this repository's models, by the address of its gRPC endpoint."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = triton.InferenceServerClient(address)

    def check_ready(self, *models: str) -> None:
        """Raises ServerError unless all of these models can be asked."""
        for model in models:
            if not self._ask(partial(self._client.is_model_ready, model, client_timeout=TIMEOUT_S)):
                raise ServerError(f"Triton at {self.address} has no model {model} that is ready")

    def describe(self) -> str:
        """Triton's version and what its engine runs on."""
        server = self._ask(partial(self._client.get_server_metadata, as_json=True))
        return f"Triton {server['version']}, {WHISPER} on the backend {self._engine_backend()}"

    def remembers_windows(self) -> bool:
        """Whether its engine is the embedded one, which remembers what it has just decoded."""
        return self._engine_backend() == PYTHON_BACKEND

    def _engine_backend(self) -> str:
        answer = self._ask(partial(self._client.get_model_config, WHISPER, as_json=True))
        return str(answer["config"]["backend"])

    def takes_options_from_headers(self) -> bool:
        """Whether a gRPC header reaches the stages as a request parameter: a bad one is refused."""
        answers: queue.Queue[InferenceServerException | None] = queue.Queue()
        self._client.start_stream(
            lambda result, error: answers.put(error), headers={OPTIONS_PARAMETER: _NO_OPTIONS}
        )
        try:
            self._client.async_stream_infer(
                ENSEMBLE,
                [_input(AUDIO.name, np.zeros((1, 0), np.int16))],
                request_id="0",
                sequence_id=random.randint(1, MAX_SEQUENCE_ID),
                sequence_start=True,
                sequence_end=True,
                enable_empty_final_response=True,
            )
            error = answers.get(timeout=TIMEOUT_S)
        except queue.Empty:
            raise ServerError(
                f"Triton at {self.address} has not answered a hop within {TIMEOUT_S} s"
            ) from None
        finally:
            self._client.stop_stream(cancel_requests=True)
        return error is not None and OPTIONS_PARAMETER in str(error)

    def engine_inputs(self, audio: Pcm, language: str) -> Mapping[str, NDArray[np.generic]]:
        """What the server's own log_mel stage makes of a final's window, int16 [samples].

        Every tensor of `ENGINE_INPUTS`, shapes with the batch dimension: as many mel bins and as
        much padding as this server's engine wants.
        """
        info = window_info(len(audio), language)
        text = np.array([[info.model_dump_json().encode()]], np.object_)
        inputs = [
            _input(WINDOW.name, audio[np.newaxis]),
            _input(WINDOW_INFO.name, text),
        ]
        answer = self._ask(lambda: self._client.infer(LOG_MEL, inputs, client_timeout=TIMEOUT_S))
        return {each.name: answer.as_numpy(each.name) for each in ENGINE_INPUTS}

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except InferenceServerException as error:
            raise ServerError(
                f"Triton at {self.address} cannot be asked ({error.message()}): start one with "
                "make run, or name another with --triton HOST:PORT"
            ) from error


def _input(name: str, array: NDArray[Any]) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor


def window_info(samples: int, language: str) -> WindowInfo:
    """A final that is all of its stream."""
    return WindowInfo(
        number=1,
        utterance=0,
        final=True,
        utterance_start=0,
        start=0,
        end=samples,
        audio_start=0,
        speech_probability=1.0,
        language=language,
        language_prob=None,
        options=StreamOptions(language=language),
    )
