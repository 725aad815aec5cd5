"""Serves the metrics, at an address of their own.

The gateway's port faces its clients, who are told nothing of each other. So the metrics have their
own address, which the operator opens to Prometheus alone; they need no key there, and show none.
With `gateway.server` and the other modules that serve HTTP it knows aiohttp.
"""

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

PATH = "/metrics"


def create_metrics_app(registry: CollectorRegistry) -> web.Application:
    """The application; run it with aiohttp's runner, in the gateway's own event loop."""

    async def expose(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        body = encode(registry)
        response = web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
        response.enable_compression()
        return response

    app = web.Application()
    app.add_routes([web.get(PATH, expose)])
    return app
