"""Usage (contracts.md §3): which features of the dashboard are clicked, when, and by people of which age and gender."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from statsd import accept, session, sql
from statsd.accept import KEY_CHARACTERS
from statsd.accounts import ACCOUNTS, GENDERS, User
from statsd.database import POOL, ask
from statsd.decode import PRINTABLE, Decoder, compact, iso
from statsd.errors import BadRequest, InvalidEvent, KeyReused, StatsError
from statsd.features import FEATURES, FULL, Features
from statsd.generator import moment
from statsd.ingest import Outcome, Spooled, id_of_key, new_id
from statsd.live import HUB
from statsd.operation import Operation, Parameter, answer
from statsd.stream import Row, Stream
from statsd.web import LINES, day, json_response, parameters, plain_envelope, read_body

FEATURE_CHARACTERS = 64
AGE_GROUPS = ("<18", "18-40", ">40")
ALL = "All"
FIRST_DAY, LAST_DAY = date(1969, 12, 30), date(2100, 1, 2)  # beyond every click, in whatever zone
UTC_NAMES = ("UTC", "Etc/UTC")
REQUIRED = "feature_name is required"
ZONES: web.AppKey[set[str]] = web.AppKey("zones")

Name = msgspec.Meta(max_length=FEATURE_CHARACTERS, pattern=PRINTABLE, description="")
Key = msgspec.Meta(
    min_length=1, max_length=KEY_CHARACTERS, description=f"a string of 1 to {KEY_CHARACTERS} characters if provided"
)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A click as clients send it, under one of two names; who and when is not theirs to say."""

    feature_name: Annotated[str, Name] | None = None
    featureName: Annotated[str, Name] | None = None  # noqa: N815 - the name on the wire
    event_id: Annotated[str, Key] | None = None


class Click(msgspec.Struct, frozen=True, kw_only=True):
    """A click and the person as they were; `user_id` is None for clicks that no account made."""

    user_id: int | None
    feature_name: str
    timestamp: datetime
    age: int
    gender: str


def check(sent: Sent) -> list[str]:
    """Return what is wrong with a click beyond the types of its fields."""
    name = sent.feature_name or sent.featureName
    if name == ALL:
        return [f"feature_name must not be {ALL}: it stands for every feature"]
    return [] if name else [REQUIRED]


def explain(name: str, given: Any) -> str | None:
    """The wording of the contract for a name that is none, and ours for one that cannot be shown."""
    if name == "event_id":
        return None
    if not isinstance(given, str) or not given.strip():
        return REQUIRED
    return f"{name} must be a string of 1 to {FEATURE_CHARACTERS} printable characters"


def row(click: Click, id: UUID) -> Row:
    """Return the values of `STREAM.columns`."""
    return (id, click.user_id, click.feature_name, click.timestamp, click.age, click.gender)


DECODER = Decoder(Sent, check, explain)


def _name(sent: Sent) -> str:
    return sent.feature_name or sent.featureName or ""


def _row(sent: Sent, user: User, header: str | None) -> Row:
    """The row of what a user sent now, under an id of the sender's own key, if it has one; keys belong to users."""
    now = datetime.now(UTC)
    click = Click(
        user_id=user.id,
        feature_name=_name(sent),
        timestamp=now.replace(microsecond=now.microsecond // 1000 * 1000),  # what is answered is what is stored
        age=user.age,
        gender=user.gender,
    )
    key = header or sent.event_id
    return row(click, id_of_key(STREAM.name, f"{user.id}\n{key}") if key else new_id())


CLICK = {
    "id": "01a2105e-a6a6-781b-95ab-5b9788c5ad59",
    "userId": 1,
    "featureName": "date_filter",
    "timestamp": "2026-11-21T10:30:00.000Z",
}


@Operation(
    body=Sent,
    batch=True,
    plain=False,
    example={"feature_name": "date_filter"},
    keys=["Idempotency-Key"],
    guards=session.GUARDS,
    answers={
        200: answer("it was stored before, under this key", one=CLICK),
        201: answer("stored", one=CLICK, many=[CLICK, {"error": REQUIRED}]),
        202: answer("on disk until the database is back", one=CLICK, many=[CLICK]),
        403: "a page of another site asked",
    },
)
async def post_track(request: web.Request) -> web.Response:
    """`POST /track`: count a click of whoever is logged in, or many.

    201 with the stored row, or 202 while the database is away and it waits on disk. An array, or one click a line,
    answers with an array: at each index the row, or `{error}`; 400 where nothing is good. `Idempotency-Key` (one click)
    or `event_id` make a repeat count once: 200 with the first row, and 422 for another feature under the same one.
    """
    user = await request.app[ACCOUNTS].user_seen(session.claims(request))
    session.demand_json(request)
    decoded = DECODER.decode(await read_body(request), request.content_type in LINES)
    key = accept.idempotency_key(request)
    if isinstance(decoded, list):
        if key:
            raise BadRequest(400, "Idempotency-Key: names one click; in a batch give each its event_id")
        return await _track_many(request, decoded, user)
    values = _row(decoded, user, key)
    if await request.app[FEATURES].refused([_name(decoded)]):
        raise InvalidEvent([FULL])
    outcome, first = await accept.one(request, STREAM, values)
    status = 202 if outcome is Spooled.SPOOLED else 200 if outcome is None else 201
    return json_response(_body(outcome, values, first), status)


async def _track_many(request: web.Request, decoded: Sequence[Sent | InvalidEvent], user: User) -> web.Response:
    refused = await request.app[FEATURES].refused([_name(one) for one in decoded if isinstance(one, Sent)])
    full = InvalidEvent([FULL])
    decoded = [full if isinstance(one, Sent) and _name(one) in refused else one for one in decoded]
    rows = [_row(one, user, None) if isinstance(one, Sent) else one for one in decoded]
    outcomes, found = await accept.many(request, STREAM, rows)
    answers = [_answer(*one, found) for one in zip(outcomes, rows, strict=True)]
    good = [outcome for outcome in outcomes if not isinstance(outcome, StatsError)]
    if not good:
        status = 422 if all(isinstance(outcome, KeyReused) for outcome in outcomes) else 400
        return json_response({"error": answers[0]["error"], "rejected": answers}, status)
    return json_response(answers, 202 if Spooled.SPOOLED in good else 201)


def _answer(outcome: Outcome, values: Row | InvalidEvent, found: accept.Found) -> dict[str, Any]:
    if isinstance(outcome, StatsError) or isinstance(values, InvalidEvent):
        return {"error": str(outcome)}
    return _body(outcome, values, found.get(values[0]))


def _body(outcome: Outcome, values: Row, first: asyncpg.Record | None) -> dict[str, Any]:
    """The row of contracts.md §3.2: as it was stored first, or as it waits on disk."""
    stored = outcome if isinstance(outcome, asyncpg.Record) else first
    found = stored if stored is not None else dict(zip(STREAM.columns, values, strict=True))
    when: datetime = found["timestamp"]
    return {
        "id": found["id"],
        "userId": found["user_id"],
        "featureName": found["feature_name"],
        "timestamp": iso(when),
    }


ANALYTICS = {
    "barChartData": [{"feature": "date_filter", "count": 7}],
    "lineChartData": [{"date": "2026-11-21", "count": 7}],
}


@Operation(
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


@Operation(answers={200: answer("all clicks, and those of today", overview=OVERVIEW)})
async def get_overview(request: web.Request) -> web.Response:
    """`GET /usage`: how many clicks there are, and how many of today; the payload of the live topic `usage`.

    Open to everybody, and so it names no feature: who sees it change may ask `/analytics`.
    """
    return json_response((await request.app[HUB].topics[STREAM.name].snapshot()).payload)


async def names(app: web.Application) -> AsyncIterator[None]:
    """Those of time zones and of features are asked for when somebody first needs one, and are kept."""
    app[ZONES] = set()
    app[FEATURES] = Features(app[POOL])
    yield


def routes() -> list[web.RouteDef]:
    return [
        web.post("/track", post_track),
        web.get("/analytics", get_analytics),
        web.get("/usage", get_overview),
    ]


SAMPLES = (
    "date_filter", "gender_filter", "age_filter", "bar_chart_zoom", "line_chart_hover", "export_data", "refresh_data",
)  # fmt: skip
AGES = (16, 25, 32, 45, 55, 17, 28, 38, 50, 22)
PEOPLE = tuple(
    (f"user{number}", age, gender)
    for number, (age, gender) in enumerate(
        zip(
            AGES,
            ["Male", "Female", "Male", "Female", "Other", "Female", "Male", "Female", "Male", "Other"],
            strict=True,
        ),
        start=1,
    )
)
"""The ten people of contracts.md §3.1: name, age, gender."""


def sample(rng: random.Random) -> Click:
    """Return a realistic click of the last 30 days by one of the ten people; no account is said to have made it."""
    _, age, gender = rng.choice(PEOPLE)
    feature = rng.choices(SAMPLES, [24, 14, 13, 22, 17, 4, 6])[0]
    return Click(user_id=None, feature_name=feature, timestamp=moment(rng, 0), age=age, gender=gender)


QUERIES = sql.load("usage")
STREAM = Stream(
    name="usage",
    table="feature_clicks",
    event=Click,
    columns={
        "id": UUID,
        "user_id": int | None,
        "feature_name": str,
        "timestamp": datetime,
        "age": int,
        "gender": str,
    },
    row=row,
    sample=sample,
    routes=routes,
    session_paths=frozenset({"/track", "/analytics", "/usage"}),
    envelope=plain_envelope,
    contexts=(names,),
)
