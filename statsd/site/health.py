"""Probes and metrics for operators: /health, /livez, /readyz, /metrics."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from prometheus_client import REGISTRY

from statsd.ingest.outage import OUTAGE
from statsd.site import exposition
from statsd.site.readings import READINGS, Durability, Reading
from statsd.web import SETTINGS
from statsd.web.answers import Instant, json_response
from statsd.web.operation import Answer, Operation
from statsd.web.times import iso

SERVICE = "analytics-api"  # clients of the page views (POST /event, GET /stats) expect this name


@dataclass
class State:
    """The phase of the process between its start and its end, and the time of its start, for the probes."""

    phase: Literal["starting", "serving", "stopping"] = "starting"
    started: float = field(default_factory=time.monotonic)


STATE: web.AppKey[State] = web.AppKey("state")


Condition = Literal["healthy", "degraded", "unhealthy"]


class SpoolCheck(msgspec.Struct):
    """The events that wait on disk for the database."""

    state: str
    rows: int
    bytes: int
    oldest_seconds: float


class Checks(msgspec.Struct):
    """The checks. `database` is `failing` if it answers but does not store events. `durability` is `degraded` if
    PostgreSQL's settings allow it to lose what it committed.
    """

    database: Literal["ok", "failing", "away"]
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
    """The state of the server and its database. `uptime` is in seconds, `database` is whether it answers.

    `degraded`: the database answers, but does not store; events wait on disk, or are refused once that is full, too.
    `unhealthy`: the database does not answer. `demo` is true where STATS_DEMO is set: all events are synthetic.
    """

    success: bool
    status: Condition
    service: str
    timestamp: Instant
    uptime: float
    database: bool
    data: HealthData
    checks: Checks
    reason: str | UnsetType = UNSET
    demo: bool | UnsetType = UNSET


class Status(msgspec.Struct):
    """The state of the server."""

    status: str
    reason: str | UnsetType = UNSET


def _condition(reading: Reading) -> Condition:
    if not reading.is_up:
        return "unhealthy"
    return "degraded" if reading.unstored or reading.refused else "healthy"


@Operation(
    access="open",
    answers={
        200: Answer("healthy, or degraded: events are accepted, but wait on disk", Health),
        503: Answer("the database does not answer (unhealthy), or events are refused (degraded)", Health),
    },
)
async def health(request: web.Request) -> web.Response:
    """Check the server and its database."""
    reading = await request.app[READINGS].take()
    condition = _condition(reading)
    accepts = reading.is_up and not reading.refused
    state, outage = request.app[STATE], request.app[OUTAGE]
    spool = outage.spool
    uptime = round(time.monotonic() - state.started, 3)
    now = iso(datetime.now(UTC))
    body = Health(
        success=accepts,
        status=condition,
        service=SERVICE,
        timestamp=now,
        uptime=uptime,
        database=reading.is_up,
        data=HealthData(condition, now, int(uptime)),
        checks=Checks(
            database="away" if not reading.is_up else "failing" if reading.unstored else "ok",
            durability=reading.durability,
            spool=SpoolCheck(outage.state, spool.rows, spool.size, round(spool.oldest_seconds, 1)),
            dead_letters=reading.dead_letters,
            phase=state.phase,
        ),
        reason=reading.reason or UNSET,
        demo=request.app[SETTINGS].demo or UNSET,
    )
    return json_response(body, 200 if accepts else 503)


@Operation(access="open", answers={200: Answer("alive", Status, alive=Status("alive"))})
async def livez(_: web.Request) -> web.Response:
    """Check that the process answers.

    The database is not checked, so that an outage does not restart the servers.
    """
    return json_response(Status("alive"))


AWAY = Status("database away", "the database does not answer")
NOT_STORING = Status("not storing", "events wait on disk: the database is read-only")


@Operation(
    access="open",
    answers={
        200: Answer("ready", Status, ready=Status("ready")),
        503: Answer(
            "not ready; the body says why", Status, away=AWAY, failing=NOT_STORING, stopping=Status("stopping")
        ),
    },
)
async def readyz(request: web.Request) -> web.Response:
    """Check whether a load balancer should send requests here: not if the latest events could not be stored."""
    status: str = request.app[STATE].phase
    if status != "serving":
        return json_response(Status(status), 503)
    reading = await request.app[READINGS].take()
    if not reading.reason:
        return json_response(Status("ready"))
    return json_response(Status("not storing" if reading.is_up else "database away", reading.reason), 503)


METRICS = "# TYPE statsd_live_clients gauge\nstatsd_live_clients 0.0\n"
FORMATS = {exposition.TEXT: METRICS, exposition.OPENMETRICS: f"{METRICS}# EOF\n"}


@Operation(
    access="metrics",
    answers={200: Answer("the metrics", texts=FORMATS), 404: "STATS_METRICS is off"},
)
async def export_metrics(request: web.Request) -> web.Response:
    """Get the metrics for Prometheus. /docs/operating.html has a table of them.

    Accept chooses the text format 0.0.4 (also without the header) or 1.0.0, or OpenMetrics 1.0.
    """
    encode, content_type = exposition.negotiated(",".join(request.headers.getall("Accept", [])))
    await request.app[READINGS].observe()
    return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})


ROUTES = [
    web.get("/health", health),
    web.get("/livez", livez),
    web.get("/readyz", readyz),
    web.get("/metrics", export_metrics),
]
