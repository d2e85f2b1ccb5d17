"""Reading page views: receipts, the report of a site, the overview."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask, compact
from statsd.errors import BadRequest
from statsd.ingest.outage import OUTAGE
from statsd.live.topics import HUB
from statsd.streams.pageviews.event import SITE_CHARACTERS
from statsd.streams.pageviews.stream import STREAM
from statsd.web.answers import json_response, tagged_response
from statsd.web.asked import day, limit, parameters
from statsd.web.decode import NO_CONTROLS
from statsd.web.operation import Operation, Parameter, answer

MOST_PATHS = 100
MOST_DAYS = 366
JOB = "01a2105e-a6a6-781b-95ab-5b9788c5ad59"


SINCE = "2026-11-21T10:30:00.125000+00:00"


@Operation(
    path={"job": Parameter(UUID, "the `jobId` of an accepted event", example=JOB)},
    answers={
        200: answer(
            "what became of the event",
            stored={"jobId": JOB, "state": "stored", "since": SINCE},
            spooled={"jobId": JOB, "state": "spooled"},
            dead={"jobId": JOB, "state": "dead", "since": SINCE, "reason": "what PostgreSQL refused"},
        ),
        404: "no event has this id",
    },
)
async def get_job(request: web.Request) -> web.Response:
    """`GET /jobs/{jobId}`: what became of an event. `state` is spooled, stored or dead (with `reason`), or 404."""
    try:
        id = UUID(request.match_info["job"])
    except ValueError:
        raise web.HTTPNotFound from None
    # The spool first: an event on its way from there is then seen in one of the two.
    if await request.app[OUTAGE].spool.contains(f'"{id}"'.encode()):
        return json_response({"jobId": str(id), "state": "spooled"})
    found = await _fetchrow(request, "receipt", id)
    if found is None:
        raise web.HTTPNotFound
    body = {"jobId": str(id), "state": found["state"], "since": found["since"].isoformat()}
    return json_response(body | ({"reason": found["reason"]} if found["reason"] else {}))


TOTALS = {"total_views": 5, "unique_users": 3}
PATHS = {"top_paths": [{"path": "/home", "views": 2}]}


@Operation(
    query={
        "site_id": Parameter(str, "which site", required=True, example="shop"),
        "date": Parameter(date, "the day; today if not given"),
        "from": Parameter(date, f"the first of at most {MOST_DAYS} days; 30 days if not given"),
        "to": Parameter(date, "the last of these days; today if not given"),
        "limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_PATHS)], "how many paths", default=10),
    },
    tagged=True,
    answers={
        200: answer(
            "views of pages, and the distinct users of all events",
            day={"site_id": "shop", "date": "2026-11-21", **TOTALS, **PATHS},
            days={"site_id": "shop", "from": "2026-11-20", "to": "2026-11-21", **TOTALS, **PATHS,
                  "days": [{"date": "2026-11-20", "total_views": 0, "unique_users": 0}]},
        )
    },
)  # fmt: skip
async def get_stats(request: web.Request) -> web.Response:
    """`GET /stats?site_id=`: views, unique users and top paths of a day (`date`, today if not given).

    With `from` and `to` instead, both counted and at most 366 days, the same over the whole time and a daily series in
    `days`. `limit` (10) bounds the paths. Answers carry an ETag. 400 for what is no day, and for repeated parameters.
    """
    asked = parameters(request, "site_id", "date", "from", "to", "limit")
    site = _site(asked)
    first, last = _span(asked)
    most = limit(asked, 10, MOST_PATHS)
    found = await _fetchrow(request, "report", site, first, last, most)
    assert found is not None  # aggregates always give a row
    totals = {"total_views": found["total_views"], "unique_users": found["unique_users"]}
    paths = {"top_paths": msgspec.Raw(compact(found["top_paths"]))}
    if "from" in asked or "to" in asked:
        series = {"days": msgspec.Raw(compact(found["days"]))}
        return tagged_response(request, {"site_id": site, "from": first, "to": last, **totals, **paths, **series})
    return tagged_response(request, {"site_id": site, "date": first, **totals, **paths})


def _site(asked: Mapping[str, str]) -> str:
    site = asked.get("site_id", "")
    if not site.strip():
        raise BadRequest(400, "site_id query parameter is required")
    if len(site) > SITE_CHARACTERS or not re.fullmatch(NO_CONTROLS, site):
        raise BadRequest(400, f"site_id must have at most {SITE_CHARACTERS} characters and no control characters")
    return site


def _span(asked: Mapping[str, str]) -> tuple[date, date]:
    today = datetime.now(UTC).date()
    if "from" not in asked and "to" not in asked:
        only = day(asked, "date", today)
        return only, only
    if "date" in asked:
        raise BadRequest(400, "date: give it, or from and to, but not both")
    last = day(asked, "to", today)
    first = day(asked, "from", last - timedelta(days=29))
    if not 0 <= (last - first).days < MOST_DAYS:
        raise BadRequest(400, f"from must be before to, and the time between at most {MOST_DAYS} days")
    return first, last


async def _fetchrow(request: web.Request, query: str, *arguments: Any) -> asyncpg.Record | None:
    return await ask("page views", request.app[POOL].fetchrow(QUERIES[query], *arguments))


OVERVIEW = {
    "today": "2026-11-21", "totalViews": 5, "totalUsers": 3, "siteCount": 1,
    "sites": [{"site_id": "shop", "views": 5, "users": 3}], "generatedAt": "2026-11-21T10:30:00.125Z",
}  # fmt: skip


@Operation(answers={200: answer("the largest 100 by name, and all in sum", overview=OVERVIEW)})
async def get_overview(request: web.Request) -> web.Response:
    """`GET /pageviews`: the sites of today; the payload of the live topic `pageviews`."""
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)


QUERIES = sql.load("pageviews")
