"""Errors as OpenAI's API tells them: `{"error": {"message", "type", "param", "code"}}`.

Pure. A message is one line for people: what was wrong, and what is accepted. Statuses, types and
codes are those that OpenAI's own API gives where it has the same error; the codes of a server that
is full, overloaded or stopping are our own refusals' types.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from gateway.closing import Close, CloseCode
from gateway.refusal import Refusal, RefusalType
from gateway.session import ENGINE_UNAVAILABLE

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"


class ErrorObject(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    message: str
    """For people."""
    type: str
    """`invalid_request_error` or `server_error`."""
    param: str | None
    """The field that is to blame."""
    code: str | None
    """For programs."""


class ErrorBody(BaseModel):
    """Every answer that is no success."""

    error: ErrorObject


@dataclass(frozen=True, slots=True)
class Problem:
    """What a request is told instead of a transcript."""

    status: int
    message: str
    type: str = INVALID_REQUEST
    param: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        told = ErrorObject(message=self.message, type=self.type, param=self.param, code=self.code)
        return ErrorBody(error=told).model_dump()


class ApiError(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that cannot be served as it is: status 400."""
    return ApiError(Problem(400, message, param=param, code=code))


def too_large(most_bytes: int) -> ApiError:
    """A file over the limit: status 413."""
    message = (
        f"the file is too large; accepted are {most_bytes} bytes at most "
        "(the server's GATEWAY_MAX_FILE_BYTES)"
    )
    return ApiError(Problem(413, message, param="file", code="file_too_large"))


def of_refusal(refusal: Refusal) -> Problem:
    """A refusal of the whole server in this shape; its headers stay."""
    kind, message = refusal.body["type"], refusal.body["error"]
    code = "invalid_api_key" if kind == RefusalType.UNAUTHORIZED.wire_name else kind
    is_ours = refusal.status >= 500
    error_type = SERVER_ERROR if is_ours else INVALID_REQUEST
    return Problem(refusal.status, message, error_type, code=code, headers=refusal.headers)


def of_end(end: Close) -> Problem:
    """Why a session has ended before its transcript was complete."""
    message = end.error or "the session has ended early; try again"
    if end.code == CloseCode.REFUSED:
        return Problem(400, message)
    if end.code == CloseCode.RESTART:
        stopping = "this server is stopping; try again"
        return Problem(503, stopping, SERVER_ERROR, code=RefusalType.STOPPING.wire_name)
    if message == ENGINE_UNAVAILABLE:
        return Problem(503, message, SERVER_ERROR, code="engine_unavailable")
    return Problem(500, message, SERVER_ERROR)
