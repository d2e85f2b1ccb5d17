"""What operators and machines ask: /health, /livez, /readyz, /metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import asyncpg
import prometheus_client
from aiohttp import web

from statsd import metrics, sql
from statsd.database import POOL
from statsd.outage import OUTAGE, Outage
from statsd.web import json_response

CHECK_SECONDS = 2.0
SETTINGS_THAT_LOSE = ("fsync", "full_page_writes", "synchronous_commit")


class Phase(Enum):
    """Where the process is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


class State:
    """The one mutable fact about the process that probes ask for."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.started = time.monotonic()


STATE: web.AppKey[State] = web.AppKey("state")


async def _check_database(pool: asyncpg.Pool[asyncpg.Record]) -> Mapping[str, str] | None:
    """Return the settings that durability hangs on, or None when PostgreSQL does not answer."""
    query = "select name, setting from pg_settings where name = any($1)"
    try:
        async with asyncio.timeout(CHECK_SECONDS):  # waiting for a free connection counts, too
            rows = await pool.fetch(query, SETTINGS_THAT_LOSE)
    except Exception:  # whatever it is, the answer is that there is no answer
        metrics.DATABASE_UP.set(0)
        return None
    metrics.DATABASE_UP.set(1)
    return {row["name"]: row["setting"] for row in rows}


async def health(request: web.Request) -> web.Response:
    """`GET /health`: the body of contracts.md §6.1, read by clients of all five systems; 503 without a database."""
    found = await _check_database(request.app[POOL])
    state = request.app[STATE]
    status = "healthy" if found is not None else "unhealthy"
    uptime = round(time.monotonic() - state.started, 3)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    durable = found is not None and all(setting == "on" for setting in found.values())
    body = {
        "success": found is not None,
        "status": status,
        "service": "analytics-api",
        "timestamp": now,
        "uptime": uptime,
        "database": found is not None,
        "data": {"status": status, "timestamp": now, "uptime": int(uptime)},
        "checks": {
            "database": "ok" if found is not None else "away",
            "durability": "full" if durable else "degraded" if found else "unknown",
            "spool": _spool(request.app[OUTAGE]),
            "dead_letters": await _dead_letters(request.app[POOL]) if found is not None else None,
            "phase": state.phase.value,
        },
    }
    return json_response(body, 200 if found is not None else 503)


def _spool(outage: Outage) -> dict[str, Any]:
    spool = outage.spool
    oldest = round(spool.oldest_seconds, 1)
    return {"state": outage.state, "rows": spool.rows, "bytes": spool.size, "oldest_seconds": oldest}


async def _dead_letters(pool: asyncpg.Pool[asyncpg.Record]) -> int | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            number: int = await pool.fetchval(sql.load("dead_letters")["number"])
    except Exception:
        return None
    metrics.DEAD_LETTERS.set(number)
    return number


async def livez(_: web.Request) -> web.Response:
    """`GET /livez`: the event loop turns. Says nothing of the database, so that an outage restarts nobody."""
    return json_response({"status": "alive"})


async def readyz(request: web.Request) -> web.Response:
    """`GET /readyz`: whether a load balancer should send requests here."""
    phase = request.app[STATE].phase
    away = phase is Phase.SERVING and await _check_database(request.app[POOL]) is None
    ready = phase is Phase.SERVING and not away
    return json_response(
        {"status": "ready" if ready else "database away" if away else phase.value}, 200 if ready else 503
    )


async def export_metrics(_: web.Request) -> web.Response:
    """`GET /metrics` in the text format of Prometheus."""
    return web.Response(
        body=prometheus_client.generate_latest(), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
    )


def routes() -> list[web.RouteDef]:
    """The operators' routes."""
    return [
        web.get("/health", health),
        web.get("/livez", livez),
        web.get("/readyz", readyz),
        web.get("/metrics", export_metrics),
    ]
