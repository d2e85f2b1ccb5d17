"""`/ws`: live statistics over a WebSocket; until a client subscribes, the logins in the words of their contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from aiohttp import web

from statsd.live.topics import Framing
from statsd.live.websocket import CONTRACTS, HANDSHAKE_ERRORS, Contract, converse
from statsd.web.operation import Operation, Parameter
from statsd.web.times import iso


def stats_update(payload: bytes) -> bytes:
    """Frame the statistics of logins as their contract has them."""
    now = iso(datetime.now(UTC))
    return b'{"type":"stats_update","payload":' + payload + b',"timestamp":"' + now.encode() + b'"}'


def stats_update_object(payload: bytes) -> bytes:
    """The same for clients that asked for `session_stats=object`: one summary in place of a row per device."""
    stats = msgspec.json.decode(payload)
    stats["sessionStats"] = stats["sessionSummary"]
    return stats_update(msgspec.json.encode(stats))


def _framing(asked: Mapping[str, Any]) -> Framing:
    return stats_update_object if asked.get("session_stats") == "object" else stats_update


CONTRACT = Contract("logins", _framing)


@Operation(
    query={
        "session_stats": Parameter(Literal["object"], "sends the summary of sessions in place of a row per device"),
        "stream": Parameter(Literal["events"], "speaks as `/events/ws` does"),
    },
    answers={101: "a WebSocket, silent until it is asked or something changes", **HANDSHAKE_ERRORS},
)
async def get_socket(request: web.Request) -> web.WebSocketResponse:
    """`GET /ws`: live statistics over a WebSocket.

    `{"type":"ping"}` is answered with `{"type":"pong"}`, `{"type":"request_initial_data"}` with a `stats_update` of the
    logins, which all clients get after every change, too. `{"type":"subscribe","topics":["logins","pageviews"]}` has
    them, and the topics named, come as `{"type":"update","topic":…,"payload":…}` instead.
    Raises BadRequest as declared.
    """
    return await converse(request, request.app[CONTRACTS].get(request.query.get("stream", ""), CONTRACT))
