"""docs/protocols.md names all that the unmodified clients can say, and all that they are told."""

import inspect
import re
import warnings
from pathlib import Path
from typing import get_args

import pytest
from openai.types.realtime import (
    AudioTranscription,
    RealtimeClientEvent,
)
from openai.types.realtime.realtime_transcription_session_audio_input_turn_detection import (
    SemanticVad,
    ServerVad,
)

from gateway import listening
from gateway.dialects.entrances import entrances
from gateway.dialects.realtime.config import Config
from gateway.dialects.realtime.dialect import EVENTS
from gateway.dialects.twilio import dialect as twilio
from gateway.dialects.twilio.calls import Calls

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it still uses websockets.legacy
    from deepgram.listen.v1.client import V1Client

TEXT = (Path(__file__).parents[3] / "docs" / "protocols.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+): [^\n]*\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
REALTIME = re.search(r"^## OpenAI: realtime.*?(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)


def words(section: str) -> set[str]:
    """What stands in code, `.name` at its full length where the name before it gives the rest."""
    found, last = set(), ""
    for word in re.findall(r"`([^`\n]+)`", section):
        prefix = last.rpartition(".")[0]
        last = prefix + word if word.startswith(".") else word
        found |= {last, word}
    return found


def test_every_path_stands_there() -> None:
    paths = [path for entrance in entrances(Calls()) for path in entrance.paths]
    for path in (*paths, listening.PATH.replace("{call}", "{CallSid}")):
        assert f"`GET {path}" in TEXT


def test_every_option_of_deepgram_s_sdk_stands_there() -> None:
    not_in_query = {"self", "authorization", "request_options"}
    options = set(inspect.signature(V1Client.connect).parameters) - not_in_query
    assert len(options) > 25
    assert options <= words(SECTIONS["Deepgram"])


@pytest.mark.parametrize(
    "name",
    [
        "KeepAlive Finalize CloseStream Configure ConfigureFailure Results Metadata Error",
        "SpeechStarted UtteranceEnd SchemaError TranscriptionError",
        "INVALID_AUTH TOO_MANY_REQUESTS SERVICE_UNAVAILABLE DATA-0000 NET-0000 NET-0001",
    ],
)
def test_every_message_of_deepgram_s_stands_there(name: str) -> None:
    assert set(name.split()) <= words(SECTIONS["Deepgram"])


def test_every_client_event_of_openai_s_package_stands_there() -> None:
    assert REALTIME is not None
    there = words(REALTIME[0])
    union, *_ = get_args(RealtimeClientEvent)
    events = {get_args(event.model_fields["type"].annotation)[0] for event in get_args(union)}
    assert len(events) > 8
    families = tuple(word.removesuffix("*") for word in there if word.endswith(".*"))
    assert {event for event in events if not event.startswith(families)} <= there
    assert set(EVENTS) <= there


def test_every_setting_of_openai_s_package_stands_there() -> None:
    assert REALTIME is not None
    there = words(REALTIME[0])
    assert set(Config.model_fields) <= {word.partition(".")[0] for word in there}
    for part, models in {
        "transcription": (AudioTranscription,),
        "turn_detection": (ServerVad, SemanticVad),
    }.items():
        fields = {name for model in models for name in model.model_fields} - {"type"}
        assert {f"{part}.{name}" for name in fields} <= there


def test_every_event_of_twilio_s_stands_there() -> None:
    assert {*twilio.EVENTS, "transcription", "error", "finished"} <= words(SECTIONS["Twilio"])
