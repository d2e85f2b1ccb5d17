"""Reads of clicks: the charts with their filters, and the overview."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from aiohttp import web

from statsd.accounts import session
from statsd.accounts.users import GENDERS
from statsd.database import sql
from statsd.database.pool import POOL, ask, compact
from statsd.errors import BadRequest
from statsd.live.topics import HUB
from statsd.streams.usage.answers import Analytics, UsageOverview
from statsd.streams.usage.event import ALL, FEATURE_CHARACTERS, Name
from statsd.streams.usage.stream import STREAM
from statsd.web.answers import PlainError, json_response
from statsd.web.asked import day, parameters
from statsd.web.operation import Answer, Operation, Parameter
from statsd.web.texts import name_of

AGE_GROUPS = ("<18", "18-40", ">40")
FIRST_DAY, LAST_DAY = date(1969, 12, 30), date(2100, 1, 2)  # outside the days of all clicks, in every time zone
UTC_NAMES = ("UTC", "Etc/UTC")
ZONES: web.AppKey[set[str]] = web.AppKey("zones")
"""The names of all time zones; empty until a request needs them."""
QUERIES = sql.load("usage")


@Operation(
    origins="session",
    access="login",
    shared="own",
    envelope=PlainError,
    query={
        "startDate": Parameter(date, "the first day"),
        "endDate": Parameter(date, "the last day, included"),
        "ageGroup": Parameter(Literal[(*AGE_GROUPS, ALL)], "count only users of this age", default=ALL),
        "gender": Parameter(Literal[(*GENDERS, ALL)], "count only users of this gender", default=ALL),
        "feature": Parameter(Annotated[str, Name], "the feature of the line chart", default=ALL),
        "tz": Parameter(str, "the IANA name of the time zone in which days begin and end", default="UTC"),
    },
    answers={**session.ANSWERS, 200: Answer("both charts", Analytics)},
)
async def get_analytics(request: web.Request) -> web.Response:
    """Get the clicks of all users per feature, and per day.

    `feature` filters only the clicks per day; every other filter applies to both charts. Every click that was answered
    200 or 201 is counted.
    """
    query = parameters(request)
    first, last = day(query, "startDate", FIRST_DAY), day(query, "endDate", LAST_DAY)
    if first > last:
        raise BadRequest(400, "startDate must not be after endDate")
    gender = _choice(query, "gender", GENDERS)
    group = _choice(query, "ageGroup", AGE_GROUPS)
    feature = _feature(query)
    zone = await _zone(request, query)
    edge_days = 0 if zone in UTC_NAMES else 1  # by how many days a local day may differ from the UTC day
    charts = request.app[POOL].fetchval(QUERIES["analytics"], first, last, gender, group, feature, zone, edge_days)
    return json_response(compact(await ask("usage", charts)))


def _choice(query: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = query.get(name, ALL)
    if value not in (*choices, ALL):
        raise BadRequest(400, f"{name} must be one of {', '.join((*choices, ALL))}")
    return value


def _feature(query: Mapping[str, str]) -> str | None:
    try:
        feature = name_of(query.get("feature", ALL), FEATURE_CHARACTERS)
    except ValueError:
        raise BadRequest(400, f"feature must be 1 to {FEATURE_CHARACTERS} printable characters") from None
    return None if feature == ALL else feature


async def _zone(request: web.Request, query: Mapping[str, str]) -> str:
    zone = query.get("tz", UTC_NAMES[0])
    if zone in UTC_NAMES:
        return zone
    zones = request.app[ZONES]
    if not zones:
        zones.update(record["name"] for record in await ask("time zones", request.app[POOL].fetch(QUERIES["zones"])))
    if zone not in zones:
        raise BadRequest(400, "tz must be the name of a time zone, such as Europe/Tallinn")
    return zone


@Operation(origins="session", shared="own", answers={200: Answer("the overview", UsageOverview)})
async def get_overview(request: web.Request) -> web.Response:
    """Get the number of all clicks, and of today's clicks.

    The overview needs no login, and so it names no feature. The topic `usage` on `/ws` has the same payload.
    """
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)
