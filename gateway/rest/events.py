"""Server-sent events of `stream=true`: text that is only ever added to, then the whole.

Pure. A delta is a final's text: finals are not corrected any more, so the deltas joined are the
text, letter for letter. The format is that of the HTML standard, section 9.2.
"""

import json
from typing import Literal

from pydantic import BaseModel

from gateway.rest.errors import Problem
from gateway.rest.formats import Language, LogProbability

CONTENT_TYPE = "text/event-stream"
COMMENT = ": still working\n\n"
"""Clients skip it; it keeps proxies from taking a silent recording for a dead connection."""


class TextDelta(BaseModel):
    """More of the text."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    logprobs: list[LogProbability] | None = None


class TextDone(BaseModel):
    """The whole text; nothing follows."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    languages: list[Language]
    logprobs: list[LogProbability] | None = None


def event(told: TextDelta | TextDone) -> str:
    """An event as it is sent."""
    return f"data: {told.model_dump_json(exclude_none=True)}\n\n"


def failure(problem: Problem) -> str:
    """What is sent instead of the rest when no status can tell it any more."""
    return f"data: {json.dumps(problem.body())}\n\n"
