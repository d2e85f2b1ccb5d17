"""Ingest of the clicks of users who are logged in: `POST /track`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from statsd.accounts import session
from statsd.accounts.checks import CHECKS, Outcome
from statsd.accounts.session import TOKENS
from statsd.accounts.tokens import INVALID
from statsd.accounts.users import User
from statsd.errors import BadRequest, KeyReused, Unauthenticated
from statsd.ingest import accept
from statsd.ingest.ids import id_of
from statsd.ingest.lanes import Waiter
from statsd.ingest.lean import Way
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import WRITERS, Writer
from statsd.stream import Row
from statsd.streams.usage.answers import CLICK, EXAMPLE, RefusedClicks, StoredClick
from statsd.streams.usage.event import DECODER, Click, NewClick, row
from statsd.streams.usage.features import FEATURES, admit
from statsd.streams.usage.stream import STREAM
from statsd.web.answers import PlainError, Refusal, json_response, struct_of
from statsd.web.decode import Batch
from statsd.web.operation import Answer, Operation

MANY = list[StoredClick | PlainError]
UNKNOWN = Verdict("refused", error=Unauthenticated(INVALID))


@Operation(
    origins="session",
    access="user",
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
    user = await request.app[CHECKS].seen(session.claims(request))
    session.require_json(request)
    verdict = await accept.events(request, STREAM, DECODER, partial(_row, user), admit=partial(admit, request, user.id))
    if isinstance(verdict, list):
        return await _answer_many(verdict)
    return json_response(_body(verdict), accept.STATUSES[verdict.state])


def way(app: web.Application) -> Way:
    """Return the lean way in, for a single click without a key, by a token in the Authorization header."""
    writer, checks, tokens, features = app[WRITERS][STREAM.name], app[CHECKS], app[TOKENS], app[FEATURES]

    def store(body: bytes, authorization: str, waiter: Waiter) -> bool:
        click = DECODER.decode(body, lines=False)
        token = session.bearer_token(authorization)
        if isinstance(click, Batch) or click.event_id or click.name not in features.names or not token:
            return False
        return checks.offer(tokens.read(token), _Checked(writer, click, waiter))

    return Way(store, lambda verdict: (_body(verdict), accept.STATUSES[verdict.state], {}), "authorization")


class _Checked:
    """Stores a click once its user is known."""

    def __init__(self, writer: Writer, click: NewClick, waiter: Waiter) -> None:
        self._writer, self._click, self._waiter = writer, click, waiter
        self.done = waiter.done

    def set_result(self, user: Outcome) -> None:
        if not (isinstance(user, User) and self._writer.offer((_row(user, self._click, None, None),), self._waiter)):
            self._waiter.set_result([UNKNOWN])  # the handler finds out why


def _row(user: User, sent: NewClick, key: str | None, index: int | None) -> Row:
    """Return the row of a user's click. Its id is made of the user and the user's key, or is new without one."""
    if key and index is not None:
        raise BadRequest(400, "Idempotency-Key: names a single click; in a batch, each click may have an event_id")
    now = datetime.now(UTC)
    when = now.replace(microsecond=now.microsecond // 1000 * 1000)  # answers show milliseconds
    click = Click(user_id=user.id, feature_name=sent.name, timestamp=when, age=user.age, gender=user.gender)
    key = key or sent.event_id
    return row(click, id_of(STREAM.name, key and f"{user.id}\n{key}"))


async def _answer_many(verdicts: Sequence[Verdict]) -> web.Response:
    errors = [PlainError(str(verdict.error)) for verdict in verdicts if verdict.error]
    if len(errors) == len(verdicts):
        status = 422 if all(isinstance(verdict.error, KeyReused) for verdict in verdicts) else 400
        return json_response(RefusedClicks(errors[0].error, errors), status)
    answers = await accept.in_slices(_answer, verdicts)
    return json_response(answers, 202 if any(verdict.state == "spooled" for verdict in verdicts) else 201)


def _answer(_: int, verdict: Verdict) -> StoredClick | PlainError:
    return PlainError(str(verdict.error)) if verdict.error else _body(verdict)


def _body(verdict: Verdict) -> StoredClick:
    """Return the click as it is stored or spooled."""
    return struct_of(StoredClick, verdict.record or STREAM.named(verdict.row))
