"""Page views (contracts.md §5): which pages of which site are seen, and by how many; accepted fast, never lost."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd import sql
from statsd.database import POOL
from statsd.decode import NO_CONTROLS, Decoder, text, utc
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent, KeyReused, StatsError
from statsd.generator import moment
from statsd.ingest import WRITERS, Spooled, id_of_key, new_id
from statsd.live import HUB
from statsd.outage import OUTAGE
from statsd.stream import Row, Stream
from statsd.web import LINES, json_response, read_body

SITE_CHARACTERS = 128
TYPE_CHARACTERS = 128
USER_CHARACTERS = 256
PATH_BYTES = 2_048  # PostgreSQL indexes keys up to 2,704 bytes, and the site stands in front
KEY_CHARACTERS = 255
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


async def post_event(request: web.Request) -> web.Response:
    """`POST /event`: 202 with the `jobId` of a receipt, once the event is in the database or safe on disk.

    One object, an array, or one event a line (application/x-ndjson): for the latter two 202 with `accepted`,
    `duplicates`, `jobIds` of both in their order, and `rejected`, each with its index and details; 400 only where
    nothing is good. `Idempotency-Key` (one event) or `event_id` make a repeat count once; another event under the same
    one is 422.
    """
    decoded = DECODER.decode(await read_body(request), request.content_type in LINES)
    key = request.headers.get("Idempotency-Key")
    if isinstance(decoded, list):
        if key:
            raise BadRequest(400, "Idempotency-Key: names one event; in a batch give each its event_id")
        return await _post_many(request, decoded)
    if key is not None and not 1 <= len(key) <= KEY_CHARACTERS:
        raise BadRequest(400, f"Idempotency-Key: must have 1 to {KEY_CHARACTERS} characters")
    values = row(decoded, _id(decoded, key))
    if key:  # it may have named an event of another site, which is another row
        await _raise_if_reused(request, values)
    (outcome,) = await request.app[WRITERS][STREAM.name].store((values,))
    if isinstance(outcome, StatsError):
        raise outcome
    if outcome is None:
        await _raise_if_reused(request, values)
    job = str(values[0])
    body = b'{"message":"Event accepted for processing","jobId":"' + job.encode() + b'"}'
    return json_response(body, 202, {"Location": f"/jobs/{job}"})


async def _raise_if_reused(request: web.Request, values: Row) -> None:
    if await _reused(request, [values]):
        raise KeyReused("this Idempotency-Key was used with another event: use a new key for a new event")


async def _reused(request: web.Request, rows: Sequence[Row]) -> set[UUID]:
    """The ids of those rows that are stored already, and differ from what is stored."""
    if not rows or request.app[OUTAGE].away:
        return set()
    try:
        found = await request.app[POOL].fetch(QUERIES["find"], [values[0] for values in rows])
    except Exception as error:
        if request.app[OUTAGE].away:
            return set()  # it left just now; the replay will keep the first
        raise DatabaseAway("the database is away: send it again") from error
    stored = {record["id"]: tuple(record) for record in found}
    return {values[0] for values in rows if stored.get(values[0], values) != values}


async def _post_many(request: web.Request, decoded: Sequence[PageEvent | InvalidEvent]) -> web.Response:
    if not decoded:
        raise InvalidEvent(["the batch must hold at least one event"])
    places = [index for index, one in enumerate(decoded) if isinstance(one, PageEvent)]
    rows = [row(one, _id(one, None)) for one in decoded if isinstance(one, PageEvent)]
    outcomes = await request.app[WRITERS][STREAM.name].store(rows)
    failed = next((one for one in outcomes if isinstance(one, StatsError) and not isinstance(one, InvalidEvent)), None)
    if failed:
        raise failed  # under the same event_ids the whole batch may come again
    known = [values for values, outcome in zip(rows, outcomes, strict=True) if outcome is None]
    reused = await _reused(request, known)
    rejected = {index: list(one.faults) for index, one in enumerate(decoded) if isinstance(one, InvalidEvent)}
    for index, values, outcome in zip(places, rows, outcomes, strict=True):
        if isinstance(outcome, InvalidEvent):
            rejected[index] = list(outcome.faults)
        elif outcome is None and values[0] in reused:
            rejected[index] = ["event_id was used with another event: use a new one for a new event"]
    return _batch_answer(places, rows, rejected, duplicates=len(known) - len(reused), whole=len(decoded))


def _batch_answer(
    places: Sequence[int], rows: Sequence[Row], rejected: Mapping[int, list[str]], duplicates: int, whole: int
) -> web.Response:
    faults = [{"index": index, "details": rejected[index]} for index in sorted(rejected)]
    if len(faults) == whole:
        return json_response({"error": "Invalid payload", "details": faults[0]["details"], "rejected": faults}, 400)
    jobs = [str(values[0]) for index, values in zip(places, rows, strict=True) if index not in rejected]
    body = {
        "message": "Events accepted for processing",
        "accepted": len(jobs) - duplicates,
        "duplicates": duplicates,
        "jobIds": jobs,
        "rejected": faults,
    }
    return json_response(body, 202)


async def get_job(request: web.Request) -> web.Response:
    """`GET /jobs/{jobId}`: `state` is spooled, stored or dead (with `reason`), or 404."""
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


async def get_stats(request: web.Request) -> web.Response:
    """`GET /stats?site_id=`: views, unique users and top paths of a day (`date`, today if not given).

    With `from` and `to` instead, both counted and at most 366 days, the same over the whole time and a daily series in
    `days`. `limit` (10) bounds the paths. Answers carry an ETag. 400 for what is no day, and for repeated parameters.
    """
    asked = _parameters(request, "site_id", "date", "from", "to", "limit")
    site = _site(asked)
    first, last = _span(asked)
    limit = _limit(asked)
    found = await _fetchrow(request, "report", site, first, last, limit)
    assert found is not None  # aggregates always give a row
    totals = {"total_views": found["total_views"], "unique_users": found["unique_users"]}
    paths = {"top_paths": msgspec.Raw(msgspec.json.format(found["top_paths"].encode(), indent=-1))}
    if "from" in asked or "to" in asked:
        series = {"days": msgspec.Raw(msgspec.json.format(found["days"].encode(), indent=-1))}
        return _tagged(request, {"site_id": site, "from": first, "to": last, **totals, **paths, **series})
    return _tagged(request, {"site_id": site, "date": first, **totals, **paths})


def _tagged(request: web.Request, body: dict[str, Any]) -> web.Response:
    encoded = msgspec.json.encode(body)
    tag = f'"{hashlib.sha256(encoded).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in re.split(r",\s*", request.headers.get("If-None-Match", "")[:1000].replace("W/", "")):
        return web.Response(status=304, headers=headers)
    return json_response(encoded, headers=headers)


def _parameters(request: web.Request, *names: str) -> dict[str, str]:
    """The parameters that were given; an empty one was not, an unknown one is ignored, a repeated one refused."""
    for name in names:
        if len(request.query.getall(name, [])) > 1:
            raise BadRequest(400, f"{name} must be given once")
    return {name: request.query[name] for name in names if request.query.get(name)}


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
        day = _day(asked, "date", today)
        return day, day
    if "date" in asked:
        raise BadRequest(400, "date: give it, or from and to, but not both")
    last = _day(asked, "to", today)
    first = _day(asked, "from", last - timedelta(days=29))
    if not 0 <= (last - first).days < MOST_DAYS:
        raise BadRequest(400, f"from must be before to, and the time between at most {MOST_DAYS} days")
    return first, last


def _day(asked: Mapping[str, str], name: str, default: date) -> date:
    given = asked.get(name)
    if given is None:
        return default
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", given, re.ASCII):
            raise ValueError
        day = date.fromisoformat(given)
    except ValueError:
        raise BadRequest(400, f"{name} must be in YYYY-MM-DD format") from None
    if not 1970 <= day.year < 2100:
        raise BadRequest(400, f"{name} must be a day from 1970 to 2099")
    return day


def _limit(asked: Mapping[str, str]) -> int:
    given = asked.get("limit", "10")
    if not re.fullmatch(r"\d{1,3}", given, re.ASCII) or not 1 <= int(given) <= MOST_PATHS:
        raise BadRequest(400, f"limit must be a number from 1 to {MOST_PATHS}")
    return int(given)


async def _fetchrow(request: web.Request, query: str, *arguments: Any) -> asyncpg.Record | None:
    try:
        return await request.app[POOL].fetchrow(QUERIES[query], *arguments)
    except Exception as error:
        raise DatabaseAway("the database is away, try again") from error


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
