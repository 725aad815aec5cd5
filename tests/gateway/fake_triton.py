"""A small Triton: a real gRPC server whose ensemble is a toy recogniser.

It takes what `gateway.triton` sends, over a real socket. Silence is a frame of nothing but zeros,
every other audio is speech; a frame of silence, or END, closes the open utterance. An utterance's
text is the number of its samples and their checksum, so a test can tell whose audio was heard, and
that none was lost. Its log-probability is a checksum of all that the sequence had heard before the
utterance: a toy voice-activity model's state. Faults are switched on by setting the attributes.
"""

import asyncio
import base64
import json
import zlib
from collections.abc import AsyncIterator, Callable, Container
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from pipeline.audio import samples_to_s
from pipeline.contract import AUDIO, ENSEMBLE, FEEDBACK, RESUME, SILERO_VAD, TRANSCRIPT
from pipeline.options import VAD_STATE_BYTES, StreamOptions

FRAME_SAMPLES = 512
LEAD_IN_FRAMES = 13
"""Heard again before what is listened to again, as with the real one."""
_BREAK = object()
"""Among the answers: end the stream with an error here."""
Reply = tuple[dict[str, Any], str] | None


def transcript(utterance: int, is_final: bool, text: str, **fields: Any) -> dict[str, Any]:
    """A transcription message, key for key as the pipeline makes it."""
    segment = {
        "start_time": 0.0,
        "end_time": 1.0,
        "text": text,
        "log_prob": -1.5,
        "word_timestamps": [],
        "speaker": None,
        "speaker_confidence": None,
        "possible_hallucination": False,
        "beam_results": [],
        "language_code": "en",
        "language_prob": None,
    }
    return {
        "type": "transcription",
        "is_final": is_final,
        "transcription_num": utterance,
        "segments": [segment] if text else [],
        "language_code": "en",
        "language_prob": None,
        "audio_length_sec": 1.0,
        "diarization": [],
        "timing_info": None,
        "pipeline_latency": None,
        "enable_chunk_level_language_detection": False,
        "next_partial": None,
        "transcript": text,
        "committed": text,
        "confidence": 0.9,
        **fields,
    }


def text_of(audio: bytes) -> str:
    """What the toy recogniser makes of an utterance's samples (int16)."""
    return f"{len(audio) // 2} samples {zlib.crc32(audio):08x}"


@dataclass
class Sequence:
    """State of one open sequence."""

    options: StreamOptions
    position: int
    """Behind what was looked at."""
    utterance: int = 0
    audio: bytes = b""
    """Of the open utterance."""
    heard: list[tuple[int, int]] = field(default_factory=list)
    """Before each frame: its position, and the checksum of all that was looked at."""
    checksum: int = 0
    opened_at: int = 0
    """Among `heard`, the open utterance's first frame."""
    waiting: bytes = b""
    """Not looked at yet: a hop yields one final at most, as in the real ensemble."""

    def hop(self, audio: bytes, end: bool, discard: bool) -> dict[str, Any] | None:
        """The message that a hop yields, if any."""
        self.waiting += audio
        was_looked_at = self.position
        while self.waiting:
            is_speech = self._look_at_a_frame()
            if self.audio and not is_speech:
                return self._final()
        if not self.audio or discard:
            return None
        if end:
            return self._final()
        is_more = self.position > was_looked_at
        return self._message(is_final=False) if self.options.partials and is_more else None

    def __post_init__(self) -> None:
        if self.options.vad_state and self.options.vad_state_at == self.options.start_sample:
            self.checksum = int.from_bytes(base64.b64decode(self.options.vad_state))

    def resume(self) -> dict[str, Any] | None:
        """How it would go on elsewhere, with the open utterance from its start."""
        before = (self.opened_at if self.audio else len(self.heard)) - LEAD_IN_FRAMES
        if before < 0:
            return None
        position, checksum = self.heard[before]
        return self._resume() | {
            "vad_state": base64.b64encode(checksum.to_bytes(VAD_STATE_BYTES)).decode(),
            "vad_state_at": position,
        }

    def _resume(self) -> dict[str, Any]:
        listen_from = self.heard[self.opened_at][0] if self.audio else self.position
        return {
            "listen_from": listen_from,
            "settled_until": listen_from,
            "vad_state": "",
            "vad_state_at": 0,
        }

    def _look_at_a_frame(self) -> bool:
        """Whether it is speech. What was heard before a stream was resumed is none."""
        frame = self.waiting[: 2 * FRAME_SAMPLES]
        self.waiting = self.waiting[len(frame) :]
        is_speech = any(frame) and self.position >= self.options.listen_from
        if is_speech and not self.audio:
            self.opened_at = len(self.heard)
        self.heard.append((self.position, self.checksum))
        self.checksum = zlib.crc32(frame, self.checksum)
        self.position += len(frame) // 2
        if is_speech:
            self.audio += frame
        return is_speech

    def _final(self) -> dict[str, Any]:
        message = self._message(is_final=True)
        self.utterance += 1
        self.audio = b""
        message["resume"] = self.resume() or self._resume()
        return message

    def _message(self, is_final: bool) -> dict[str, Any]:
        message = transcript(self.utterance, is_final, text_of(self.audio))
        message["segments"][0]["end_time"] = samples_to_s(self.position)
        message["segments"][0]["log_prob"] = -float(self.heard[self.opened_at][1])
        return message


@dataclass
class SeenHop:
    """What one request said."""

    index: int
    sequence_id: int
    samples: int
    start: bool
    end: bool
    parameters: dict[str, Any]
    audio: bytes = field(default=b"", repr=False)

    @property
    def asks(self) -> bool:
        """Whether it only asks how its sequence would go on elsewhere."""
        return bool(self.parameters.get("resume", False))


@dataclass
class FakeTriton:
    """The server. `async with` it; `address` is where it listens."""

    ready: bool = True
    loaded: bool = True
    delay_s: Callable[[SeenHop], float] = lambda _: 0
    """How long the answer to a hop takes; answers overtake each other."""
    error: Callable[[SeenHop], str | None] = lambda _: None
    silent: bool = False
    """Take hops and answer none."""
    breaks_at: Container[int] = ()
    """Break the stream when a hop of these indices comes."""
    hangs_s: float = 0
    """How long it takes to say that it lives, or is ready."""
    garbled: bool = False
    """Answer what is no JSON."""
    padding: str = ""
    """Makes every message longer."""
    empty: bool = False
    """Recognise nothing: messages without segments."""
    tells_nothing: bool = False
    """Do not say how a sequence would go on elsewhere."""
    asked: int = 0
    """How often it was asked whether it is ready."""
    sequences: dict[int, Sequence] = field(default_factory=dict)
    """The open ones."""
    hops: list[SeenHop] = field(default_factory=list)
    address: str = ""
    port: int = 0

    async def __aenter__(self) -> "FakeTriton":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Service(self), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.address = f"127.0.0.1:{self.port}"
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    def take(self, hop: SeenHop, audio: bytes) -> Reply:
        """The toy ensemble: the message and the feedback that a hop yields."""
        if hop.start:
            options = StreamOptions.model_validate_json(hop.parameters.get("options", "{}"))
            self.sequences[hop.sequence_id] = Sequence(options, options.start_sample)
        sequence = self.sequences[hop.sequence_id]
        message = sequence.hop(audio, hop.end, "discard" in hop.parameters)
        if hop.end:
            del self.sequences[hop.sequence_id]
        if message is None:
            return None
        if self.empty:
            message |= {"segments": [], "transcript": ""}
        if self.padding:
            message["padding"] = self.padding
        return message, f"feedback {hop.index}"


class _Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The four calls of KServe's protocol that the gateway makes."""

    def __init__(self, fake: FakeTriton) -> None:
        self._fake = fake

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        await asyncio.sleep(self._fake.hangs_s)
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._fake.asked += 1
        await asyncio.sleep(self._fake.hangs_s)
        return pb.ServerReadyResponse(ready=self._fake.ready)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=self._fake.loaded and request.name == ENSEMBLE)

    async def ModelStreamInfer(  # noqa: N802
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        answers: asyncio.Queue[Any] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(self._take_all(requests, answers, tasks))
            while (answer := await answers.get()) is not None:
                if answer is _BREAK:
                    await context.abort(grpc.StatusCode.INTERNAL, "the server has lost its mind")
                yield answer
            taking.cancel()

    async def _take_all(
        self, requests: AsyncIterator[Any], answers: asyncio.Queue[Any], tasks: asyncio.TaskGroup
    ) -> None:
        pending = []
        async for request in requests:
            hop = _seen(request)
            self._fake.hops.append(hop)
            if hop.index in self._fake.breaks_at:
                answers.put_nowait(_BREAK)
                return
            response = self._respond(request, hop)
            if not self._fake.silent:
                delay_s = self._fake.delay_s(hop)
                pending.append(tasks.create_task(_later(answers, response, delay_s)))
        await asyncio.gather(*pending)
        answers.put_nowait(None)

    def _respond(self, request: Any, hop: SeenHop) -> Any:
        error = self._fake.error(hop)
        if error is None and not hop.start and hop.sequence_id not in self._fake.sequences:
            error = f"the sequence {hop.sequence_id} has not been started"
        if error is not None:
            return pb.ModelStreamInferResponse(
                error_message=error, infer_response=pb.ModelInferResponse(id=request.id)
            )
        response = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        response.parameters["triton_final_response"].bool_param = True
        if hop.asks:
            resume = self._fake.sequences[hop.sequence_id].resume()
            if resume is not None and not self._fake.tells_nothing:
                _add_text(response, RESUME.name, json.dumps(resume))
            return pb.ModelStreamInferResponse(infer_response=response)
        reply = self._fake.take(hop, request.raw_input_contents[0])
        if reply is not None:
            message, feedback = reply
            text = "{broken" if self._fake.garbled else json.dumps(message)
            _add_text(response, TRANSCRIPT.name, text)
            _add_text(response, FEEDBACK.name, feedback)
        return pb.ModelStreamInferResponse(infer_response=response)


def _seen(request: Any) -> SeenHop:
    parameters = {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in request.parameters.items()
    }
    assert parameters.pop("triton_enable_empty_final_response") is True
    (tensor,) = request.inputs
    samples = np.frombuffer(request.raw_input_contents[0], np.int16)
    assert request.model_name == (SILERO_VAD if parameters.get("resume") else ENSEMBLE)
    assert (tensor.name, tensor.datatype) == (AUDIO.name, "INT16")
    assert list(tensor.shape) == [1, len(samples)]
    return SeenHop(
        index=int(request.id),
        sequence_id=parameters.pop("sequence_id"),
        samples=len(samples),
        start=parameters.pop("sequence_start", False),
        end=parameters.pop("sequence_end", False),
        parameters=parameters,
        audio=request.raw_input_contents[0],
    )


async def _later(answers: asyncio.Queue[Any], response: Any, delay_s: float) -> None:
    if delay_s:
        await asyncio.sleep(delay_s)
    answers.put_nowait(response)


def _add_text(response: Any, name: str, text: str) -> None:
    output = response.outputs.add()
    output.name, output.datatype = name, "BYTES"
    output.shape.extend([1, 1])
    data = text.encode()
    response.raw_output_contents.append(len(data).to_bytes(4, "little") + data)
