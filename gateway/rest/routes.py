"""The routes of OpenAI's transcription API, and how its errors go out.

Knows aiohttp and the gateway, no audio and no format. Every error has OpenAI's shape, also those
of paths and methods that this part of their API does not have here.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import BaseModel

from gateway.closing import Close
from gateway.messages import cut
from gateway.refusal import Refusal
from gateway.rest.errors import SERVER_ERROR, ApiError, Problem, of_refusal
from gateway.rest.form import unknown_model
from gateway.rest.listeners import ANSWER_STARTED
from gateway.rest.models import list_models
from gateway.rest.paths import MODELS, TRANSCRIPTIONS, TRANSLATIONS
from gateway.rest.transcribing import transcribe

if TYPE_CHECKING:
    from gateway.server import Gateway

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

logger = logging.getLogger(__name__)


def routes(gateway: "Gateway") -> list[web.RouteDef]:
    """What this API serves. Put it behind all other routes of `/v1`."""
    api = Api(gateway)
    return [
        web.post(TRANSCRIPTIONS, _telling_errors(api.transcribe)),
        web.post(TRANSLATIONS, _telling_errors(api.refuse_translation)),
        web.get(MODELS, _telling_errors(api.list_models)),
        web.get(MODELS + "/{model:.+}", _telling_errors(api.describe_model)),
        web.route("*", "/v1/audio/{path:.*}", _telling_errors(api.report_unknown)),
        web.route("*", MODELS, _telling_errors(api.report_unknown)),
        web.post("/v1/{path:.*}", _telling_errors(api.report_unknown)),
    ]


class Api:
    """The requests that there are."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._started_at = int(time.time())

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/audio/transcriptions`."""
        return await transcribe(self._gateway, request)

    async def list_models(self, request: web.Request) -> web.Response:
        """`GET /v1/models`."""
        self._check_key(request)
        return _json(list_models(self._gateway.shared.settings.models, self._started_at))

    async def describe_model(self, request: web.Request) -> web.Response:
        """`GET /v1/models/NAME`."""
        self._check_key(request)
        names, name = self._gateway.shared.settings.models, request.match_info["model"]
        for model in list_models(names, self._started_at).data:
            if model.id == name:
                return _json(model)
        raise unknown_model(name, names)

    async def refuse_translation(self, _: web.Request) -> web.Response:
        """`POST /v1/audio/translations`."""
        message = f"translation is not supported; {TRANSCRIPTIONS} tells what is said as it is said"
        raise ApiError(Problem(404, message, code="unknown_url"))

    async def report_unknown(self, request: web.Request) -> web.Response:
        """A path or a method that does not exist."""
        message = (
            f"there is no {request.method} {cut(request.path)}; served are "
            f"POST {TRANSCRIPTIONS} and GET {MODELS}"
        )
        raise ApiError(Problem(404, message, code="unknown_url"))

    def _check_key(self, request: web.Request) -> None:
        answer = self._gateway.door.identify(request.headers)
        if isinstance(answer, Refusal):
            raise ApiError(of_refusal(answer))


def _telling_errors(handler: Handler) -> Handler:
    """The same handler, but what it raises becomes an answer."""

    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            problem = error.problem
        except Close:  # the client has gone, or does not read: there is nobody to answer
            problem = Problem(500, "the connection is gone", SERVER_ERROR)
        except Exception:
            logger.exception("a request failed by a defect")
            problem = Problem(500, "the server has failed in this request", SERVER_ERROR)
        if request.get(ANSWER_STARTED) and request.transport is not None:
            request.transport.abort()  # a second answer would look like a part of the first
        logger.info("%s is refused: %s", request.remote, problem.code or problem.status)
        return web.json_response(problem.body(), status=problem.status, headers=problem.headers)

    return handle


def _json(model: BaseModel) -> web.Response:
    return web.Response(text=model.model_dump_json(), content_type="application/json")
