"""Triton as the gateway sees it: readiness, and one stream of hops and answers per session.

The only module that knows gRPC. It keeps no session state and interprets no answer. Each hop gets
exactly one answer, in any order: `triton_enable_empty_final_response` makes Triton answer hops
that yield nothing. tritonclient's own streaming call refuses that parameter and drops the request
id of errors, so the stream is spoken in protobuf messages.
"""

import asyncio
import struct
from dataclasses import dataclass

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from gateway.closing import EngineUnavailable
from gateway.sequence import Hop
from pipeline.contract import (
    AUDIO,
    DISCARD_PARAMETER,
    ENSEMBLE,
    FEEDBACK,
    FEEDBACK_PARAMETER,
    NO_REPEAT_NGRAM_PARAMETER,
    OPTIONS_PARAMETER,
    TRANSCRIPT,
)

HEALTH_TIMEOUT_S = 2.0
CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.enable_http_proxy", 0),  # Triton is next door, whatever proxy leads out
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # the default of 2 min outlasts a restart of Triton
]
_STRING_LENGTH = struct.Struct("<I")  # in front of each element of a BYTES tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """Triton's one answer to a hop. All None: the hop yielded no window."""

    hop: int
    transcript: str | None = None
    """The wire's transcription message, JSON; None too for a window that nobody asked for."""
    feedback: str | None = None
    error: str | None = None


class Triton:
    """The process's connection to Triton. Make it in a running event loop."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._health = InferenceServerClient(address, channel_args=CHANNEL_OPTIONS)

    async def close(self) -> None:
        """Close the connections; streams that are still open break."""
        await self._health.close()
        await self._channel.close()

    async def why_not_ready(self) -> str | None:
        """The reason why no stream can be served now, None if all is ready."""
        try:
            if not await self._health.is_server_ready(client_timeout=HEALTH_TIMEOUT_S):
                return f"Triton at {self._address} is not ready"
            if not await self._health.is_model_ready(ENSEMBLE, client_timeout=HEALTH_TIMEOUT_S):
                return f"the model {ENSEMBLE} is not loaded"
        except InferenceServerException as error:
            return f"Triton at {self._address} cannot be reached: {error.message()}"
        return None

    def open_stream(self) -> "TritonStream":
        """A new stream; whether Triton is there shows with its first use."""
        return TritonStream(self._stub.ModelStreamInfer())


class TritonStream:
    """One session's stream. Cancelling whoever waits in it does not break it; `close` does."""

    def __init__(self, call: grpc.aio.StreamStreamCall) -> None:
        self._call = call
        self._answers: asyncio.Queue[Answer | EngineUnavailable] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(), name="triton-stream")
        self._writing: asyncio.Task[None] | None = None

    async def send(self, hop: Hop) -> None:
        """Send a hop; waits while Triton takes no more.

        Raises:
            EngineUnavailable: the stream is broken.
        """
        if self._writing is not None:
            await asyncio.shield(self._writing)
        # A cancelled write would cancel the whole call, and no END could follow any more.
        self._writing = asyncio.create_task(self._write(hop), name="triton-write")
        await asyncio.shield(self._writing)

    async def receive(self) -> Answer:
        """The next answer, in Triton's order.

        Raises:
            EngineUnavailable: the stream is broken.
        """
        answer = await self._answers.get()
        if isinstance(answer, EngineUnavailable):
            self._answers.put_nowait(answer)  # it stays broken
            raise answer
        return answer

    async def close(self) -> None:
        """End the stream; Triton drops what it has not answered."""
        self._call.cancel()
        tasks = [task for task in (self._reading, self._writing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, hop: Hop) -> None:
        try:
            await self._call.write(_request(hop))
        except grpc.aio.AioRpcError as error:
            raise EngineUnavailable(f"a hop could not be sent: {error.details()}") from error
        except asyncio.InvalidStateError:
            raise await self._reading from None  # the call is over, and the reader knows why

    async def _read(self) -> EngineUnavailable:
        """Take in answers until the stream breaks; why it broke."""
        try:
            while (response := await self._call.read()) is not grpc.aio.EOF:
                self._answers.put_nowait(_answer(response))
            problem = EngineUnavailable("Triton has ended the stream")
        except grpc.aio.AioRpcError as error:
            problem = EngineUnavailable(error.details())
        except EngineUnavailable as error:
            problem = error
        self._answers.put_nowait(problem)
        return problem


def _request(hop: Hop) -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name=ENSEMBLE, id=str(hop.index))
    tensor = request.inputs.add()
    tensor.name = AUDIO.name
    tensor.datatype = AUDIO.data_type.removeprefix("TYPE_")
    tensor.shape.extend([1, len(hop.samples)])
    request.raw_input_contents.append(hop.samples.tobytes())
    parameters = request.parameters
    parameters["triton_enable_empty_final_response"].bool_param = True
    parameters["sequence_id"].int64_param = hop.sequence_id
    parameters["sequence_start"].bool_param = hop.start
    parameters["sequence_end"].bool_param = hop.end
    parameters[FEEDBACK_PARAMETER].string_param = hop.feedback
    if hop.options is not None:
        parameters[OPTIONS_PARAMETER].string_param = hop.options
    if hop.discard:
        parameters[DISCARD_PARAMETER].bool_param = True
    if hop.no_repeat_ngram_size:
        parameters[NO_REPEAT_NGRAM_PARAMETER].int64_param = hop.no_repeat_ngram_size
    return request


def _answer(response: service_pb2.ModelStreamInferResponse) -> Answer:
    inner = response.infer_response
    if not inner.id:
        raise EngineUnavailable(response.error_message or "Triton's answer belongs to no hop")
    if response.error_message:
        return Answer(int(inner.id), error=response.error_message)
    texts = {
        output.name: raw[_STRING_LENGTH.size :].decode()
        for output, raw in zip(inner.outputs, inner.raw_output_contents, strict=True)
    }
    return Answer(int(inner.id), texts.get(TRANSCRIPT.name) or None, texts.get(FEEDBACK.name))
