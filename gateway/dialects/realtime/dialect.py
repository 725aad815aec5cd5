"""The conversation of one transcription session: OpenAI's client events in, its server events out.

Sans-I/O. A commit, a clear and an update each flush the session, and take effect when the flush is
over: audio behind them waits for that, so nothing is told of the wrong item or heard as the wrong
format. Errors are events, and the session goes on.
"""

import base64
import binascii
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.closing import Close, CloseCode, Farewell
from gateway.dialects.dialect import Dialect, Turn
from gateway.dialects.g711 import expand_alaw
from gateway.dialects.metadata import OptionError
from gateway.dialects.realtime import events
from gateway.dialects.realtime.config import (
    ALAW,
    Config,
    Tree,
    config_of,
    given_by,
    merged,
    parameter,
    shown_in_beta,
)
from gateway.dialects.realtime.items import Items
from gateway.messages import FLUSHED, Configure, Flush, Frame, parse_json, show

MAX_EVENT_CHARS = 2**20
"""Longest event that is parsed, 16 s of audio: more JSON at a time would hold up other sessions."""
MIN_COMMIT_MS = 100
"""Of audio; OpenAI's own limit."""
UPDATE, BETA_UPDATE = "session.update", "transcription_session.update"
APPEND, COMMIT, CLEAR = (f"input_audio_buffer.{name}" for name in ("append", "commit", "clear"))
EVENTS = (UPDATE, BETA_UPDATE, APPEND, COMMIT, CLEAR)
Done = Callable[[], list[Frame]]


class _EventError(Exception):
    """A client's event that cannot be followed."""

    def __init__(self, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class RealtimeDialect(Dialect):
    """One client."""

    def __init__(self, *, is_beta: bool) -> None:
        self._id = events.new_id("sess")
        self._given: Tree = {}
        self._config = Config()
        self._items = Items(is_beta=is_beta)
        self._uncommitted_bytes = 0
        self._when_flushed: deque[Done] = deque()

    def open(self) -> Turn:
        """The metadata of the configuration before the client has given any, and what it is."""
        return Turn((self._config.metadata(),), (self._session("created"),))

    def hear(self, message: str | bytes) -> Turn:
        """The client has said this; see `gateway.dialects.dialect`."""
        event: Any = None
        try:
            event = _parse(message)
            return self._follow(event)
        except _EventError as problem:
            caused_by = event.get("event_id") if isinstance(event, dict) else None
            error = events.error(
                str(problem), code=problem.code, param=problem.param, event_id=caused_by
            )
            return Turn(replies=(error,))

    def tell(self, frame: Frame) -> list[Frame]:
        """The session has said this; see `gateway.dialects.dialect`."""
        if frame == FLUSHED:
            return self._when_flushed.popleft()()
        match frame["type"]:
            case "transcription":
                told = self._items.transcription(frame)
            case "error":
                told = self._items.fail(frame["message"])
            case _:
                return []
        if any(event["type"] == "input_audio_buffer.committed" for event in told):
            self._uncommitted_bytes = 0
        return told

    def farewell(self, end: Close) -> Farewell:
        """The end of the session: the item that was committed, and an error if there is one."""
        last = self._items.leave()
        if end.error is not None:
            is_ours = end.code == CloseCode.INTERNAL
            kind = events.SERVER_ERROR if is_ours else events.INVALID_REQUEST
            last.append(events.error(end.error, kind=kind))
        return Farewell(tuple(last), end.code, end.error or "")

    # The client.

    def _follow(self, event: Tree) -> Turn:
        match event.get("type"):
            case "input_audio_buffer.append":
                return self._append(event)
            case "input_audio_buffer.commit":
                return self._commit()
            case "input_audio_buffer.clear":
                return self._clear()
            case "session.update":
                return self._update(event, is_beta=False)
            case "transcription_session.update":
                return self._update(event, is_beta=True)
        accepted = ", ".join(EVENTS)
        if "type" not in event:
            raise _EventError(f"type: missing; accepted are {accepted}", "invalid_event")
        found = show(event["type"])
        raise _EventError(f"type: found {found}; accepted are {accepted}", "invalid_value", "type")

    def _append(self, event: Tree) -> Turn:
        try:
            audio = base64.b64decode(event["audio"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            accepted = f"accepted is base64 of {self._config.format.type}"
            raise _EventError(f"audio: {accepted}", "invalid_value", "audio") from None
        if not audio:
            return Turn()
        self._uncommitted_bytes += len(audio)
        return Turn((expand_alaw(audio) if self._config.format.type == ALAW else audio,))

    def _commit(self) -> Turn:
        ms = 1000 * self._uncommitted_bytes / self._config.format.byte_rate
        if ms < MIN_COMMIT_MS:
            raise _EventError(
                f"the input audio buffer has {ms:.0f} ms of audio; accepted are {MIN_COMMIT_MS} ms "
                "at least",
                "input_audio_buffer_commit_empty",
            )
        self._uncommitted_bytes = 0
        self._when_flushed.append(self._items.settled)
        return Turn((Flush(),), tuple(self._items.commit()))

    def _clear(self) -> Turn:
        self._uncommitted_bytes = 0
        self._items.drop()
        self._when_flushed.append(self._cleared)
        return Turn((Flush(discard=True),))

    def _cleared(self) -> list[Frame]:
        self._items.dropped()
        return [events.event("input_audio_buffer.cleared")]

    def _update(self, event: Tree, *, is_beta: bool) -> Turn:
        session = event.get("session")
        if not isinstance(session, dict):
            found = show(session)
            problem = f"session: found {found}; accepted is an object"
            raise _EventError(problem, "invalid_type", "session")
        try:
            given = merged(self._given, given_by(session, is_beta))
            config = config_of(given)
        except OptionError as error:
            param = parameter(error.name, is_beta)
            raise _EventError(f"{param}: {error.problem}", "invalid_value", param) from None
        self._given = given
        self._when_flushed.append(partial(self._updated, config, is_beta))
        return Turn((Flush(), Configure(config.metadata())))

    def _updated(self, config: Config, is_beta: bool) -> list[Frame]:
        self._config = config
        self._items.is_manual = config.is_manual
        self._items.is_beta = is_beta
        return [self._session("updated")]

    def _session(self, what: str) -> Frame:
        config, is_beta = self._config, self._items.is_beta
        session: Tree = {"id": self._id, "object": "realtime.transcription_session"}
        if is_beta:
            shown = session | shown_in_beta(config) | {"include": None}
            return events.event(f"transcription_session.{what}", session=shown)
        shown = {"type": "transcription", "audio": {"input": config.shown()}, "include": None}
        return events.event(f"session.{what}", session=session | shown)


def _parse(message: str | bytes) -> Tree:
    if isinstance(message, bytes):
        problem = "binary messages are not accepted; audio is base64 in JSON"
        raise _EventError(problem, "invalid_event")
    try:
        event = parse_json(message, MAX_EVENT_CHARS)
    except ValueError as error:
        raise _EventError(f"malformed JSON: {error}", "invalid_json") from None
    if not isinstance(event, dict):
        raise _EventError(f"found {show(event)}; accepted is a JSON object", "invalid_event")
    return event
