"""The one way in: the events of a request are read, decoded, given ids, stored, and each gets its verdict.

A key that was used before means the same event again, or a mistake: the stream's query `known` tells which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, TypeVar, cast

import asyncpg
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent, KeyReused, StatsError
from statsd.ingest.outage import OUTAGE
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import WRITERS
from statsd.stream import Row, Stream
from statsd.web.asked import JSON_TYPES, LINES, read_body

KEY_CHARACTERS = 255
REUSED = "was used with another event: use a new one for a new event"

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Decodes(Protocol[E_co]):
    """Turns a body into an event, or into many (an array, or one a line): each the event, or its faults."""

    def decode(self, body: bytes, lines: bool) -> E_co | list[E_co | InvalidEvent]: ...


async def events(  # noqa: PLR0913 - what differs between the streams
    request: web.Request,
    stream: Stream,
    decoder: Decodes[E],
    row: Callable[[E, str | None, int | None], Row],
    *,
    types: Collection[str] | None = JSON_TYPES,
    admit: Callable[[list[E | InvalidEvent]], Awaitable[list[E | InvalidEvent]]] | None = None,
    empty: bool = False,
    ask_first: bool = False,
) -> Verdict | list[Verdict]:
    """Store the events of a request; return the verdict on one event, or a verdict for each of many.

    `row` makes the row of an event out of the request's key, if it has one, and the event's place in a batch (None: it
    came alone). `admit` may refuse events that are right by themselves. `empty` allows a batch of none. `ask_first`
    asks whether a key is known before the event is stored, for a table whose key is more than the id.

    Raises for one event whatever refused it: InvalidEvent, KeyReused, Overloaded, DatabaseAway. Raises for many only
    what refused the request as a whole: InvalidEvent for a batch of none, BadRequest, and Overloaded or DatabaseAway
    where some were not stored; under the same keys the whole batch may come again.
    """
    decoded = decoder.decode(await read_body(request, types=types), request.content_type in LINES)
    key = idempotency_key(request)
    many = isinstance(decoded, list)
    batch = cast("list[E | InvalidEvent]", decoded if many else [decoded])
    if not batch and not empty:
        raise InvalidEvent(["the batch must hold at least one event"])
    if admit:
        batch = await admit(batch)
    rows = [
        event if isinstance(event, InvalidEvent) else row(event, key, place if many else None)
        for place, event in enumerate(batch)
    ]
    good = [row for row in rows if not isinstance(row, InvalidEvent)]
    if ask_first and key:
        for verdict in await _known(request, stream, good):
            _raised(verdict)
    stored = iter(await _store(request, stream, good))
    verdicts = [Verdict("refused", error=row) if isinstance(row, InvalidEvent) else next(stored) for row in rows]
    return verdicts if many else _raised(verdicts[0])


def idempotency_key(request: web.Request, name: str = "Idempotency-Key") -> str | None:
    """Return the key in the header `name`, if there is one.

    Raises BadRequest (400) for an empty or too long one, and for characters that are not ASCII: in a header, programs
    and proxies read those differently (RFC 9110 §5.5).
    """
    key = request.headers.get(name)
    if key is not None and not (1 <= len(key) <= KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise BadRequest(400, f"{name}: must have 1 to {KEY_CHARACTERS} printable ASCII characters")
    return key


def _raised(verdict: Verdict) -> Verdict:
    if verdict.error:
        raise verdict.error
    return verdict


async def _store(request: web.Request, stream: Stream, rows: Sequence[Row]) -> list[Verdict]:
    """Store rows; raise what kept some of many from being stored though nothing is wrong with them."""
    verdicts = await request.app[WRITERS][stream.name].store(rows)
    repeats = []
    for verdict in verdicts:
        if verdict.state == "known":
            repeats.append(verdict.row)
        elif verdict.error and not isinstance(verdict.error, InvalidEvent):
            raise verdict.error
    if not repeats:
        return verdicts
    # Of two rows with one id each has its own verdict: the first may be a repeat, and the second another event.
    known = iter(await _known(request, stream, repeats))
    return [next(known) if verdict.state == "known" else verdict for verdict in verdicts]


async def _known(request: web.Request, stream: Stream, rows: Sequence[Row]) -> list[Verdict]:
    """Return for each row whether it is stored as it is here; while the database is away nobody can tell.

    Raises DatabaseAway.
    """
    records: dict[int, asyncpg.Record] = {}
    if not request.app[OUTAGE].away:
        columns = [list(column) for column in zip(*rows, strict=True)]
        try:
            found = await ask("the event", request.app[POOL].fetch(sql.load(stream.name)["known"], *columns))
        except DatabaseAway:
            if not request.app[OUTAGE].away:
                raise  # else it left just now; the replay will keep the first
        else:
            records = {record["place"]: record for record in found}
    return [_verdict_on_known(row, records.get(place)) for place, row in enumerate(rows, 1)]


def _verdict_on_known(row: Row, record: asyncpg.Record | None) -> Verdict:
    reused: StatsError | None = KeyReused(f"this key {REUSED}") if record and not record["same"] else None
    return Verdict("refused" if reused else "known", row, record, reused)
