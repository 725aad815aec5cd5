"""Generated clients of the other protocols: whatever they say is translated, answered or closed."""

import base64
import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.closing import Close
from gateway.dialects.deepgram.entrance import DeepgramEntrance
from gateway.dialects.dialect import Dialect, Entrance, RefusedUpgrade
from gateway.dialects.realtime.entrance import RealtimeEntrance
from gateway.dialects.twilio.calls import Calls
from gateway.dialects.twilio.entrance import TwilioEntrance
from gateway.messages import FINISHED, FLUSHED, Configure, Flush, Frame, parse_request
from gateway.protocol import parse_metadata
from tests.gateway.dialects.support import error_frame, transcription, upgrade
from tests.gateway.generated import END_AUDIO, VALUES, packet, text

SESSIONS = 1000
SOUND = base64.b64encode(bytes(640)).decode()
FORMAT = {"type": "audio/pcm", "rate": 24_000}
SPOKEN: dict[str, tuple[Callable[[], Entrance], tuple[str, ...], tuple[Frame, ...]]] = {
    "deepgram": (
        DeepgramEntrance,
        (
            "encoding=linear16&sample_rate=16000",
            "encoding=mulaw&sample_rate=8000&interim_results=true&endpointing=500",
            "",
            "language=multi&utterance_end_ms=1000&interim_results=true&encoding=alaw&sample_rate=8000",
        ),
        (
            {"type": "KeepAlive"},
            {"type": "Finalize"},
            {"type": "CloseStream"},
            {"type": "Configure", "features": {"x": 1}},
        ),
    ),
    "realtime": (
        RealtimeEntrance,
        ("intent=transcription", ""),
        (
            {"type": "input_audio_buffer.append", "audio": SOUND, "event_id": "e"},
            {"type": "input_audio_buffer.commit"},
            {"type": "input_audio_buffer.clear"},
            {
                "type": "session.update",
                "session": {
                    "type": "transcription",
                    "audio": {
                        "input": {
                            "format": FORMAT,
                            "transcription": {"model": "whisper-1", "language": "en"},
                            "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
                        }
                    },
                },
            },
            {
                "type": "transcription_session.update",
                "session": {"input_audio_format": "g711_ulaw", "turn_detection": None},
            },
        ),
    ),
    "twilio": (
        lambda: TwilioEntrance(Calls()),
        ("",),
        (
            {"event": "connected", "protocol": "Call", "version": "1.0.0"},
            {
                "event": "start",
                "streamSid": "MZ1",
                "start": {
                    "callSid": "CA1",
                    "streamSid": "MZ1",
                    "tracks": ["inbound"],
                    "mediaFormat": {
                        "encoding": "audio/x-mulaw",
                        "sampleRate": 8000,
                        "channels": 1,
                    },
                    "customParameters": {},
                },
            },
            {"event": "media", "media": {"track": "inbound", "timestamp": "5", "payload": SOUND}},
            {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "1"}},
            {"event": "mark", "mark": {"name": "x"}},
            {"event": "stop", "stop": {"callSid": "CA1"}},
        ),
    ),
}


def frames(chance: random.Random) -> Iterator[Frame]:
    """What a session says, in its order."""
    number = 0
    while True:
        is_final = chance.random() < 0.5
        said = chance.choice(("", "One.", "One two three."))
        yield transcription(number, said, is_final=is_final, span=(number, number + 1.0))
        number += is_final
        if chance.random() < 0.1:
            yield error_frame()


def mutated(message: Frame, chance: random.Random) -> Frame:
    """The message with something in it gone, or something else in its place."""
    changed = copy.deepcopy(message)
    place: Any = changed
    while True:
        key = chance.choice(list(place))
        if isinstance(place[key], dict) and place[key] and chance.random() < 0.7:
            place = place[key]
            continue
        if chance.random() < 0.3:
            del place[key]
        else:
            place[key] = chance.choice(VALUES)
        return changed


def said(messages: tuple[Frame, ...], chance: random.Random) -> str | bytes:
    kind = chance.random()
    if kind < 0.15:
        return packet(chance)
    if kind < 0.25:
        return text(chance)
    message = chance.choice(messages)
    return json.dumps(mutated(message, chance) if kind < 0.5 else message)


def play(dialect: Dialect, messages: tuple[Frame, ...], chance: random.Random) -> None:
    """A session; what it says to a session of ours must be what that takes."""
    telling = frames(chance)
    turns = [dialect.open()]
    told: list[Frame] = []
    flushed = 0
    end = Close(chance.choice((1000, 1008, 1009, 1011, 1012, 1013)), chance.choice((None, "why")))
    try:
        for _ in range(int(chance.expovariate(1 / 12))):
            turns.append(dialect.hear(said(messages, chance)))
            if chance.random() < 0.5:
                told += dialect.tell(next(telling))
            asked = sum(isinstance(one, Flush) for turn in turns for one in turn.requests)
            while flushed < asked and chance.random() < 0.5:
                told += dialect.tell(FLUSHED)
                flushed += 1
        turns.append(dialect.gone())
        told += dialect.tell(FINISHED)
    except Close as closed:
        end = closed
    told += [*dialect.farewell(end).frames, *dialect.farewell(end).frames]
    told += [reply for turn in turns for reply in turn.replies]
    json.dumps(told)
    for turn in turns:
        for one in turn.requests:
            if isinstance(one, Configure):
                parse_metadata(one.metadata)
    texts = [one for turn in turns for one in turn.requests if isinstance(one, str)]
    if texts and texts[0] != END_AUDIO:  # else it ended before it began
        parse_metadata(texts[0])
    for one in texts[1:]:
        parse_request(one)


@pytest.mark.parametrize("name", SPOKEN)
def test_no_client_of_another_protocol_brings_its_dialect_down(name: str) -> None:
    entrance, queries, messages = SPOKEN[name]
    for seed in range(SESSIONS):
        chance = random.Random(seed)
        try:
            play(entrance().begin(upgrade(chance.choice(queries))), messages, chance)
        except Exception as error:
            raise AssertionError(f"session {seed}: {error!r}") from error


@pytest.mark.parametrize("name", ["deepgram", "realtime"])
def test_no_query_brings_an_entrance_down(name: str) -> None:
    entrance, queries, _ = SPOKEN[name]
    refused = 0
    for seed in range(SESSIONS):
        chance = random.Random(seed)
        query = list(chance.choice(queries[:1]))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(query) + 1)
            put = chance.choice(("", "%ff", "&", "=", "-1", "é", "a"))
            query[at : at + chance.randrange(3)] = put
        try:
            entrance().begin(upgrade("".join(query)))
        except RefusedUpgrade:
            refused += 1
    assert 0 < refused < SESSIONS
