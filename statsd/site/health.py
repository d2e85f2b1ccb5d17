"""What operators and machines ask: /health, /livez, /readyz, /metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import asyncpg
import prometheus_client
from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.ingest.outage import OUTAGE, Outage
from statsd.web.answers import json_response
from statsd.web.operation import Operation, answer
from statsd.web.times import iso

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
        rows = await ask("settings", pool.fetch(query, SETTINGS_THAT_LOSE), CHECK_SECONDS)
    except Exception:  # whatever it is, the answer is that there is no answer
        metrics.DATABASE_UP.set(0)
        return None
    metrics.DATABASE_UP.set(1)
    return {row["name"]: row["setting"] for row in rows}


CHECKS = {
    "database": "ok",
    "durability": "full",
    "spool": {"state": "empty", "rows": 0, "bytes": 0, "oldest_seconds": 0.0},
    "dead_letters": 0,
    "phase": "serving",
}
EXAMPLE = {
    "success": True,
    "status": "healthy",
    "service": "analytics-api",
    "timestamp": "2026-11-21T10:30:00.125Z",
    "uptime": 21.746,
    "database": True,
    "data": {"status": "healthy", "timestamp": "2026-11-21T10:30:00.125Z", "uptime": 21},
    "checks": CHECKS,
}
AWAY = {
    **EXAMPLE,
    "success": False,
    "status": "unhealthy",
    "database": False,
    "checks": {**CHECKS, "database": "away", "durability": "unknown", "dead_letters": None},
}


@Operation(answers={200: answer("healthy", healthy=EXAMPLE), 503: answer("without a database", away=AWAY)})
async def health(request: web.Request) -> web.Response:
    """`GET /health`: whether all is well (contracts.md §6.1). 503 without a database.

    `durability` is degraded where PostgreSQL may lose what it committed; `spool` is what waits on disk for it.
    """
    found = await _check_database(request.app[POOL])
    state = request.app[STATE]
    status = "healthy" if found is not None else "unhealthy"
    uptime = round(time.monotonic() - state.started, 3)
    now = iso(datetime.now(UTC))
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
        query = pool.fetchval(sql.load("dead_letters")["number"])
        number: int = await ask("dead letters", query, CHECK_SECONDS)
    except Exception:
        return None
    metrics.DEAD_LETTERS.set(number)
    return number


@Operation(answers={200: answer("it does", alive={"status": "alive"})})
async def livez(_: web.Request) -> web.Response:
    """`GET /livez`: whether the event loop turns. Says nothing of the database, so that an outage restarts nobody."""
    return json_response({"status": "alive"})


@Operation(
    answers={
        200: answer("yes", ready={"status": "ready"}),
        503: answer("no, and why", away={"status": "database away"}, stopping={"status": "stopping"}),
    }
)
async def readyz(request: web.Request) -> web.Response:
    """`GET /readyz`: whether a load balancer should send requests here."""
    phase = request.app[STATE].phase
    away = phase is Phase.SERVING and await _check_database(request.app[POOL]) is None
    ready = phase is Phase.SERVING and not away
    return json_response(
        {"status": "ready" if ready else "database away" if away else phase.value}, 200 if ready else 503
    )


@Operation(
    answers={
        200: answer("all counters", media="text/plain", metrics="# TYPE statsd_clients gauge\nstatsd_clients 0.0\n")
    }
)
async def export_metrics(_: web.Request) -> web.Response:
    """`GET /metrics`: what is counted, in the text format of Prometheus."""
    return web.Response(
        body=prometheus_client.generate_latest(), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
    )


ROUTES = [
    web.get("/health", health),
    web.get("/livez", livez),
    web.get("/readyz", readyz),
    web.get("/metrics", export_metrics),
]
