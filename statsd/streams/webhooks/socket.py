"""Webhook events over a WebSocket, in the words of their contract: a `{"stats":…}` at once, and after every change."""

from __future__ import annotations

from aiohttp import web

from statsd.live.websocket import HANDSHAKE_ERRORS, Contract, converse
from statsd.streams.webhooks.read import OVERVIEW
from statsd.web.operation import Operation, answer


def stats(payload: bytes) -> bytes:
    """Frame the statistics of webhook events as their contract has them."""
    return b'{"stats":' + payload + b"}"


CONTRACT = Contract("webhooks", lambda _: stats, sends_at_connect=True)


@Operation(
    answers={101: answer("a WebSocket, with a first frame at once", frame={"stats": OVERVIEW}), **HANDSHAKE_ERRORS}
)
async def get_events_socket(request: web.Request) -> web.WebSocketResponse:
    """`GET /events/ws`: webhook events, live over a WebSocket: one `{"stats":…}` at once, and after every change.

    Clients need not send anything. Raises as `/ws` does.
    """
    return await converse(request, CONTRACT)
