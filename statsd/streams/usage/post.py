"""Ingest of the clicks of users who are logged in: `POST /track`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from statsd.accounts import session
from statsd.accounts.checks import CHECKS
from statsd.accounts.users import User
from statsd.errors import BadRequest, KeyReused
from statsd.ingest import accept
from statsd.ingest.ids import id_of
from statsd.ingest.verdict import Verdict
from statsd.stream import Row
from statsd.streams.usage.answers import CLICK, EXAMPLE, RefusedClicks, StoredClick
from statsd.streams.usage.event import DECODER, Click, NewClick, row
from statsd.streams.usage.features import admit
from statsd.streams.usage.stream import STREAM
from statsd.web.answers import PlainError, Refusal, json_response, struct_of
from statsd.web.operation import Answer, Operation

MANY = list[StoredClick | PlainError]


@Operation(
    origins="session",
    envelope=PlainError,
    body=NewClick,
    batch=True,
    plain=False,
    example=EXAMPLE,
    keys=["Idempotency-Key"],
    guards=session.GUARDS,
    answers={
        **session.ANSWERS,
        200: Answer("already stored under this key", StoredClick, one=CLICK),
        201: Answer("stored", StoredClick, MANY, one=CLICK),
        202: Answer("on disk until the database is back", StoredClick, MANY, one=CLICK),
        400: Answer("invalid click, or no valid click in the batch", PlainError, RefusedClicks, Refusal),
        403: "a page of another site may not do this",
        422: Answer("the key was used with another event", Refusal, RefusedClicks),
    },
)
async def post_track(request: web.Request) -> web.Response:
    """Count a click of the user who is logged in, or a batch.

    For a batch (an array, or one click per line) the answer is an array with the stored row of each valid click, and
    `{error}` at the index of each invalid one. A batch without a valid click is 400.

    With an `Idempotency-Key` (for a single click) or an `event_id`, a repeat counts once and returns the stored row; a
    click on a different feature under the same key is 422.
    """
    user = await request.app[CHECKS].user_seen(session.claims(request))
    session.require_json(request)
    verdict = await accept.events(request, STREAM, DECODER, partial(_row, user), admit=partial(admit, request))
    if isinstance(verdict, list):
        return _answer_many(verdict)
    return json_response(_body(verdict), accept.STATUSES[verdict.state])


def _row(user: User, sent: NewClick, key: str | None, index: int | None) -> Row:
    """Return the row of a user's click. Its id is made of the user and the user's key, or is new without one."""
    if key and index is not None:
        raise BadRequest(400, "Idempotency-Key: names a single click; in a batch, each click may have an event_id")
    now = datetime.now(UTC)
    when = now.replace(microsecond=now.microsecond // 1000 * 1000)  # answers show milliseconds
    click = Click(user_id=user.id, feature_name=sent.name, timestamp=when, age=user.age, gender=user.gender)
    key = key or sent.event_id
    return row(click, id_of(STREAM.name, key and f"{user.id}\n{key}"))


def _answer_many(verdicts: Sequence[Verdict]) -> web.Response:
    errors = [PlainError(str(verdict.error)) for verdict in verdicts if verdict.error]
    if len(errors) == len(verdicts):
        status = 422 if all(isinstance(verdict.error, KeyReused) for verdict in verdicts) else 400
        return json_response(RefusedClicks(errors[0].error, errors), status)
    answers = [PlainError(str(verdict.error)) if verdict.error else _body(verdict) for verdict in verdicts]
    return json_response(answers, 202 if any(verdict.state == "spooled" for verdict in verdicts) else 201)


def _body(verdict: Verdict) -> StoredClick:
    """Return the click as it is stored or spooled."""
    return struct_of(StoredClick, verdict.record or STREAM.named(verdict.row))
