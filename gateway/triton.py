"""Triton as the gateway sees it: readiness, and one stream of hops and answers per session.

The only module that knows gRPC. It keeps no session state and interprets no answer. Each hop gets
exactly one answer, in any order: `triton_enable_empty_final_response` makes Triton answer hops
that yield nothing. tritonclient's own streaming call refuses that parameter and drops the request
id of errors, so the stream is spoken in protobuf messages.
"""

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from gateway.closing import EngineUnavailable
from gateway.messages import Frame
from gateway.sequence import Hop
from gateway.tracing import Metadata
from pipeline.contract import (
    AUDIO,
    DISCARD_PARAMETER,
    ENSEMBLE,
    FEEDBACK,
    FEEDBACK_PARAMETER,
    NO_REPEAT_NGRAM_PARAMETER,
    OPTIONS_PARAMETER,
    RESUME,
    RESUME_PARAMETER,
    SILERO_VAD,
    TRANSCRIPT,
)

HEALTH_TIMEOUT_S = 2.0
WRITE_TIMEOUT_S = 1.0
"""How long a stream that is closed may take to write its last hop, perhaps its END."""
CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.enable_http_proxy", 0),  # Triton is next door, whatever proxy leads out
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # the default of 2 min outlasts a restart of Triton
    # A Triton that is started again may have another address (a pod always has); by default its
    # name is looked up twice a minute at most.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
]
_DEADLINE_EXCEEDED = str(grpc.StatusCode.DEADLINE_EXCEEDED)
_STRING_LENGTH = struct.Struct("<I")  # in front of each element of a BYTES tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """Triton's one answer to a hop. Transcript and feedback None: the hop yielded no window."""

    hop: int
    arrived_at: float
    """Monotonic time in seconds."""
    transcript: Frame | None = None
    """The wire's transcription message; None too for a window that nobody asked for."""
    feedback: str | None = None
    error: str | None = None
    resume: Mapping[str, Any] | None = None
    """How the sequence would go on elsewhere: fields of `StreamOptions`. Only if the hop asked."""


class Triton:
    """The process's connection to Triton. Make it in a running event loop."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.streams: set[TritonStream] = set()
        """Those that are open."""
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._health = InferenceServerClient(address, channel_args=CHANNEL_OPTIONS)

    async def close(self) -> None:
        """Close the connections; streams that are still open break."""
        await self._health.close()
        await self._channel.close()

    async def why_not_ready(self, timeout_s: float = HEALTH_TIMEOUT_S) -> str | None:
        """The reason why no stream can be served now, None if all is ready."""
        try:
            if not await self._health.is_server_ready(client_timeout=timeout_s):
                return f"Triton at {self.address} is not ready"
            if not await self._health.is_model_ready(ENSEMBLE, client_timeout=timeout_s):
                return f"the model {ENSEMBLE} is not loaded"
        except InferenceServerException as error:
            return f"Triton at {self.address} cannot be reached: {error.message()}"
        return None

    async def is_silent(self, timeout_s: float) -> bool:
        """Whether it takes longer than this to say whether it lives. One that has ended is not
        silent: its machine refuses the connection."""
        try:
            await self._health.is_server_live(client_timeout=timeout_s)
        except InferenceServerException as error:
            return bool(error.status() == _DEADLINE_EXCEEDED)
        return False

    def open_stream(
        self, hear: Callable[[Answer], None] = lambda _: None, metadata: Metadata = ()
    ) -> "TritonStream":
        """A new stream; whether Triton is there shows with its first use.

        Args:
            hear: is called with each answer when it arrives, however much later it is received.
            metadata: the context of the traces that Triton's own join. Triton reads it from the
                stream anew for each hop.
        """
        stream = TritonStream(self._stub.ModelStreamInfer(metadata=metadata), hear, self)
        self.streams.add(stream)
        return stream


class TritonStream:
    """One session's stream. Cancelling whoever waits in it does not break it; `close` does."""

    def __init__(
        self, call: grpc.aio.StreamStreamCall, hear: Callable[[Answer], None], triton: Triton
    ) -> None:
        self._call = call
        self._hear = hear
        self.triton = triton
        """Where it was opened."""
        self._hops: asyncio.Queue[Hop] = asyncio.Queue(maxsize=1)
        self._answers: asyncio.Queue[Answer | EngineUnavailable] = asyncio.Queue()
        self._broken: EngineUnavailable | None = None
        # A cancelled read or write would cancel the whole call, and no END could follow any more.
        # So whoever sends and receives waits for these two, which live as long as the stream.
        self._tasks = (
            asyncio.create_task(self._read(), name="triton-read"),
            asyncio.create_task(self._write(), name="triton-write"),
        )

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be sent or received any more."""
        return self._broken is not None

    def give_up(self, why: str) -> None:
        """Treat the stream as broken, though Triton has not said so."""
        self._break(why)

    async def send(self, hop: Hop) -> None:
        """Send a hop; waits while Triton takes no more.

        Raises:
            EngineUnavailable: the stream is known to be broken. Else `receive` will say so.
        """
        if self._broken is None:
            await self._hops.put(hop)
        if self._broken is not None:
            raise self._broken

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
        """End the stream once all hops are written; Triton drops what it has not answered."""
        try:
            if self._broken is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WRITE_TIMEOUT_S):
                        await self._hops.join()
        finally:
            self._break("it has been closed")
            self.triton.streams.discard(self)
            self._call.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        """Send hops until the stream breaks."""
        try:
            while True:
                await self._call.write(_request(await self._hops.get()))
                self._hops.task_done()
        except grpc.aio.AioRpcError as error:
            self._break(f"a hop could not be sent: {error.details()}")
        except asyncio.InvalidStateError:
            pass  # the call is over, and the reader knows why

    async def _read(self) -> None:
        """Take in answers until the stream breaks."""
        try:
            while (response := await self._call.read()) is not grpc.aio.EOF:
                answer = _answer(response)
                self._hear(answer)
                self._answers.put_nowait(answer)
            self._break("Triton has ended the stream")
        except grpc.aio.AioRpcError as error:
            self._break(error.details())
        except EngineUnavailable as error:
            self._break(str(error))
        except ValueError as error:
            self._break(f"an answer cannot be read: {error}")

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = EngineUnavailable(why)
            self._answers.put_nowait(self._broken)
            while not self._hops.empty():  # nobody takes them: whoever waits to put one is told
                self._hops.get_nowait()


def _template() -> service_pb2.ModelInferRequest:
    """What all requests have in common."""
    request = service_pb2.ModelInferRequest(model_name=ENSEMBLE)
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    tensor = request.inputs.add()
    tensor.name = AUDIO.name
    tensor.datatype = AUDIO.data_type.removeprefix("TYPE_")
    return request


_TEMPLATE = _template()


def _request(hop: Hop) -> service_pb2.ModelInferRequest:
    """The request. What is not set is false, or nothing new."""
    request = service_pb2.ModelInferRequest()
    request.CopyFrom(_TEMPLATE)
    request.id = str(hop.index)
    request.inputs[0].shape.extend((1, hop.samples))
    request.raw_input_contents.append(hop.pcm)
    parameters = request.parameters
    parameters["sequence_id"].int64_param = hop.sequence_id
    if hop.start:
        parameters["sequence_start"].bool_param = True
    if hop.end:
        parameters["sequence_end"].bool_param = True
    if hop.feedback is not None:
        parameters[FEEDBACK_PARAMETER].string_param = hop.feedback
    if hop.options is not None:
        parameters[OPTIONS_PARAMETER].string_param = hop.options
    if hop.discard:
        parameters[DISCARD_PARAMETER].bool_param = True
    if hop.asks:
        request.model_name = SILERO_VAD
        parameters[RESUME_PARAMETER].bool_param = True
    if hop.no_repeat_ngram_size:
        parameters[NO_REPEAT_NGRAM_PARAMETER].int64_param = hop.no_repeat_ngram_size
    return request


def _answer(response: service_pb2.ModelStreamInferResponse) -> Answer:
    inner, now = response.infer_response, time.monotonic()
    if not inner.id:
        raise EngineUnavailable(response.error_message or "Triton's answer belongs to no hop")
    if response.error_message:
        return Answer(int(inner.id), now, error=response.error_message)
    if not inner.outputs:
        return Answer(int(inner.id), now)
    texts = {
        output.name: raw[_STRING_LENGTH.size :].decode()
        for output, raw in zip(inner.outputs, inner.raw_output_contents, strict=True)
    }
    transcript, resume = texts.get(TRANSCRIPT.name), texts.get(RESUME.name)
    return Answer(
        int(inner.id),
        now,
        json.loads(transcript) if transcript else None,
        texts.get(FEEDBACK.name),
        resume=None if resume is None else json.loads(resume),
    )
