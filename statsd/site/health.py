"""Probes and metrics for operators: /health, /livez, /readyz, /metrics."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec
import prometheus_client
from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import POOL, Pool, ask
from statsd.ingest.outage import OUTAGE
from statsd.web.answers import Instant, json_response
from statsd.web.operation import Answer, Operation
from statsd.web.times import iso

CHECK_SECONDS = 2.0
DURABILITY_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")
Durability = Literal["full", "degraded", "unknown"]
SERVICE = "analytics-api"  # clients of the page views (POST /event, GET /stats) expect this name


@dataclass
class State:
    """The phase of the process between its start and its end, and the time of its start, for the probes."""

    phase: Literal["starting", "serving", "stopping"] = "starting"
    started: float = field(default_factory=time.monotonic)


STATE: web.AppKey[State] = web.AppKey("state")


async def _durability(pool: Pool) -> Durability:
    """Return what the settings of PostgreSQL promise; `unknown` if it does not answer."""
    query = "select bool_and(setting = 'on') from pg_settings where name = any($1)"
    try:
        full = await ask("settings", pool.fetchval(query, DURABILITY_SETTINGS), CHECK_SECONDS)
    except Exception:  # every error means that the database cannot be used now
        metrics.DATABASE_UP.set(0)
        return "unknown"
    metrics.DATABASE_UP.set(1)
    return "full" if full else "degraded"


class SpoolCheck(msgspec.Struct):
    """The events that wait on disk for the database."""

    state: str
    rows: int
    bytes: int
    oldest_seconds: float


class Checks(msgspec.Struct):
    """The checks. `durability` is `degraded` if PostgreSQL's settings allow it to lose what it committed."""

    database: Literal["ok", "away"]
    durability: Durability
    spool: SpoolCheck
    dead_letters: int | None
    phase: str


class HealthData(msgspec.Struct):
    """The same values once more, for clients that read them from `data`."""

    status: str
    timestamp: Instant
    uptime: int


class Health(msgspec.Struct):
    """The state of the server and its database. `uptime` is in seconds."""

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


@Operation(answers={200: Answer("healthy", Health), 503: Answer("the database is away", Health)})
async def health(request: web.Request) -> web.Response:
    """Check the server and its database."""
    durability = await _durability(request.app[POOL])
    healthy = durability != "unknown"
    status: Literal["healthy", "unhealthy"] = "healthy" if healthy else "unhealthy"
    state, outage = request.app[STATE], request.app[OUTAGE]
    spool = outage.spool
    uptime = round(time.monotonic() - state.started, 3)
    now = iso(datetime.now(UTC))
    body = Health(
        success=healthy,
        status=status,
        service=SERVICE,
        timestamp=now,
        uptime=uptime,
        database=healthy,
        data=HealthData(status, now, int(uptime)),
        checks=Checks(
            database="ok" if healthy else "away",
            durability=durability,
            spool=SpoolCheck(outage.state, spool.rows, spool.size, round(spool.oldest_seconds, 1)),
            dead_letters=await _dead_letters(request.app[POOL]) if healthy else None,
            phase=state.phase,
        ),
    )
    return json_response(body, 200 if healthy else 503)


async def _dead_letters(pool: Pool) -> int | None:
    try:
        query = pool.fetchval(sql.load("dead_letters")["number"])
        number: int = await ask("dead letters", query, CHECK_SECONDS)
    except Exception:
        return None
    metrics.DEAD_LETTERS.set(number)
    return number


@Operation(answers={200: Answer("alive", Status, alive=Status("alive"))})
async def livez(_: web.Request) -> web.Response:
    """Check that the process answers.

    The database is not checked, so that an outage does not restart the servers.
    """
    return json_response(Status("alive"))


@Operation(
    answers={
        200: Answer("ready", Status, ready=Status("ready")),
        503: Answer("not ready; the body says why", Status, away=Status("database away"), stopping=Status("stopping")),
    }
)
async def readyz(request: web.Request) -> web.Response:
    """Check whether a load balancer should send requests here."""
    status: str = request.app[STATE].phase
    if status == "serving":
        status = "database away" if await _durability(request.app[POOL]) == "unknown" else "ready"
    return json_response(Status(status), 200 if status == "ready" else 503)


METRICS = "# TYPE statsd_clients gauge\nstatsd_clients 0.0\n"


@Operation(answers={200: Answer("the metrics", texts={"text/plain": METRICS})})
async def export_metrics(_: web.Request) -> web.Response:
    """Get the metrics in the text format of Prometheus."""
    return web.Response(
        body=prometheus_client.generate_latest(), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
    )


ROUTES = [
    web.get("/health", health),
    web.get("/livez", livez),
    web.get("/readyz", readyz),
    web.get("/metrics", export_metrics),
]
