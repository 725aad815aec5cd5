"""What Deepgram's live API sends, key for key.

Pure. Shapes after its API reference and its Python SDK 7 (`deepgram.listen.v1.types`). Keys that
need what we do not have (`entities`, `speaker`, `diarize_info`) are left out; they are optional.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.messages import Frame

CHANNEL = [0, 1]
"""The first channel of one."""
NO_SPEECH: Frame = {"segments": [], "transcript": "", "confidence": 0.0, "language_code": None}


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What is told of the request in all that is sent about it."""

    request_id: str
    model: str
    created_at: float
    """Unix time."""

    @property
    def model_uuid(self) -> str:
        """The same for the same model."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, self.model))

    @property
    def model_info(self) -> Frame:
        """The name that was asked for: there is one model, whatever it is called."""
        return {"name": self.model, "version": "1", "arch": "whisper"}


def results(
    transcription: Frame,
    info: RequestInfo,
    *,
    span: tuple[float, float],
    speech_final: bool,
    from_finalize: bool = False,
    tells_language: bool = False,
) -> Frame:
    """A transcription as `Results`. `span` is where it starts and ends, in seconds."""
    languages = [transcription["language_code"]] if tells_language else []
    alternative = {
        "transcript": transcription["transcript"],
        "confidence": transcription["confidence"],
        **({"languages": languages} if languages else {}),
        "words": [word for s in transcription["segments"] for word in _words(s, languages)],
    }
    return {
        "type": "Results",
        "channel_index": CHANNEL,
        "start": span[0],
        "duration": round(span[1] - span[0], 3),
        "is_final": transcription["is_final"],
        "speech_final": speech_final,
        "from_finalize": from_finalize,
        "channel": {"alternatives": [alternative]},
        "metadata": {
            "request_id": info.request_id,
            "model_info": info.model_info,
            "model_uuid": info.model_uuid,
        },
    }


def _words(segment: Frame, languages: list[str]) -> list[Frame]:
    language: dict[str, Any] = {"language": languages[0]} if languages else {}
    return [
        {
            "word": _bare(word["word"]),
            "start": word["start_time"],
            "end": word["end_time"],
            "confidence": word["prob"],
            **language,
            "punctuated_word": word["word"].strip(),
        }
        for word in segment["word_timestamps"]
    ]


def _bare(word: str) -> str:
    """In lower case, without the punctuation around it."""
    text = word.strip().lower()
    letters = [at for at, character in enumerate(text) if character.isalnum()]
    return text[letters[0] : letters[-1] + 1] if letters else text


def speech_started(start_s: float) -> Frame:
    """Speech has begun here."""
    return {"type": "SpeechStarted", "channel": CHANNEL, "timestamp": start_s}


def utterance_end(last_word_end_s: float) -> Frame:
    """No word has followed this one for as long as was asked."""
    return {"type": "UtteranceEnd", "channel": CHANNEL, "last_word_end": last_word_end_s}


def metadata(info: RequestInfo, sha256: str, duration_s: float) -> Frame:
    """The summary at the end. `sha256` is that of the audio as it came."""
    created = datetime.fromtimestamp(info.created_at, UTC)
    return {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": info.request_id,
        "sha256": sha256,
        "created": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration": round(duration_s, 3),
        "channels": 1,
        "models": [info.model_uuid],
        "model_info": {info.model_uuid: info.model_info},
    }


def error(variant: str, description: str, message: str = "") -> Frame:
    """A problem that the stream survives. `message` is the client's own that is meant."""
    return {"type": "Error", "variant": variant, "description": description, "message": message}


def configure_failure(info: RequestInfo) -> Frame:
    """The answer to `Configure`: terms cannot be replaced in the middle of a stream."""
    return {
        "type": "ConfigureFailure",
        "request_id": info.request_id,
        "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
        "description": "a stream's terms cannot be changed; accepted is `keyterm` in its URL",
    }
