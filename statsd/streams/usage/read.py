"""Reading clicks: the charts with their filters, and the overview."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Annotated, Literal

from aiohttp import web

from statsd.accounts import session
from statsd.accounts.users import GENDERS
from statsd.database import sql
from statsd.database.pool import POOL, ask, compact
from statsd.errors import BadRequest
from statsd.live.topics import HUB
from statsd.streams.usage.event import ALL, FEATURE_CHARACTERS, Name
from statsd.streams.usage.stream import STREAM
from statsd.web.answers import json_response
from statsd.web.asked import day, parameters
from statsd.web.decode import PRINTABLE
from statsd.web.operation import Operation, Parameter, answer

AGE_GROUPS = ("<18", "18-40", ">40")
FIRST_DAY, LAST_DAY = date(1969, 12, 30), date(2100, 1, 2)  # beyond every click, in whatever zone
UTC_NAMES = ("UTC", "Etc/UTC")
ZONES: web.AppKey[set[str]] = web.AppKey("zones")


ANALYTICS = {
    "barChartData": [{"feature": "date_filter", "count": 7}],
    "lineChartData": [{"date": "2026-11-21", "count": 7}],
}


@Operation(
    origins="session",
    query={
        "startDate": Parameter(date, "the first day"),
        "endDate": Parameter(date, "the last day, which counts"),
        "ageGroup": Parameter(Literal["<18", "18-40", ">40", "All"], "the age of who clicked", default=ALL),
        "gender": Parameter(Literal["Male", "Female", "Other", "All"], "the gender of who clicked", default=ALL),
        "feature": Parameter(Annotated[str, Name], "whose line is drawn", default=ALL),
        "tz": Parameter(str, "whose days are meant: the IANA name of a time zone", default="UTC"),
    },
    guards=session.GUARDS,
    answers={200: answer("both charts", charts=ANALYTICS)},
)
async def get_analytics(request: web.Request) -> web.Response:
    """`GET /analytics`: count the clicks of everybody per feature, and of one feature per day.

    `startDate` and `endDate` (both counted), `ageGroup` (<18, 18-40, >40, All) and `gender` (Male, Female, Other, All)
    filter both charts; `feature` chooses the line alone. `tz` (IANA name, UTC if not given) says whose days they are.
    Always holds every click that was answered 200 or 201. 400 for whatever is none of these.
    """
    await session.user(request)
    asked = parameters(request, "startDate", "endDate", "ageGroup", "gender", "feature", "tz")
    first, last = _span(asked)
    gender = _choice(asked, "gender", GENDERS)
    group = _choice(asked, "ageGroup", AGE_GROUPS)
    feature = _feature(asked)
    zone = await _zone(request, asked)
    away = 0 if zone in UTC_NAMES else 1  # how many days the local day may be off
    charts = request.app[POOL].fetchval(QUERIES["analytics"], first, last, gender, group, feature, zone, away)
    return json_response(compact(await ask("usage", charts)))


def _span(asked: Mapping[str, str]) -> tuple[date, date]:
    first, last = day(asked, "startDate", FIRST_DAY), day(asked, "endDate", LAST_DAY)
    if first > last:
        raise BadRequest(400, "startDate must not be after endDate")
    return first, last


def _choice(asked: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    given = asked.get(name, ALL)
    if given not in (*choices, ALL):
        raise BadRequest(400, f"{name} must be one of {', '.join((*choices, ALL))}")
    return given


def _feature(asked: Mapping[str, str]) -> str | None:
    given = asked.get("feature", ALL)
    if len(given) > FEATURE_CHARACTERS or not re.match(PRINTABLE, given):
        raise BadRequest(400, f"feature must be 1 to {FEATURE_CHARACTERS} printable characters")
    return None if given == ALL else given


async def _zone(request: web.Request, asked: Mapping[str, str]) -> str:
    given = asked.get("tz", UTC_NAMES[0])
    if given in UTC_NAMES:
        return given
    zones = request.app[ZONES]
    if not zones:
        zones.update(one["name"] for one in await ask("time zones", request.app[POOL].fetch(QUERIES["zones"])))
    if given not in zones:
        raise BadRequest(400, "tz must be the name of a time zone, such as Europe/Tallinn")
    return given


OVERVIEW = {
    "totalClicks": 7,
    "featureCount": 1,
    "today": {"date": "2026-11-21", "totalClicks": 7},
    "generatedAt": "2026-11-21T10:30:00.000Z",
}


@Operation(origins="session", answers={200: answer("all clicks, and those of today", overview=OVERVIEW)})
async def get_overview(request: web.Request) -> web.Response:
    """`GET /usage`: how many clicks there are, and how many of today; the payload of the live topic `usage`.

    Open to everybody, and so it names no feature: who sees it change may ask `/analytics`.
    """
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)


QUERIES = sql.load("usage")


async def known_zones(app: web.Application) -> AsyncIterator[None]:
    """Time zones are asked for when somebody first names one, and are kept."""
    app[ZONES] = set()
    yield
