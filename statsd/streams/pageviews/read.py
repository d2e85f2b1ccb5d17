"""Reads of page views: the state of an event, the report of a site, the overview."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.errors import BadRequest
from statsd.ingest.outage import OUTAGE
from statsd.live.topics import HUB
from statsd.streams.pageviews.answers import ID, DayReport, DayViews, Job, PageviewsOverview, PathViews, SpanReport
from statsd.streams.pageviews.event import SITE_CHARACTERS
from statsd.streams.pageviews.stream import STREAM
from statsd.web.answers import json_response, tagged_response
from statsd.web.asked import day, limit, parameters
from statsd.web.decode import text
from statsd.web.operation import Answer, Operation, Parameter
from statsd.web.texts import NO_CONTROLS, form_of
from statsd.web.times import iso

MOST_PATHS = 100
MOST_DAYS = 366
QUERIES = sql.load("pageviews")
_SITE = form_of(NO_CONTROLS)


@Operation(
    path={"job": Parameter(UUID, "the `jobId` of an accepted event", example=ID)},
    answers={200: Answer("the state of the event", Job), 404: "no event has this id"},
)
async def get_job(request: web.Request) -> web.Response:
    """Get the state of an accepted event."""
    try:
        id = UUID(request.match_info["job"])
    except ValueError:
        raise web.HTTPNotFound from None
    # The spool before the database: an event that moves between the two checks is then in at least one of them.
    if await request.app[OUTAGE].spool.contains(f'"{id}"'.encode()):
        return json_response(Job(id, "spooled"))
    record = await ask("page views", request.app[POOL].fetchrow(QUERIES["receipt"], id))
    if record is None:
        raise web.HTTPNotFound
    return json_response(Job(id, record["state"], iso(record["since"]), record["reason"] or UNSET))


@Operation(
    shared="own",
    query={
        "site_id": Parameter(Annotated[str, text(SITE_CHARACTERS)], "the site", required=True, example="shop"),
        "date": Parameter(date, "the day, by default today"),
        "from": Parameter(date, f"the first of at most {MOST_DAYS} days, by default of 30"),
        "to": Parameter(date, "the last day, by default today"),
        "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_PATHS)], "how many paths", default=10),
    },
    tagged=True,
    answers={200: Answer("the report", DayReport, SpanReport)},
)
async def get_stats(request: web.Request) -> web.Response:
    """Get the views, unique users and top paths of a site.

    The report is of one day (`date`), or of the days `from` through `to`, in all and for each day.
    """
    query = parameters(request)
    site = _site(query)
    first, last = _span(query)
    report = request.app[POOL].fetchrow(QUERIES["report"], site, first, last, limit(query, 10, MOST_PATHS))
    record = await ask("page views", report)
    assert record is not None  # the query always returns one row
    paths = msgspec.json.decode(record["top_paths"], type=list[PathViews])
    totals = (record["total_views"], record["unique_users"], paths)
    if "from" in query or "to" in query:
        days = msgspec.json.decode(record["days"], type=list[DayViews])
        return tagged_response(request, SpanReport(site, first, last, *totals, days))
    return tagged_response(request, DayReport(site, first, *totals))


def _site(query: Mapping[str, str]) -> str:
    site = query.get("site_id", "")
    if not site.strip():
        raise BadRequest(400, "site_id query parameter is required")
    try:
        site = _SITE(site)
    except ValueError:
        site = ""
    if not 1 <= len(site) <= SITE_CHARACTERS:
        raise BadRequest(400, f"site_id must have at most {SITE_CHARACTERS} characters and no control characters")
    return site


def _span(query: Mapping[str, str]) -> tuple[date, date]:
    today = datetime.now(UTC).date()
    if "from" not in query and "to" not in query:
        only = day(query, "date", today)
        return only, only
    if "date" in query:
        raise BadRequest(400, "date must not be combined with from or to")
    last = day(query, "to", today)
    first = day(query, "from", last - timedelta(days=29))
    if not 0 <= (last - first).days < MOST_DAYS:
        raise BadRequest(400, f"from must not be after to, and the report must have at most {MOST_DAYS} days")
    return first, last


@Operation(shared="own", answers={200: Answer("the overview", PageviewsOverview)})
async def get_overview(request: web.Request) -> web.Response:
    """Get the largest sites of today, and the totals of all sites.

    The topic `pageviews` on `/ws` has the same payload.
    """
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)
