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
        "session_stats": Parameter(Literal["object"], "send one summary of sessions in place of a row per device"),
        "stream": Parameter(Literal["events"], "speak as `/events/ws` does"),
    },
    answers={101: "a WebSocket, silent until the client asks or something changes", **HANDSHAKE_ERRORS},
)
async def get_socket(request: web.Request) -> web.WebSocketResponse:
    """Open a WebSocket for live statistics.

    `{"type":"ping"}` is answered with `{"type":"pong"}`, and `{"type":"request_initial_data"}` with a `stats_update` of
    the logins. Every client gets a `stats_update` after every change.

    After `{"type":"subscribe","topics":["logins","pageviews"]}` the client gets these topics instead, as
    `{"type":"update","topic":…,"payload":…}`.
    """
    return await converse(request, request.app[CONTRACTS].get(request.query.get("stream", ""), CONTRACT))
