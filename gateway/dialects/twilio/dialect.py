"""The messages of one media stream: Twilio's JSON in, transcripts out.

Sans-I/O. `connected`, `start`, `media` ..., `stop`; what else comes (`mark`, `dtmf`) says nothing
of what is spoken. Of two tracks one is transcribed. With an audience nothing is said to who sends
the stream, and it is heard to its end when that has gone: Twilio hangs up right behind `stop`.
"""

import base64
import binascii
import json
from typing import Any, Final

from gateway.closing import Close, CloseCode, Farewell
from gateway.dialects.dialect import Dialect, Turn
from gateway.dialects.metadata import OptionError
from gateway.dialects.twilio.calls import Calls
from gateway.dialects.twilio.options import Stream, read_start
from gateway.messages import FINISHED, Frame, parse_json, show

END_AUDIO: Final = json.dumps({"type": "end_audio"})
IGNORED = ("connected", "mark", "dtmf")
EVENTS = ("connected", "start", "media", "mark", "dtmf", "stop")


class TwilioDialect(Dialect):
    """One stream."""

    def __init__(self, audience: Calls | None = None) -> None:
        self._audience = audience
        self._stream: Stream | None = None
        self._is_over = False
        self._is_farewell_told = False

    @property
    def outlives_client(self) -> bool:
        """Whether there is somebody who still wants to hear the end."""
        return self._audience is not None and self._stream is not None

    def hear(self, message: str | bytes) -> Turn:
        """A message of Twilio's; see `gateway.dialects.dialect`."""
        event = _parse(message)
        if isinstance(event, str):
            return self._error(event)
        kind = event.get("event")
        if self._is_over or (isinstance(kind, str) and kind in IGNORED):
            return Turn()
        match kind:
            case "start" if self._stream is None:
                return self._start(event)
            case "media" if self._stream is not None:
                return self._media(self._stream, event.get("media"))
            case "stop" if self._stream is not None:
                return self.gone()
            case "start" | "media" | "stop":
                return self._error(f"{kind}: it is out of order; the stream begins with start")
        return self._error(f"event: found {show(kind)}; accepted are {', '.join(EVENTS)}")

    def gone(self) -> Turn:
        """The stream is over, whether it was said or not."""
        if self._is_over:
            return Turn()
        self._is_over = True
        return Turn((END_AUDIO,))

    def tell(self, frame: Frame) -> list[Frame]:
        """The session has said this; see `gateway.dialects.dialect`."""
        if frame["type"] == "transcription":
            track = None if self._stream is None else self._stream.track
            return self._say(self._event("transcription", track=track, transcription=frame))
        if frame["type"] == "error":
            return self._say(self._event("error", error={"message": frame["message"]}))
        return self._say(self._event("finished")) if frame == FINISHED else []

    def farewell(self, end: Close) -> Farewell:
        """The end of the session: an error if there is one, and its code."""
        error = end.error
        frames = [] if error is None else [self._event("error", error={"message": error})]
        if self._audience is None:
            return Farewell(tuple(frames), end.code, error or "")
        if not self._is_farewell_told:
            self._is_farewell_told = True
            for frame in (*frames, None):
                self._tell_audience(self._audience, frame)
        return Farewell((), end.code, error or "")

    def _start(self, event: Frame) -> Turn:
        try:
            self._stream = read_start(event)
        except OptionError as error:
            raise Close(CloseCode.REFUSED, str(error)) from None
        return Turn((self._stream.metadata,))

    def _media(self, stream: Stream, media: Any) -> Turn:
        try:
            if media.get("track", stream.track) != stream.track:
                return Turn()
            audio = base64.b64decode(media["payload"], validate=True)
        except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
            return self._error("media.payload: accepted is base64 of mu-law audio")
        return Turn((audio,)) if audio else Turn()

    def _error(self, message: str) -> Turn:
        return Turn(replies=tuple(self._say(self._event("error", error={"message": message}))))

    def _say(self, event: Frame) -> list[Frame]:
        """An event for whoever is told: the client, if there is no audience."""
        if self._audience is None:
            return [event]
        self._tell_audience(self._audience, event)
        return []

    def _tell_audience(self, audience: Calls, event: Frame | None) -> None:
        if self._stream is not None:
            audience.tell(self._stream.names, event)

    def _event(self, kind: str, **fields: Any) -> Frame:
        stream = self._stream
        sids = (
            {} if stream is None else {"streamSid": stream.stream_sid, "callSid": stream.call_sid}
        )
        return {"event": kind, **sids, **fields}


def _parse(message: str | bytes) -> Frame | str:
    """The message, or what is wrong with it."""
    if isinstance(message, bytes):
        return "binary messages are not accepted; audio is base64 in JSON"
    try:
        event = parse_json(message)
    except ValueError as error:
        return f"malformed JSON: {error}"
    return event if isinstance(event, dict) else f"found {show(event)}; accepted is a JSON object"
