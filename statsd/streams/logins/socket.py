"""`/ws`: live statistics over a WebSocket. Until a client subscribes to topics, it gets those of the logins."""

from datetime import UTC, datetime
from typing import Literal

import msgspec
from aiohttp import web

from statsd.live.websocket import CONTRACTS, HANDSHAKE_ERRORS, Contract, converse
from statsd.web.asked import choice, parameters
from statsd.web.operation import Operation, Parameter
from statsd.web.times import iso


def stats_update(payload: bytes) -> bytes:
    """Return the frame `stats_update`, with the statistics of logins as its payload."""
    now = iso(datetime.now(UTC))
    return b'{"type":"stats_update","payload":' + payload + b',"timestamp":"' + now.encode() + b'"}'


def stats_update_object(payload: bytes) -> bytes:
    """Return the same frame with one summary of all sessions in place of a row per device (`session_stats=object`)."""
    stats = msgspec.json.decode(payload)
    stats["sessionStats"] = stats["sessionSummary"]
    return stats_update(msgspec.json.encode(stats))


CONTRACT = Contract(
    "logins", lambda query: stats_update_object if query.get("session_stats") == "object" else stats_update
)


@Operation(
    shared="every",
    query={
        "session_stats": Parameter(Literal["object"], "send one summary of all sessions in place of a row per device"),
        "stream": Parameter(Literal["events"], "send the frames of `/events/ws`"),
    },
    answers={101: "a WebSocket; no frame is sent before the client asks or something changes", **HANDSHAKE_ERRORS},
)
async def get_socket(request: web.Request) -> web.WebSocketResponse:
    """Open a WebSocket for live statistics.

    The answer to `{"type":"ping"}` is `{"type":"pong"}`. The answer to `{"type":"request_initial_data"}` is a
    `stats_update` of the logins; every client also gets one after every change.

    After `{"type":"subscribe","topics":["logins","pageviews"]}` the client gets these topics instead, as
    `{"type":"update","topic":…,"payload":…}`.
    """
    query, contracts = parameters(request), request.app[CONTRACTS]
    choice(query, "session_stats", ["object"], "")
    return await converse(request, contracts.get(choice(query, "stream", contracts, ""), CONTRACT))
