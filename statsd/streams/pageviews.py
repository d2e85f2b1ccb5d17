"""Page views (contracts.md §5): which pages of which site are seen, and by how many; accepted fast, never lost."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd import accept, sql
from statsd.accept import KEY_CHARACTERS
from statsd.database import POOL, ask
from statsd.decode import NO_CONTROLS, Decoder, compact, text, utc
from statsd.errors import BadRequest, InvalidEvent, StatsError
from statsd.generator import moment
from statsd.ingest import Spooled, id_of_key, new_id
from statsd.live import HUB
from statsd.operation import Operation, Parameter, answer
from statsd.outage import OUTAGE
from statsd.stream import Row, Stream
from statsd.web import LINES, day, json_response, limit, parameters, read_body, tagged_response

SITE_CHARACTERS = 128
TYPE_CHARACTERS = 128
USER_CHARACTERS = 256
PATH_BYTES = 2_048  # PostgreSQL indexes keys up to 2,704 bytes, and the site stands in front
MOST_PATHS = 100
MOST_DAYS = 366
VIEW = "page_view"

User = msgspec.Meta(max_length=USER_CHARACTERS, pattern=NO_CONTROLS, description="a string if provided")
Key = msgspec.Meta(
    min_length=1, max_length=KEY_CHARACTERS, description=f"a string of 1 to {KEY_CHARACTERS} characters if provided"
)
When = msgspec.Meta(description="a valid ISO 8601 date string")


class PageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a site's visitor did; `event_id` is the sender's own name for it, which makes repeats harmless."""

    site_id: Annotated[str, text(SITE_CHARACTERS)]
    event_type: Annotated[str, text(TYPE_CHARACTERS)]
    path: Annotated[str, text(PATH_BYTES)]
    user_id: Annotated[str, User] | None = None
    timestamp: Annotated[datetime, When]
    event_id: Annotated[str, Key] | None = None


def check(event: PageEvent) -> list[str]:
    """Return what is wrong with an event beyond the types of its fields."""
    faults = []
    if len(event.path) * 4 > PATH_BYTES and len(event.path.encode()) > PATH_BYTES:
        faults.append(f"path must have at most {PATH_BYTES} bytes in UTF-8")
    try:
        utc(event.timestamp)
    except ValueError:
        faults.append("timestamp must be a valid ISO 8601 date string")
    return faults


def explain(name: str, given: Any) -> str | None:
    """The wording of the contract; None where it has none, as for texts that are too long."""
    missing = given is None or given == "" or not isinstance(given, str)
    if name in ("site_id", "event_type", "path") and (missing or not given.strip()):
        return f"{name} is required and must be a non-empty string"
    if name == "user_id" and not isinstance(given, str):
        return "user_id must be a string if provided"
    if name == "timestamp":
        right = "is required and must be an ISO 8601 string" if missing else "must be a valid ISO 8601 date string"
        return f"timestamp {right}"
    if name == "user_id":
        return f"user_id must have at most {USER_CHARACTERS} characters and no control characters"
    return None


def row(event: PageEvent, id: UUID) -> Row:
    """Return the values of `STREAM.columns`; an empty user is none."""
    return (id, event.site_id, event.event_type, event.path, event.user_id or None, utc(event.timestamp))


DECODER = Decoder(PageEvent, check, explain)


def _id(event: PageEvent, header: str | None) -> UUID:
    """The id of an event: of the sender's own key, if it has one, else a new one."""
    if header:
        return id_of_key(STREAM.name, header)
    return id_of_key(STREAM.name, f"{event.site_id}\n{event.event_id}") if event.event_id else new_id()


# What openapi.json shows.
EXAMPLE = {"site_id": "shop", "event_type": "page_view", "path": "/home", "user_id": "u1",
           "timestamp": "2026-11-21T10:30:00Z"}  # fmt: skip
JOB = "01a2105e-a6a6-781b-95ab-5b9788c5ad59"
FAULT = {"index": 1, "details": ["path is required and must be a non-empty string"]}
ACCEPTED = {"message": "Events accepted for processing", "accepted": 1, "duplicates": 0, "jobIds": [JOB]}


@Operation(
    body=PageEvent,
    batch=True,
    example=EXAMPLE,
    keys=["Idempotency-Key"],
    answers={
        202: answer(
            "in the database, or on disk until it is back",
            headers={"Location": "where to ask what became of it (one event)"},
            one={"message": "Event accepted for processing", "jobId": JOB},
            many={**ACCEPTED, "rejected": [FAULT]},
        )
    },
)
async def post_event(request: web.Request) -> web.Response:
    """`POST /event`: accept a page view, or many.

    202 with the `jobId` of a receipt, once the event is in the database or safe on disk. One object, an array, or one
    event a line (application/x-ndjson): for the latter two 202 with `accepted`, `duplicates`, `jobIds` of both in their
    order, and `rejected`, each with its index and details; 400 only where nothing is good. `Idempotency-Key` (one
    event) or `event_id` make a repeat count once; another event under the same one is 422.
    """
    decoded = DECODER.decode(await read_body(request), request.content_type in LINES)
    key = accept.idempotency_key(request)
    if isinstance(decoded, list):
        if key:
            raise BadRequest(400, "Idempotency-Key: names one event; in a batch give each its event_id")
        return await _post_many(request, decoded)
    values = row(decoded, _id(decoded, key))
    if key:  # it may have named an event of another site, which is another row
        await accept.known(request, STREAM, [values], raising=True)
    await accept.one(request, STREAM, values)
    job = str(values[0])
    body = b'{"message":"Event accepted for processing","jobId":"' + job.encode() + b'"}'
    return json_response(body, 202, {"Location": f"/jobs/{job}"})


async def _post_many(request: web.Request, decoded: Sequence[PageEvent | InvalidEvent]) -> web.Response:
    rows = [row(one, _id(one, None)) if isinstance(one, PageEvent) else one for one in decoded]
    outcomes, _ = await accept.many(request, STREAM, rows)
    rejected, jobs, duplicates = [], [], 0
    for index, (values, outcome) in enumerate(zip(rows, outcomes, strict=True)):
        if isinstance(outcome, StatsError):
            details = outcome.faults if isinstance(outcome, InvalidEvent) else [f"event_id {accept.REUSED}"]
            rejected.append({"index": index, "details": details})
        elif not isinstance(values, InvalidEvent):
            jobs.append(str(values[0]))
            duplicates += outcome is None
    if not jobs:
        return json_response({"error": "Invalid payload", "details": rejected[0]["details"], "rejected": rejected}, 400)
    body = {
        "message": "Events accepted for processing",
        "accepted": len(jobs) - duplicates,
        "duplicates": duplicates,
        "jobIds": jobs,
        "rejected": rejected,
    }
    return json_response(body, 202)


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
        return json_response({"jobId": str(id), "state": Spooled.SPOOLED.value})
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


def routes() -> list[web.RouteDef]:
    return [
        web.post("/event", post_event),
        web.get("/jobs/{job}", get_job),
        web.get("/stats", get_stats),
        web.get("/pageviews", get_overview),
    ]


# What the generator draws from: sites with their share and the offset of their visitors' day, pages with their share.
SITES = {"shop.example": (55, -5), "blog.example": (30, 1), "docs.example": (15, 9)}
PAGES = {
    "shop.example": {"/": 30, "/products": 22, "/products/lamp": 12, "/products/chair": 9, "/cart": 14, "/checkout": 8,
                     "/about": 3, "/contact": 2},
    "blog.example": {"/": 34, "/posts/hello": 21, "/posts/measuring": 17, "/posts/why-sql": 13, "/archive": 9,
                     "/feed": 6},
    "docs.example": {"/": 22, "/start": 31, "/install": 18, "/reference": 16, "/reference/settings": 8, "/faq": 5},
}  # fmt: skip
TYPES = {VIEW: 93, "click": 5, "search": 2}
VISITORS = 3_000


def sample(rng: random.Random) -> PageEvent:
    """Return a realistic event of the last 30 days; a few visitors come often, most rarely, some namelessly."""
    site = rng.choices(list(SITES), [share for share, _ in SITES.values()])[0]
    pages = PAGES[site]
    visitor = 1 + int(VISITORS * rng.random() ** 2)
    return PageEvent(
        site_id=site,
        event_type=rng.choices(list(TYPES), list(TYPES.values()))[0],
        path=rng.choices(list(pages), list(pages.values()))[0],
        user_id=f"visitor-{visitor}" if rng.random() < 0.92 else None,
        timestamp=moment(rng, SITES[site][1]),
    )


QUERIES = sql.load("pageviews")
STREAM = Stream(
    name="pageviews",
    table="page_events",
    event=PageEvent,
    columns={
        "id": UUID,
        "site_id": str,
        "event_type": str,
        "path": str,
        "user_id": str | None,
        "timestamp": datetime,
    },
    row=row,
    sample=sample,
    routes=routes,
    open_paths=frozenset({"/event"}),
)
