"""Publishes the contract: `/schema` lists it, `/schema/NAME.json` is a part of it. No key needed.

Knows aiohttp and nothing of what the documents say.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from gateway.messages import cut
from gateway.schemas.asyncapi import asyncapi
from gateway.schemas.messages import schemas
from gateway.schemas.openapi import openapi

INDEX = "/schema"
HEADERS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
"""Tools in a browser read it from elsewhere."""


def documents(websocket_paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Everything that is published, by name."""
    return {**schemas(), "asyncapi": asyncapi(websocket_paths), "openapi": openapi()}


def routes(websocket_paths: Sequence[str]) -> list[web.RouteDef]:
    """What is served. `websocket_paths` are those of our own sessions."""
    published = documents(websocket_paths)
    bodies = {name: json.dumps(document) for name, document in published.items()}
    bodies_by_path = {f"{INDEX}/{name}.json": body for name, body in bodies.items()}
    index = {name: f"{INDEX}/{name}.json" for name in published}

    async def list_all(_: web.Request) -> web.Response:
        return _response(json.dumps(index))

    async def describe(request: web.Request) -> web.Response:
        return _found(bodies_by_path, request.path)

    return [web.get(INDEX, list_all), web.get(f"{INDEX}/{{name}}", describe)]


def _found(bodies: Mapping[str, str], path: str) -> web.Response:
    if path in bodies:
        return _response(bodies[path])
    error = f"there is no {cut(path)}; {INDEX} lists what there is"
    return web.json_response({"error": error, "type": "not_found"}, status=404)


def _response(body: str) -> web.Response:
    return web.Response(text=body, content_type="application/json", headers=HEADERS)
