"""How clients of OpenAI's Realtime API come in, and how they are told that they do not.

Pure. A client of the beta says so in a header or, in a browser, with a subprotocol. The model in
the query is one of ours whatever it is called; which one counts is said in the session.
"""

from gateway.dialects.dialect import Entrance, RefusedUpgrade, Upgrade
from gateway.dialects.realtime.dialect import RealtimeDialect
from gateway.messages import show
from gateway.refusal import Refusal
from gateway.rest.errors import Problem, of_refusal

INTENT = "transcription"
BETA_HEADER = "realtime=v1"
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"


class RealtimeEntrance(Entrance):
    """`GET /v1/realtime`."""

    name = "realtime"
    paths = ("/v1/realtime",)

    def begin(self, upgrade: Upgrade) -> RealtimeDialect:
        """See `gateway.dialects.dialect.Entrance`."""
        intent = upgrade.last("intent")
        if intent not in (None, INTENT):
            problem = f"intent: found {show(intent)}; accepted is {INTENT}"
            raise RefusedUpgrade(_refusal(Problem(400, problem, param="intent")))
        headers = upgrade.headers
        offered = headers.get("Sec-WebSocket-Protocol", "")
        is_beta = BETA_HEADER in headers.get("OpenAI-Beta", "") or BETA_SUBPROTOCOL in offered
        return RealtimeDialect(is_beta=is_beta)

    def refuse(self, refusal: Refusal) -> Refusal:
        """See `gateway.dialects.dialect.Entrance`."""
        return _refusal(of_refusal(refusal))


def _refusal(problem: Problem) -> Refusal:
    return Refusal(problem.status, problem.headers, problem.body())
