"""A typed client of the websocket protocol: live transcription from Python.

    from gateway.client import Options, transcribe

    async for said in transcribe("ws://127.0.0.1:8000/v1/websocket", packets, Options(words=True)):
        print(said.transcript)

`packets` are bytes of audio of any size, as the options declare it (16 kHz, 16 bit, mono by
default). `Session` is the same with more say: partials, errors that do not end it, sending and
reading apart. A lost connection is made anew and what was not final is sent again, so that times
and numbers go on unbroken. `Connection` is the plain one underneath. It needs the packages
websockets and pydantic, and nothing else of this repository but `gateway.wire`.
"""

from gateway.client.connection import DEFAULT_URL, Connection
from gateway.client.errors import (
    AddressError,
    ClientError,
    ClosedError,
    ConnectError,
    GarbledError,
    LostError,
    MetadataError,
    NotReadingError,
    RecognitionError,
    RefusedError,
    RestartError,
    ServerFailedError,
    TooLargeError,
    UnauthorizedError,
)
from gateway.client.options import Options
from gateway.client.session import Reconnect, Session, transcribe
from gateway.wire import Beam, Error, Segment, TimingInfo, Transcription, Word

__all__ = [
    "DEFAULT_URL",
    "AddressError",
    "Beam",
    "ClientError",
    "ClosedError",
    "ConnectError",
    "Connection",
    "Error",
    "GarbledError",
    "LostError",
    "MetadataError",
    "NotReadingError",
    "Options",
    "RecognitionError",
    "Reconnect",
    "RefusedError",
    "RestartError",
    "Segment",
    "ServerFailedError",
    "Session",
    "TimingInfo",
    "TooLargeError",
    "Transcription",
    "UnauthorizedError",
    "Word",
    "transcribe",
]
