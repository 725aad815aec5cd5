"""How the gateway's log looks: lines for people, or JSON for programs; each with its session's id.

Everything goes through Python's `logging`, the libraries' own warnings too. Rules:

1. A line that is written while a session is served carries its id, whoever writes it: the id lies
   in a context variable, which the session's tasks inherit.
2. No audio, text or key is ever logged. What a client says is shown by `gateway.messages.cut` to
   the client alone.
3. A line is one line: a traceback is a field of it, or follows it in the form for people.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

TEXT, JSON = FORMATS = ("text", "json")

_session: ContextVar[str | None] = ContextVar("session", default=None)
_FIELDS = "fields"


@contextmanager
def session(session_id: str) -> Iterator[None]:
    """Lines written inside, and by tasks that are made inside, carry this id."""
    token = _session.set(session_id)
    try:
        yield
    finally:
        _session.reset(token)


def fields(**values: Any) -> dict[str, Any]:
    """The same for programs as a message has for people: `logger.info("...", extra=fields(...))`.

    In JSON they stand beside the message; in text they do not, so the message must say them too.
    """
    return {_FIELDS: values}


def configure(log_format: str) -> None:
    """Have all lines of this process, from INFO on, go to standard error in this form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == JSON else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)


class TextLines(logging.Formatter):
    """`2026-01-31 12:00:00,123 INFO gateway.server: [1f2e3d4c] the message`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(session)s%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's own name
        """The line, without a traceback."""
        session_id = _session.get()
        record.session = "" if session_id is None else f"[{session_id}] "
        return super().formatMessage(record)


class JsonLines(logging.Formatter):
    """One JSON object a line; docs/operations.md lists its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (session_id := _session.get()) is not None:
            line["session"] = session_id
        line |= getattr(record, _FIELDS, {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
