"""Ingest of logins: `POST /logins`."""

from collections.abc import Sequence
from functools import partial

from aiohttp import web

from statsd.errors import DatabaseAway, InvalidEvent
from statsd.ingest import accept
from statsd.ingest.ids import id_of, new_id
from statsd.ingest.lean import Way, storing
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import WRITERS
from statsd.stream import Row
from statsd.streams.logins.answers import EXAMPLE, STORED, StoredLogin
from statsd.streams.logins.event import DECODER, Login, row
from statsd.streams.logins.stream import STREAM
from statsd.web import SETTINGS
from statsd.web.answers import InvalidPayload, Rejected, Reply, json_response, struct_of
from statsd.web.decode import Batch
from statsd.web.operation import Answer, Operation

MANY = list[StoredLogin | InvalidPayload]


@Operation(
    access="ingest",
    body=Login,
    batch=True,
    example=EXAMPLE,
    keys=["Idempotency-Key"],
    answers={
        200: Answer("already stored under this key", StoredLogin, row=STORED),
        201: Answer("stored", StoredLogin, MANY, row=STORED),
        202: Answer("on disk until the database is back", StoredLogin, MANY),
    },
)
async def post_logins(request: web.Request) -> web.Response:
    """Store a login, or a batch.

    201 returns the stored row. For a batch it returns an array with the stored row of each valid login, and
    `{error, details}` at the index of each invalid one. A batch without a valid login is 400.

    202 means that the database is away. The rows wait on disk, and have no `created_at` and `updated_at` yet.

    `Idempotency-Key` names a single login. Repeating the login under its key returns 200 and the stored row; a
    different login under the same key is 422.
    """
    verdict = await accept.events(request, STREAM, DECODER, partial(_row, ip_kept=request.app[SETTINGS].ip))
    if isinstance(verdict, list):
        return await _answer_many(verdict)
    if verdict.state == "known" and not verdict.record:
        raise DatabaseAway("the login cannot be read back now: try again")
    return json_response(*_reply(verdict))


def way(app: web.Application) -> Way:
    """Return the lean way in: for a single login without a key."""

    ip_kept = app[SETTINGS].ip

    def make_row(body: bytes, _: str) -> Row | None:
        login = DECODER.decode(body)
        return None if isinstance(login, Batch) else row(login, new_id(), ip_kept)

    return Way(storing(app[WRITERS][STREAM.name], make_row), _reply)


def _reply(verdict: Verdict) -> Reply:
    return _body(verdict), accept.STATUSES[verdict.state], {}


def _row(login: Login, key: str | None, index: int | None, ip_kept: str) -> Row:
    """Return the row of a login. A key counts only for a single login, not in a batch."""
    return row(login, id_of(STREAM.name, key if index is None else None), ip_kept)


async def _answer_many(verdicts: Sequence[Verdict]) -> web.Response:
    faults = [verdict.error.faults if isinstance(verdict.error, InvalidEvent) else () for verdict in verdicts]
    if all(faults):
        rejected = [Rejected(index, details) for index, details in enumerate(faults)]
        return json_response(InvalidPayload("Invalid payload", rejected=rejected), 400)
    status = 202 if any(verdict.state == "spooled" for verdict in verdicts) else 201
    return json_response(await accept.in_slices(lambda _, verdict: _body(verdict), verdicts), status)


def _body(verdict: Verdict) -> StoredLogin | InvalidPayload:
    """Return the login as it is stored or spooled, or its faults."""
    if isinstance(verdict.error, InvalidEvent):
        return InvalidPayload.of(verdict.error)
    return struct_of(StoredLogin, verdict.record or STREAM.named(verdict.row))
