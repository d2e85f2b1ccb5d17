"""Taking clicks in, of whoever is logged in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiohttp import web

from statsd.accounts import session
from statsd.accounts.users import ACCOUNTS, User
from statsd.errors import BadRequest, KeyReused
from statsd.ingest import accept
from statsd.ingest.ids import id_of_key, new_id
from statsd.ingest.verdict import Verdict
from statsd.stream import Row
from statsd.streams.usage.event import DECODER, REQUIRED, Click, Sent, row
from statsd.streams.usage.features import FEATURES
from statsd.streams.usage.stream import STREAM
from statsd.web.answers import json_response, plain_envelope
from statsd.web.operation import Operation, answer
from statsd.web.times import iso

STATUSES = {"stored": 201, "known": 200, "spooled": 202}
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
    row = partial(_row, user)
    verdict = await accept.events(request, STREAM, DECODER, row, admit=request.app[FEATURES].admit)
    if isinstance(verdict, list):
        return _answer_many(verdict)
    return json_response(_body(verdict), STATUSES[verdict.state])


def _row(user: User, sent: Sent, key: str | None, place: int | None) -> Row:
    """The row of what a user sent now, under an id of the sender's own key, if it has one; keys belong to users."""
    if key and place is not None:
        raise BadRequest(400, "Idempotency-Key: names one click; in a batch give each its event_id")
    now = datetime.now(UTC)
    click = Click(
        user_id=user.id,
        feature_name=sent.name,
        timestamp=now.replace(microsecond=now.microsecond // 1000 * 1000),  # what is answered is what is stored
        age=user.age,
        gender=user.gender,
    )
    own = key or sent.event_id
    return row(click, id_of_key(STREAM.name, f"{user.id}\n{own}") if own else new_id())


def _answer_many(verdicts: Sequence[Verdict]) -> web.Response:
    answers = [{"error": str(verdict.error)} if verdict.error else _body(verdict) for verdict in verdicts]
    if all(verdict.error for verdict in verdicts):
        status = 422 if all(isinstance(verdict.error, KeyReused) for verdict in verdicts) else 400
        return json_response({"error": answers[0]["error"], "rejected": answers}, status)
    return json_response(answers, 202 if any(verdict.state == "spooled" for verdict in verdicts) else 201)


def _body(verdict: Verdict) -> dict[str, Any]:
    """A click as it was stored first, or as it waits on disk."""
    click = verdict.record or dict(zip(STREAM.columns, verdict.row, strict=True))
    return {
        "id": click["id"],
        "userId": click["user_id"],
        "featureName": click["feature_name"],
        "timestamp": iso(click["timestamp"]),
    }
