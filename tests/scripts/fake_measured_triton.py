"""A gRPC server that answers what scripts/perf_analyzer.py asks of Triton before it measures."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import triton_to_np_dtype

from pipeline.contract import ENGINE_INPUTS, ENSEMBLE, LOG_MEL, WHISPER

FRAMES = 4


@dataclass
class FakeMeasuredTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Serves on a free port. Its log_mel gives features that tell which audio they are of."""

    models: tuple[str, ...] = (ENSEMBLE, LOG_MEL, WHISPER)
    backend: str = "python"
    forwards_options: bool = True
    n_mels: int = 80
    windows: list[NDArray[np.int16]] = field(default_factory=list)
    """What log_mel was asked for."""
    address: str = ""

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(4))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=0).wait()

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802 (gRPC's name)
        return messages.ModelReadyResponse(ready=request.name in self.models)

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ServerMetadataResponse(name="triton", version="2.99.0")

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = messages.ModelConfigResponse()
        answer.config.name, answer.config.backend = request.name, self.backend
        return answer

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        given = dict(context.invocation_metadata()).get("options")
        for request in requests:
            if given is not None and self.forwards_options:
                error = "in ensemble 'streaming_whisper', parameter options: Invalid JSON"
                yield messages.ModelStreamInferResponse(error_message=error)
            else:
                response = messages.ModelInferResponse(id=request.id)
                response.parameters["triton_final_response"].bool_param = True
                yield messages.ModelStreamInferResponse(infer_response=response)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        audio = np.frombuffer(request.raw_input_contents[0], np.int16)
        self.windows.append(audio)
        response = messages.ModelInferResponse(model_name=request.model_name)
        for each in ENGINE_INPUTS:
            data_type = each.data_type.removeprefix("TYPE_")
            value = np.array(audio[0] % 7, triton_to_np_dtype(data_type))
            array = np.full((1, *self._dims(each.dims)), value)
            output = response.outputs.add()
            output.name, output.datatype = each.name, data_type
            output.shape.extend(array.shape)
            response.raw_output_contents.append(
                (array * (audio[0] % 7)).astype(array.dtype).tobytes()
            )
        return response

    def _dims(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        return {(-1, -1): (FRAMES, self.n_mels), (-1,): (3,)}.get(dims, dims)
