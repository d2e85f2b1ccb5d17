"""The address `/`: the page to browsers, the index of the API to programs, the webhooks' frames to a WebSocket."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from aiohttp import web

from statsd import __version__
from statsd.site import page
from statsd.streams.webhooks.socket import get_events_socket
from statsd.web.answers import json_response
from statsd.web.asked import weights
from statsd.web.operation import Operation, answer

VARY = {"Vary": "Accept, Upgrade"}


INDEX = {
    "version": __version__,
    "description": "Statistics you can believe, live.",
    "endpoints": {},  # of every route
}


@Operation(
    answers={
        101: "a WebSocket, as at `/events/ws`",
        200: answer("the index", index={"success": True, "message": "Event Webhook API", "data": INDEX}),
    }
)
async def front(request: web.Request) -> web.StreamResponse:
    """`GET /`: the page where HTML is preferred, else what there is to call; an upgrade is answered as `/events/ws`."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await get_events_socket(request)
    if _wants_page(weights(request)):
        response = await page.dashboard(request)
        response.headers.update(VARY)
        return response
    data = {**INDEX, "endpoints": _endpoints(request)}
    return json_response({"success": True, "message": "Event Webhook API", "data": data}, headers=VARY)


def _wants_page(wanted: Mapping[str, float]) -> bool:
    """Whether HTML is asked for by its name, and nothing less than JSON."""
    json = next((wanted[name] for name in ("application/json", "application/*", "*/*") if name in wanted), 0.0)
    return wanted.get("text/html", 0.0) > 0 and wanted["text/html"] >= json


def _endpoints(request: web.Request) -> dict[str, str]:
    """Every route with the first line of what it says of itself."""
    return {
        f"{route.method} {route.resource.canonical}": (inspect.getdoc(route.handler) or "").partition("\n")[0]
        for route in request.app.router.routes()
        if route.resource and route.method != "HEAD"
    }


ROUTES = [web.get("/", front)]
