"""What the tests of the pure dialects share: upgrades, and frames as a session makes them."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from gateway.dialects.dialect import Dialect, Upgrade
from gateway.messages import Frame
from gateway.peer import Incoming

AT = 1_700_000_000.5
"""Unix time of every upgrade."""


def upgrade(
    query: str = "", target: str = "/", headers: Mapping[str, str] | None = None
) -> Upgrade:
    return Upgrade(target, tuple(parse_qsl(query, keep_blank_values=True)), headers or {}, AT)


def word(text: str, start_s: float, end_s: float, prob: float = 0.9) -> Frame:
    return {"word": text, "start_time": start_s, "end_time": end_s, "prob": prob}


def transcription(
    num: int,
    text: str,
    *,
    is_final: bool = True,
    committed: str | None = None,
    span: tuple[float, float] = (1.0, 2.0),
    words: list[Frame] | None = None,
    heard_s: float | None = None,
    language: str = "en",
) -> Frame:
    """A session's transcription message; `heard_s` is how far the audio had got."""
    segment = {
        "start_time": span[0],
        "end_time": span[1],
        "text": text,
        "log_prob": -1.5,
        "word_timestamps": words or [],
        "language_code": language,
        "language_prob": None,
    }
    return {
        "type": "transcription",
        "is_final": is_final,
        "transcription_num": num,
        "transcript": text,
        "committed": text if committed is None else committed,
        "confidence": 0.8,
        "segments": [segment] if text else [],
        "language_code": language,
        "language_prob": None,
        "audio_length_sec": round(span[1] - span[0], 3),
        "timing_info": {"audio_received_sec": span[1] + 0.3 if heard_s is None else heard_s},
    }


def requests(dialect: Dialect, *messages: str | bytes | Frame) -> list[Incoming]:
    """What the session is asked for when a client says this."""
    found: list[Incoming] = []
    for message in messages:
        said = json.dumps(message) if isinstance(message, dict) else message
        found += dialect.hear(said).requests
    return found


def replies(dialect: Dialect, *messages: str | bytes | Frame) -> list[Frame]:
    """What the client is told at once when it says this."""
    found: list[Frame] = []
    for message in messages:
        said = json.dumps(message) if isinstance(message, dict) else message
        found += dialect.hear(said).replies
    return found


def told(dialect: Dialect, *frames: Frame) -> list[Frame]:
    """What the client is told when the session says this."""
    return [told for frame in frames for told in dialect.tell(frame)]


def metadata_of(request: Incoming) -> Any:
    """A session's first message, decoded."""
    assert isinstance(request, str)
    return json.loads(request)


def error_frame(message: str = "a part of the audio could not be transcribed: x") -> Frame:
    return {"type": "error", "message": message, "body": {"message": message}}
