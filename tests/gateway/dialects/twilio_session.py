"""A media stream as Twilio sends it, message for message, made of mu-law audio.

The shapes are those of a recorded call: `connected`, `start`, a `media` message for each 20 ms with
its number and time stamp, a `mark` and a `dtmf` in between, `stop`. All numbers are texts there.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.messages import Frame

STREAM_SID = "MZ18ad3ab5a668481ce02b83e7395059f0"
CALL_SID = "CA0b8c7e3d5f4a4a0f9d6c2b1a0e9f8d7c"
ACCOUNT_SID = "AC00000000000000000000000000000000"
SAMPLE_RATE = 8_000
MEDIA_BYTES = SAMPLE_RATE // 50
"""20 ms."""


def connected() -> Frame:
    return {"event": "connected", "protocol": "Call", "version": "1.0.0"}


def start(
    parameters: Mapping[str, str] | None = None, tracks: tuple[str, ...] = ("inbound",)
) -> Frame:
    """`parameters` are the `<Parameter>`s of the `<Stream>`."""
    return {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": ACCOUNT_SID,
            "streamSid": STREAM_SID,
            "callSid": CALL_SID,
            "tracks": list(tracks),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1},
            "customParameters": dict(parameters or {}),
        },
        "streamSid": STREAM_SID,
    }


def media(audio: bytes, number: int = 1, track: str = "inbound") -> Frame:
    return {
        "event": "media",
        "sequenceNumber": str(number + 1),
        "media": {
            "track": track,
            "chunk": str(number),
            "timestamp": str(20 * number + 5),
            "payload": base64.b64encode(audio).decode(),
        },
        "streamSid": STREAM_SID,
    }


def stop() -> Frame:
    return {
        "event": "stop",
        "sequenceNumber": "999",
        "stop": {"accountSid": ACCOUNT_SID, "callSid": CALL_SID},
        "streamSid": STREAM_SID,
    }


def between() -> list[Frame]:
    """What comes in the middle of a call and is no audio."""
    dtmf: dict[str, Any] = {"track": "inbound_track", "digit": "1"}
    return [
        {"event": "mark", "streamSid": STREAM_SID, "mark": {"name": "greeting"}},
        {"event": "dtmf", "streamSid": STREAM_SID, "dtmf": dtmf},
    ]


def call(audio: bytes, parameters: Mapping[str, str] | None = None) -> Iterator[str]:
    """A whole stream, as texts. `audio` is mu-law at 8 kHz."""
    yield json.dumps(connected())
    yield json.dumps(start(parameters))
    packets = [audio[at : at + MEDIA_BYTES] for at in range(0, len(audio), MEDIA_BYTES)]
    for number, packet in enumerate(packets, start=1):
        yield json.dumps(media(packet, number))
        if number == len(packets) // 2:
            yield from map(json.dumps, between())
    yield json.dumps(stop())
