"""A websocket server that speaks the protocol and recognises nothing: it says what it is told."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

Message = dict[str, Any]


def transcription(text: str, *, number: int = 0, final: bool = True, **segment: Any) -> Message:
    """A message as the protocol's sample has it, with one segment."""
    start_s, end_s = segment.pop("start_time", 3.488), segment.pop("end_time", 6.784)
    code, probability = segment.get("language_code", "en"), segment.get("language_prob")
    return {
        "segments": [
            {
                "start_time": start_s,
                "end_time": end_s,
                "text": text,
                "log_prob": -1.5,
                "word_timestamps": [],
                "speaker": None,
                "speaker_confidence": None,
                "possible_hallucination": False,
                "beam_results": [],
                "language_code": code,
                "language_prob": probability,
            }
            | segment
        ],
        "language_code": code,
        "language_prob": probability,
        "diarization": [],
        "timing_info": None,
        "enable_chunk_level_language_detection": False,
        "audio_length_sec": round(end_s - start_s, 3),
        "is_final": final,
        "transcription_num": number,
        "next_partial": None,
        "pipeline_latency": None,
        "type": "transcription",
        "transcript": text,
        "confidence": 0.9,
    }


def end_audio(status: str) -> Message:
    return {"type": "end_audio", "body": {"status": status}}


class Session:
    """What one client sent, and how to answer it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.metadata: Message = {}
        self.packets: list[bytes] = []
        self.ended = False

    @property
    def audio(self) -> bytes:
        return b"".join(self.packets)

    async def say(self, *messages: Message) -> None:
        for message in messages:
            await self.socket.send(json.dumps(message))

    async def hear(self) -> None:
        """Take everything up to `end_audio`."""
        async for data in self.socket:
            if isinstance(data, bytes):
                self.packets.append(data)
            else:
                assert json.loads(data) == {"type": "end_audio"}
                self.ended = True
                return

    async def finish(self, *finals: Message) -> None:
        """The regular end of a session."""
        await self.say(end_audio("acknowledged"), *finals, end_audio("finished"))
        await self.socket.close()


Behaviour = Callable[[Session], Awaitable[None]]


class FakeGateway:
    """Serves on a free port; `behaviour` is what it does after the metadata."""

    def __init__(self, behaviour: Behaviour, *, api_key: str | None = None) -> None:
        self._behaviour = behaviour
        self._api_key = api_key
        self._server: Server | None = None
        self.sessions: list[Session] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle, "127.0.0.1", 0, process_request=self._check, max_queue=1
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/v1/websocket"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _check(self, socket: ServerConnection, request: Request) -> Response | None:
        expected = f"Api-Key {self._api_key}"
        if self._api_key is None or request.headers.get("Authorization") == expected:
            return None
        return socket.respond(HTTPStatus.UNAUTHORIZED, "a valid API key is needed\n")

    async def _handle(self, socket: ServerConnection) -> None:
        session = Session(socket)
        self.sessions.append(session)
        session.metadata = json.loads(await socket.recv())
        await self._behaviour(session)


def says(*finals: Message) -> Behaviour:
    """Hears all audio, then gives these finals."""

    async def behave(session: Session) -> None:
        await session.hear()
        await session.finish(*finals)

    return behave


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something another task does."""
    while not condition():
        await asyncio.sleep(0.005)
