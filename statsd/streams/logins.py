"""Logins (contracts.md §1): who logged in from which device and region, and for how long."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd import accept, sql
from statsd.database import POOL, ask
from statsd.decode import Decoder, iso, text, utc
from statsd.errors import DatabaseAway, InvalidEvent, KeyReused, Overloaded
from statsd.generator import moment
from statsd.ingest import WRITERS, Outcome, Spooled, id_of_key, new_id
from statsd.live import HUB
from statsd.operation import Operation, Parameter, answer
from statsd.stream import Row, Stream
from statsd.web import LINES, json_response, limit, parameters, read_body

MOST_LOGINS = 1_000  # of one GET /logins
LONGEST_SESSION = 315_576_000  # ten years, in seconds

Whole = msgspec.Meta(ge=-(2**31), le=2**31 - 1, description="an integer of 32 bits")
Seconds = msgspec.Meta(ge=0, le=LONGEST_SESSION, description=f"an integer from 0 to {LONGEST_SESSION} (seconds)")
When = msgspec.Meta(description="an ISO 8601 instant from 1970 to 2099, such as 2026-11-21T10:30:00Z")


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A login as clients send it; instants without a zone are UTC."""

    user_id: Annotated[int, Whole]
    login_time: Annotated[datetime, When] | None = None
    logout_time: Annotated[datetime, When] | None = None
    session_duration_seconds: Annotated[int, Seconds] | None = None
    ip_address: Annotated[str, text(64)]
    region: Annotated[str, text(100)]
    device_type: Annotated[str, text(100)]
    browser: Annotated[str, text(100)]


DEVICES = {"desktop": "Desktop", "mobile": "Mobile", "tablet": "Tablet"}


def check(login: Login) -> list[str]:
    """Return what is wrong with a login beyond its single fields."""
    faults, times = [], {}
    for name in ("login_time", "logout_time"):
        given = getattr(login, name)
        try:
            times[name] = utc(given) if given else None
        except ValueError:
            faults.append(f"{name} must be {When.description}")
    start, end = times.get("login_time"), times.get("logout_time")
    if end and end < (start or datetime.now(UTC)):
        faults.append("logout_time must not be before login_time" + ("" if start else ", which is now when not given"))
    if start and end and end - start > timedelta(seconds=LONGEST_SESSION):
        faults.append("logout_time must be within ten years after login_time")
    return faults


def row(login: Login, id: UUID) -> Row:
    """Return the values of `STREAM.columns`: times in UTC, the duration derived, the device type canonical."""
    start = utc(login.login_time) if login.login_time else datetime.now(UTC)
    end = utc(login.logout_time) if login.logout_time else None
    seconds = login.session_duration_seconds
    if seconds is None and end is not None:
        seconds = int((end - start).total_seconds())
    device = DEVICES.get(login.device_type.lower(), login.device_type)
    return (id, login.user_id, start, end, seconds, login.ip_address, login.region, device, login.browser)


DECODER = Decoder(Login, check)

# What openapi.json shows.
EXAMPLE = {
    "user_id": 7, "login_time": "2026-11-21T10:00:00.000Z", "logout_time": "2026-11-21T10:30:00.000Z",
    "ip_address": "203.0.113.7", "region": "Estonia", "device_type": "Mobile", "browser": "Firefox",
}  # fmt: skip
WAITING = {"id": "01a2105e-a6a6-781b-95ab-5b9788c5ad59", **EXAMPLE, "session_duration_seconds": 1800}
STORED = {**WAITING, "created_at": "2026-11-21T10:30:00.125Z", "updated_at": "2026-11-21T10:30:00.125Z"}
OPEN = {**STORED, "logout_time": None, "session_duration_seconds": None}
FAULT = {"error": "Invalid payload", "details": ["user_id is required and must be an integer of 32 bits"]}


@Operation(
    body=Login,
    batch=True,
    example=EXAMPLE,
    keys=["Idempotency-Key"],
    answers={
        200: answer("it was stored before, under the same key", row=STORED, open=OPEN),
        201: answer("stored", row=STORED, open=OPEN, many=[STORED, OPEN, FAULT]),
        202: answer("on disk, until the database is back", row=WAITING, many=[WAITING, FAULT]),
    },
)
async def post_logins(request: web.Request) -> web.Response:
    """`POST /logins`: store a login, or many.

    201 with the stored row; for an array with, at each index, the row or `{error, details}`; the good ones are stored.
    202 says that the database is away and the rows wait on disk; they lack what it would fill in (created_at).
    An `Idempotency-Key` makes a repeat of one login answer 200 with the row of the first; the same key with another
    login is 422. An array in which nothing is right is 400.
    """
    decoded = DECODER.decode(await read_body(request), request.content_type in LINES)
    if isinstance(decoded, list):
        return await _post_many(request, decoded)
    key = accept.idempotency_key(request)
    values = row(decoded, id_of_key(STREAM.name, key) if key else new_id())
    (outcome,) = await request.app[WRITERS][STREAM.name].store([values])
    if outcome is None:
        return json_response(_body(await _stored_before(request, decoded, values[0])))
    if isinstance(outcome, Exception):
        raise outcome
    return json_response(_element(outcome, values), 202 if outcome is Spooled.SPOOLED else 201)


async def _stored_before(request: web.Request, login: Login, id: UUID) -> asyncpg.Record:
    found = await ask("the stored login", request.app[POOL].fetchrow(QUERIES["find"], [id]))
    if found is None:
        raise DatabaseAway("the login cannot be read back now: try again")
    # What the client left out was filled in by us then, and differs by now.
    given = dict(zip(STREAM.columns, row(login, id), strict=True))
    filled_in = {name for name in ("login_time", "session_duration_seconds") if getattr(login, name) is None}
    if any(found[name] != value for name, value in given.items() if name not in filled_in):
        raise KeyReused("this Idempotency-Key was used with another login: use a new key for a new login")
    return found


async def _post_many(request: web.Request, decoded: Sequence[Login | InvalidEvent]) -> web.Response:
    rows = [row(one, new_id()) for one in decoded if isinstance(one, Login)]
    stored = await request.app[WRITERS][STREAM.name].store(rows)
    results = iter(zip(stored, rows, strict=True))
    outcomes = [next(results) if isinstance(one, Login) else (one, ()) for one in decoded]
    rejected = [
        {"index": index, "details": one.faults}
        for index, (one, _) in enumerate(outcomes)
        if isinstance(one, InvalidEvent)
    ]
    if rejected and len(rejected) == len(outcomes):
        return json_response({"error": "Invalid payload", "rejected": rejected}, 400)
    failed = next((one for one, _ in outcomes if isinstance(one, (DatabaseAway, Overloaded))), None)
    if failed:
        raise failed
    status = 202 if any(one is Spooled.SPOOLED for one, _ in outcomes) else 201
    return json_response([_element(one, values) for one, values in outcomes], status)


def _element(outcome: Outcome | InvalidEvent, values: Row) -> dict[str, Any]:
    """What is said of one login: its row, as stored or as it waits on disk for the database, or its faults."""
    if isinstance(outcome, InvalidEvent):
        return {"error": "Invalid payload", "details": outcome.faults}
    if outcome is Spooled.SPOOLED:
        return _body(dict(zip(STREAM.columns, values, strict=True)))
    assert isinstance(outcome, asyncpg.Record)  # new ids are never known already
    return _body(outcome)


def _body(record: Mapping[str, Any] | asyncpg.Record) -> dict[str, Any]:
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in record.items()}


@Operation(
    query={"limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_LOGINS)], "how many", default=100)},
    answers={200: answer("the newest first", rows=[STORED, OPEN])},
)
async def get_logins(request: web.Request) -> web.Response:
    """`GET /logins?limit=100`: the newest rows by login time, at most 1,000."""
    most = limit(parameters(request, "limit"), 100, MOST_LOGINS)
    rows = await ask("logins", request.app[POOL].fetch(QUERIES["newest"], most))
    return json_response([_body(one) for one in rows])


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


def routes() -> list[web.RouteDef]:
    return [
        web.post("/logins", post_logins),
        web.get("/logins", get_logins),
        web.get("/logins/stats", get_stats),
    ]


# What the generator draws from: weights are shares of 100.
REGIONS = {
    "USA": (24, -5), "India": (16, 5), "Brazil": (10, -3), "Germany": (9, 1), "UK": (8, 0), "Nigeria": (7, 1),
    "France": (7, 1), "Japan": (6, 9), "Canada": (5, -5), "Australia": (4, 10), "Estonia": (4, 2),
}  # fmt: skip
DEVICE_SHARES = {"Mobile": 52, "Desktop": 40, "Tablet": 8}
BROWSER_SHARES = {
    "Desktop": {"Chrome": 62, "Edge": 15, "Firefox": 11, "Safari": 10, "Opera": 2},
    "Mobile": {"Chrome": 63, "Safari": 30, "Firefox": 3, "Opera": 3, "Edge": 1},
    "Tablet": {"Safari": 52, "Chrome": 42, "Firefox": 4, "Edge": 2},
}
MEDIAN_MINUTES = {"Desktop": 28.0, "Mobile": 7.5, "Tablet": 16.0}
USERS = 5_000


def sample(rng: random.Random) -> Login:
    """Return a realistic login of the last 30 days: most users return, and come from where they came from before."""
    # One user in a hundred makes a fifth of the logins. What belongs to a user is drawn from the user's number.
    user = 1 + int(USERS * rng.random() ** 3)
    person = random.Random(user)
    region = person.choices(list(REGIONS), [share for share, _ in REGIONS.values()])[0]
    usual = person.choices(list(DEVICE_SHARES), list(DEVICE_SHARES.values()))[0]
    device = usual if rng.random() < 0.8 else rng.choices(list(DEVICE_SHARES), list(DEVICE_SHARES.values()))[0]
    browsers = BROWSER_SHARES[device]
    start = moment(rng, REGIONS[region][1])
    seconds = max(5, min(86_400, int(rng.lognormvariate(0, 0.9) * 60 * MEDIAN_MINUTES[device])))
    end = start + timedelta(seconds=seconds)
    finished = end <= datetime.now(UTC) and rng.random() < 0.97  # the rest closed the window without logging out
    return Login(
        user_id=user,
        login_time=start,
        logout_time=end if finished else None,
        session_duration_seconds=seconds if finished else None,
        ip_address=f"203.0.113.{person.randint(1, 254)}" if user % 2 else f"198.51.100.{person.randint(1, 254)}",
        region=region,
        device_type=device,
        browser=rng.choices(list(browsers), list(browsers.values()))[0],
    )


QUERIES = sql.load("logins")
STREAM = Stream(
    name="logins",
    table="user_logins",
    event=Login,
    columns={
        "id": UUID,
        "user_id": int,
        "login_time": datetime,
        "logout_time": datetime | None,
        "session_duration_seconds": int | None,
        "ip_address": str,
        "region": str,
        "device_type": str,
        "browser": str,
    },
    row=row,
    sample=sample,
    routes=routes,
)
