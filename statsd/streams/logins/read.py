"""Reading logins: the newest rows, and the statistics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.live.topics import HUB
from statsd.streams.logins.stream import STREAM
from statsd.web.answers import json_response
from statsd.web.asked import limit, parameters
from statsd.web.operation import Operation, Parameter, answer
from statsd.web.times import iso

MOST_LOGINS = 1_000  # of one GET /logins

# What openapi.json shows.
EXAMPLE = {
    "user_id": 7, "login_time": "2026-11-21T10:00:00.000Z", "logout_time": "2026-11-21T10:30:00.000Z",
    "ip_address": "203.0.113.7", "region": "Estonia", "device_type": "Mobile", "browser": "Firefox",
}  # fmt: skip
WAITING = {"id": "01a2105e-a6a6-781b-95ab-5b9788c5ad59", **EXAMPLE, "session_duration_seconds": 1800}
STORED = {**WAITING, "created_at": "2026-11-21T10:30:00.125Z", "updated_at": "2026-11-21T10:30:00.125Z"}
OPEN = {**STORED, "logout_time": None, "session_duration_seconds": None}


def body(record: Mapping[str, Any] | asyncpg.Record) -> dict[str, Any]:
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in record.items()}


@Operation(
    query={"limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_LOGINS)], "how many", default=100)},
    answers={200: answer("the newest first", rows=[STORED, OPEN])},
)
async def get_logins(request: web.Request) -> web.Response:
    """`GET /logins?limit=100`: the newest rows by login time, at most 1,000."""
    most = limit(parameters(request, "limit"), 100, MOST_LOGINS)
    rows = await ask("logins", request.app[POOL].fetch(QUERIES["newest"], most))
    return json_response([body(one) for one in rows])


SECONDS = {"averageDuration": 3370.56, "minDuration": 344, "maxDuration": 6390, "medianDuration": 3377.0}
STATISTICS = {
    "deviceStats": [{
        "device_type": "Mobile", "count": 32, "unique_users": 23, "percentage": 35.96,
        "avg_session_duration_seconds": 3943.21,
    }],
    "regionDeviceStats": [{
        "region": "Estonia", "device_type": "Mobile", "count": 6, "region_total": 14,
        "avg_session_duration_seconds": 5347.4,
    }],
    "sessionStats": [{
        "device_type": "Desktop", "totalSessions": 25, **SECONDS, "total_sessions": 25,
        "avg_duration_seconds": 3370.56, "active_sessions": 3,
    }],
    "sessionSummary": {"totalSessions": 79, **SECONDS, "activeSessions": 10, "totalLogins": 89, "uniqueUsers": 41},
    "regionStats": [{"region": "Estonia", "count": 14}],
    "browserStats": [{"browser": "Firefox", "count": 21}],
    "loginTrends": [{"date": "2026-11-21", "loginCount": 12}],
    "peakHours": [{"hour": 10, "loginCount": 9}],
    "totalSessions": 89,
    "totalUsers": 41,
    "averageSessionDuration": 3909.23,
    "generatedAt": "2026-11-21T10:30:00.125Z",
}  # fmt: skip


@Operation(answers={200: answer("30 days and 24 hours, all of them; sessions in seconds", statistics=STATISTICS)})
async def get_stats(request: web.Request) -> web.Response:
    """`GET /logins/stats`: the statistics of all logins. They are the payload of `stats_update` (contracts.md §1.6)."""
    snapshot = await request.app[HUB].topics[STREAM.name].snapshot()
    return json_response(snapshot.payload)


QUERIES = sql.load("logins")
