"""Taking logins in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from statsd.errors import DatabaseAway, InvalidEvent
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.verdict import Verdict
from statsd.stream import Row
from statsd.streams.logins.event import DECODER, Login, row
from statsd.streams.logins.read import EXAMPLE, OPEN, STORED, WAITING, body
from statsd.streams.logins.stream import STREAM
from statsd.web.answers import json_response
from statsd.web.operation import Operation, answer

STATUSES = {"stored": 201, "known": 200, "spooled": 202}
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
    verdict = await accept.events(request, STREAM, DECODER, _row, empty=True)
    if isinstance(verdict, list):
        return _answer_many(verdict)
    if verdict.state == "known" and not verdict.record:
        raise DatabaseAway("the login cannot be read back now: try again")
    return json_response(_body(verdict), STATUSES[verdict.state])


def _row(login: Login, key: str | None, place: int | None) -> Row:
    """The row of a login; a key names the one login of a request."""
    return row(login, id_of_key(STREAM.name, key) if key and place is None else new_id())


def _answer_many(verdicts: Sequence[Verdict]) -> web.Response:
    rejected = [
        {"index": index, "details": verdict.error.faults}
        for index, verdict in enumerate(verdicts)
        if isinstance(verdict.error, InvalidEvent)
    ]
    if rejected and len(rejected) == len(verdicts):
        return json_response({"error": "Invalid payload", "rejected": rejected}, 400)
    status = 202 if any(verdict.state == "spooled" for verdict in verdicts) else 201
    return json_response([_body(verdict) for verdict in verdicts], status)


def _body(verdict: Verdict) -> dict[str, Any]:
    """What is said of one login: its row, as stored or as it waits on disk for the database, or its faults."""
    if isinstance(verdict.error, InvalidEvent):
        return {"error": "Invalid payload", "details": verdict.error.faults}
    login = dict(verdict.record or zip(STREAM.columns, verdict.row, strict=True))
    return body({name: value for name, value in login.items() if name not in ("place", "same")})
