"""What ends a request looks as OpenAI's errors do."""

import pytest

from gateway.closing import Close, CloseCode
from gateway.refusal import RefusalType, refuse
from gateway.rest.errors import of_end, of_refusal
from gateway.session import ENGINE_UNAVAILABLE


@pytest.mark.parametrize("kind", RefusalType)
def test_every_refusal_keeps_its_status_its_headers_and_its_reason(kind: RefusalType) -> None:
    refusal = refuse(kind, "because")
    problem = of_refusal(refusal)
    assert (problem.status, problem.message, problem.headers) == (
        kind.status,
        "because",
        refusal.headers,
    )
    error = problem.body()["error"]
    assert error["type"] == ("server_error" if kind.status >= 500 else "invalid_request_error")
    unauthorized = kind is RefusalType.UNAUTHORIZED
    assert error["code"] == ("invalid_api_key" if unauthorized else kind.wire_name)


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (Close(CloseCode.REFUSED, "metadata: no"), 400, None),
        (Close(CloseCode.INTERNAL, "a part is lost"), 500, None),
        (Close(CloseCode.INTERNAL, ENGINE_UNAVAILABLE), 503, "engine_unavailable"),
        (Close(CloseCode.RESTART), 503, "stopping"),
        (Close(CloseCode.NORMAL), 500, None),
    ],
    ids=str,
)
def test_every_early_end_is_an_error(end: Close, status: int, code: str | None) -> None:
    problem = of_end(end)
    assert (problem.status, problem.code) == (status, code)
    assert problem.message == (end.error or problem.message) != ""
