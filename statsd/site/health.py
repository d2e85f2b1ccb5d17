"""What operators and machines ask: /health, /livez, /readyz, /metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Literal

import asyncpg
import msgspec
import prometheus_client
from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.ingest.outage import OUTAGE, Outage
from statsd.web.answers import Instant, json_response
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


class SpoolCheck(msgspec.Struct):
    """What waits on disk for the database."""

    state: str
    rows: int
    bytes: int
    oldest_seconds: float


class Checks(msgspec.Struct):
    """The single checks; `durability` is degraded where PostgreSQL may lose what it committed."""

    database: Literal["ok", "away"]
    durability: Literal["full", "degraded", "unknown"]
    spool: SpoolCheck
    dead_letters: int | None
    phase: str


class HealthData(msgspec.Struct):
    """The same again, for clients that look for it below `data`."""

    status: str
    timestamp: Instant
    uptime: int


class Health(msgspec.Struct):
    """The state of the server and its database; `uptime` is in seconds."""

    success: bool
    status: Literal["healthy", "unhealthy"]
    service: str
    timestamp: Instant
    uptime: float
    database: bool
    data: HealthData
    checks: Checks


class Status(msgspec.Struct):
    """The state of the server."""

    status: str


NOW = "2026-11-21T10:30:00.125Z"
EMPTY = SpoolCheck("empty", 0, 0, 0.0)
HEALTHY = Health(
    success=True,
    status="healthy",
    service="analytics-api",
    timestamp=NOW,
    uptime=21.746,
    database=True,
    data=HealthData("healthy", NOW, 21),
    checks=Checks("ok", "full", EMPTY, 0, "serving"),
)
UNHEALTHY = msgspec.structs.replace(
    HEALTHY,
    success=False,
    status="unhealthy",
    database=False,
    data=HealthData("unhealthy", NOW, 21),
    checks=Checks("away", "unknown", EMPTY, None, "serving"),
)


@Operation(
    answers={
        200: answer("healthy", Health, healthy=HEALTHY),
        503: answer("the database is away", Health, away=UNHEALTHY),
    }
)
async def health(request: web.Request) -> web.Response:
    """Check the server and its database."""
    found = await _check_database(request.app[POOL])
    state = request.app[STATE]
    status: Literal["healthy", "unhealthy"] = "healthy" if found is not None else "unhealthy"
    uptime = round(time.monotonic() - state.started, 3)
    now = iso(datetime.now(UTC))
    durable = found is not None and all(setting == "on" for setting in found.values())
    body = Health(
        success=found is not None,
        status=status,
        service="analytics-api",
        timestamp=now,
        uptime=uptime,
        database=found is not None,
        data=HealthData(status, now, int(uptime)),
        checks=Checks(
            database="ok" if found is not None else "away",
            durability="full" if durable else "degraded" if found else "unknown",
            spool=_spool(request.app[OUTAGE]),
            dead_letters=await _dead_letters(request.app[POOL]) if found is not None else None,
            phase=state.phase.value,
        ),
    )
    return json_response(body, 200 if found is not None else 503)


def _spool(outage: Outage) -> SpoolCheck:
    spool = outage.spool
    return SpoolCheck(outage.state, spool.rows, spool.size, round(spool.oldest_seconds, 1))


async def _dead_letters(pool: asyncpg.Pool[asyncpg.Record]) -> int | None:
    try:
        query = pool.fetchval(sql.load("dead_letters")["number"])
        number: int = await ask("dead letters", query, CHECK_SECONDS)
    except Exception:
        return None
    metrics.DEAD_LETTERS.set(number)
    return number


@Operation(answers={200: answer("alive", Status, alive=Status("alive"))})
async def livez(_: web.Request) -> web.Response:
    """Check that the event loop runs.

    The database does not matter here, so that an outage restarts no server.
    """
    return json_response(Status("alive"))


@Operation(
    answers={
        200: answer("ready", Status, ready=Status("ready")),
        503: answer("not ready; the body says why", Status, away=Status("database away"), stopping=Status("stopping")),
    }
)
async def readyz(request: web.Request) -> web.Response:
    """Check whether a load balancer should send requests here."""
    phase = request.app[STATE].phase
    away = phase is Phase.SERVING and await _check_database(request.app[POOL]) is None
    ready = phase is Phase.SERVING and not away
    word = "ready" if ready else "database away" if away else phase.value
    return json_response(Status(word), 200 if ready else 503)


METRICS = "# TYPE statsd_clients gauge\nstatsd_clients 0.0\n"


@Operation(answers={200: answer("all metrics", texts={"text/plain": METRICS})})
async def export_metrics(_: web.Request) -> web.Response:
    """Get the metrics, in the text format of Prometheus."""
    return web.Response(
        body=prometheus_client.generate_latest(), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
    )


ROUTES = [
    web.get("/health", health),
    web.get("/livez", livez),
    web.get("/readyz", readyz),
    web.get("/metrics", export_metrics),
]
