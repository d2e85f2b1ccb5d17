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
from statsd.streams.usage.answers import ANALYTICS, OVERVIEW, Analytics, UsageOverview
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


@Operation(
    origins="session",
    query={
        "startDate": Parameter(date, "the first day"),
        "endDate": Parameter(date, "the last day, included"),
        "ageGroup": Parameter(Literal["<18", "18-40", ">40", "All"], "only clicks of people of this age", default=ALL),
        "gender": Parameter(Literal["Male", "Female", "Other", "All"], "only clicks of this gender", default=ALL),
        "feature": Parameter(Annotated[str, Name], "the feature of the line", default=ALL),
        "tz": Parameter(str, "the time zone of the days, by its IANA name", default="UTC"),
    },
    guards=session.GUARDS,
    answers={**session.ANSWERS, 200: answer("both charts", Analytics, charts=ANALYTICS)},
)
async def get_analytics(request: web.Request) -> web.Response:
    """Count everybody's clicks per feature, and those of one feature per day.

    All filters hold for both charts, but `feature` chooses the line alone. Every click that was answered 200 or 201 is
    counted.
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


@Operation(origins="session", answers={200: answer("the overview", UsageOverview, overview=OVERVIEW)})
async def get_overview(request: web.Request) -> web.Response:
    """Get how many clicks there are, and how many today.

    This is the payload of the topic `usage` on `/ws`. It is open to everybody, so it names no feature; `/analytics`
    does.
    """
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)


QUERIES = sql.load("usage")


async def known_zones(app: web.Application) -> AsyncIterator[None]:
    """Time zones are asked for when somebody first names one, and are kept."""
    app[ZONES] = set()
    yield
