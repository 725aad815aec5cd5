"""A gRPC server that answers hops as Triton does, with the windows it is told to have found."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor

from pipeline.contract import ENSEMBLE, FEEDBACK, TRANSCRIPT, TRANSCRIPT_MODEL

Message = dict[str, Any]


@dataclass(frozen=True)
class Hop:
    """One request as it arrived."""

    audio: bytes
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a hop's answer holds; it leaves only when hop number `after` has arrived."""

    message: Message
    after: int = 0


@dataclass
class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Serves on a free port. A hop without an answer of its own gets an empty one."""

    answers: dict[int, Answer] = field(default_factory=dict)
    error_at: int | None = None
    ready: bool = True
    silent: bool = False
    """Answer no hop."""
    busy: bool = False
    """Count one transcript more every time that somebody asks."""
    failing: bool = False
    """Count one failed request more every time that somebody asks."""
    mute: bool = False
    """Do not say what has been counted."""
    finished: int = 0
    failed: int = 0
    hops: list[Hop] = field(default_factory=list)
    address: str = ""

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(4))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=0).wait()

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802 (gRPC's name)
        return messages.ServerReadyResponse(ready=self.ready)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ModelReadyResponse(ready=self.ready and request.name == ENSEMBLE)

    def ModelStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.mute:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        self.finished += self.busy
        self.failed += self.failing
        response = messages.ModelStatisticsResponse()
        response.model_stats.add(name=ENSEMBLE).inference_stats.fail.count = self.failed
        transcript = response.model_stats.add(name=TRANSCRIPT_MODEL)
        transcript.inference_stats.success.count = self.finished
        return response

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        held: dict[int, Any] = {}
        for number, request in enumerate(requests):
            assert request.id == str(number)
            self.hops.append(Hop(request.raw_input_contents[0], _parameters(request)))
            if number == self.error_at:
                yield messages.ModelStreamInferResponse(error_message="the stage is on fire")
                continue
            if self.silent:
                continue
            answer = self.answers.get(number)
            if answer and answer.after > number:
                held[answer.after] = _response(number, answer.message)
            else:
                yield _response(number, answer.message if answer else None)
            if number in held:
                yield held.pop(number)


def _parameters(request: Any) -> dict[str, Any]:
    return {
        name: getattr(parameter, parameter.WhichOneof("parameter_choice"))
        for name, parameter in request.parameters.items()
    }


def _response(number: int, message: Message | None) -> Any:
    response = messages.ModelInferResponse(model_name=ENSEMBLE, id=str(number))
    response.parameters["triton_final_response"].bool_param = True
    if message is not None:
        _add_output(response, TRANSCRIPT.name, json.dumps(message))
        _add_output(response, FEEDBACK.name, f"window of hop {number}")
    return messages.ModelStreamInferResponse(infer_response=response)


def _add_output(response: Any, name: str, text: str) -> None:
    output = response.outputs.add()
    output.name, output.datatype = name, "BYTES"
    output.shape.extend([1, 1])
    packed = serialize_byte_tensor(np.array([[text.encode()]], dtype=object))
    response.raw_output_contents.append(packed.item())
