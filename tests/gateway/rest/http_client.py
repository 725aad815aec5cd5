"""Requests as a program without OpenAI's package makes them, and WAV files of the toy's speech."""

import io
import json
import wave
from dataclasses import dataclass
from typing import Any

import aiohttp
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from tests.gateway.support import Server

TRANSCRIPTIONS = "/v1/audio/transcriptions"


@dataclass
class Answer:
    """Status, headers and text of a response."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's error object, which must be complete."""
        error: dict[str, Any] = self.json["error"]
        assert set(self.json) == {"error"}
        assert set(error) == {"message", "type", "param", "code"}
        assert "\n" not in error["message"]
        return error

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of server-sent events; comments are left out."""
        parts = [part for part in self.text.split("\n\n") if part and not part.startswith(":")]
        assert all(part.startswith("data: ") for part in parts)
        return [json.loads(part.removeprefix("data: ")) for part in parts]


def wav(samples: NDArray[Any]) -> bytes:
    """16 kHz mono samples as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def form(file: bytes | None, **fields: str | list[str]) -> aiohttp.FormData:
    """A form; a list is a field that comes several times, with brackets."""
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        for one in [value] if isinstance(value, str) else value:
            data.add_field(name if isinstance(value, str) else f"{name}[]", one)
    if file is not None:
        data.add_field("file", io.BytesIO(file), filename="speech.wav", content_type="audio/wav")
    return data


async def request(
    server: Server, path: str = TRANSCRIPTIONS, method: str = "POST", **options: Any
) -> Answer:
    """One request; `options` are aiohttp's."""
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, f"http://{server.address}{path}", **options) as response,
    ):
        return Answer(response.status, dict(response.headers), await response.text())


async def post(server: Server, file: bytes | None, **fields: str | list[str]) -> Answer:
    """A transcription request."""
    return await request(server, data=form(file, **fields))
