"""Usage (contracts.md §3): which features of the dashboard are clicked, when, and by people of which age and gender."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiohttp import web

from statsd.accounts import session
from statsd.accounts.users import ACCOUNTS, User
from statsd.errors import BadRequest, InvalidEvent, KeyReused, StatsError
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.writer import Outcome, Spooled
from statsd.stream import Row
from statsd.streams.usage.event import DECODER, REQUIRED, Click, Sent, row
from statsd.streams.usage.features import FEATURES, FULL
from statsd.streams.usage.stream import STREAM
from statsd.web.answers import json_response, plain_envelope
from statsd.web.asked import LINES, read_body
from statsd.web.operation import Operation, answer
from statsd.web.times import iso


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
    origins="session",
    envelope=plain_envelope,
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
