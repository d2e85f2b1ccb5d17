"""Logins (contracts.md §1): who logged in from which device and region, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from aiohttp import web

from statsd.database.pool import POOL, ask
from statsd.errors import DatabaseAway, InvalidEvent, KeyReused, Overloaded
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.writer import WRITERS, Outcome, Spooled
from statsd.stream import Row
from statsd.streams.logins.event import DECODER, Login, row
from statsd.streams.logins.read import EXAMPLE, OPEN, QUERIES, STORED, WAITING, _body
from statsd.streams.logins.stream import STREAM
from statsd.web.answers import json_response
from statsd.web.asked import LINES, read_body
from statsd.web.operation import Operation, answer

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
