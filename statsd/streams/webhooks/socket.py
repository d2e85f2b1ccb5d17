"""Webhook events over a WebSocket: a frame `{"stats":…}` at once, and after every change."""

import msgspec
from aiohttp import web

from statsd.live.websocket import HANDSHAKE_ERRORS, Contract, converse
from statsd.streams.webhooks.answers import WebhooksOverview
from statsd.web.operation import Answer, Operation


def stats(payload: bytes) -> bytes:
    """Return the frame of a snapshot."""
    return b'{"stats":' + payload + b"}"


CONTRACT = Contract("webhooks", lambda _: stats, sends_at_connect=True)


class StatsFrame(msgspec.Struct):
    """A frame of the socket."""

    stats: WebhooksOverview


@Operation(
    shared="own",
    answers={101: Answer("a WebSocket; the first frame comes at once", StatsFrame), **HANDSHAKE_ERRORS},
)
async def get_events_socket(request: web.Request) -> web.WebSocketResponse:
    """Open a WebSocket for the statistics of webhook events.

    The server sends a frame `{"stats":…}` at once, and after every change. Clients need not send anything.
    """
    return await converse(request, CONTRACT)
