"""The path `/`: the page for browsers, the index of the API for programs, and the webhooks' WebSocket."""

import inspect
from collections.abc import Mapping

import msgspec
from aiohttp import web

from statsd import __version__
from statsd.site import page
from statsd.streams.webhooks.socket import get_events_socket
from statsd.web.answers import Success, json_response
from statsd.web.asked import require_known, weights
from statsd.web.operation import Answer, Operation

VARY = {"Vary": "Accept, Upgrade"}


class ApiIndex(msgspec.Struct):
    """The version, and every endpoint with its summary."""

    version: str
    description: str
    endpoints: dict[str, str]


@Operation(
    access="open",
    strict=False,  # the page takes any query; the others check theirs
    answers={101: "a WebSocket, as at `/events/ws`", 200: Answer("the index", Success[ApiIndex])},
)
async def front(request: web.Request) -> web.StreamResponse:
    """Get the index of the API, or the page.

    A client that prefers HTML gets the page. An upgrade request opens a WebSocket, as at `/events/ws`.
    """
    if request.headers.get("Upgrade", "").lower() == "websocket":
        require_known(request)
        return await get_events_socket(request)
    if _wants_page(weights(request)):
        response = await page.dashboard(request)
        response.headers.update(VARY)
        return response
    require_known(request)
    index = ApiIndex(__version__, "Statistics you can believe, live.", _endpoints(request))
    return json_response(Success(message="Event Webhook API", data=index), headers=VARY)


def _wants_page(ranges: Mapping[str, float]) -> bool:
    """Return whether the client accepts HTML by name, with at least the weight of JSON."""
    json = next((ranges[name] for name in ("application/json", "application/*", "*/*") if name in ranges), 0.0)
    return ranges.get("text/html", 0.0) > 0 and ranges["text/html"] >= json


def _endpoints(request: web.Request) -> dict[str, str]:
    """Return the first line of each handler's docstring, by method and path."""
    return {
        f"{route.method} {route.resource.canonical}": (inspect.getdoc(route.handler) or "").partition("\n")[0]
        for route in request.app.router.routes()
        if route.resource and route.method != "HEAD"
    }


ROUTES = [web.get("/", front)]
