"""Events that came over HTTP, one or many, into the writer: each once, and every one hears what became of it.

A key that was used before means the same event again, or a mistake: the stream's query `known` tells which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.errors import BadRequest, DatabaseAway, InvalidEvent, KeyReused, StatsError
from statsd.ingest.outage import OUTAGE
from statsd.ingest.writer import WRITERS, Outcome
from statsd.stream import Row, Stream

KEY_CHARACTERS = 255
REUSED = "was used with another event: use a new one for a new event"

Found = Mapping[UUID, asyncpg.Record]
"""What the query `known` says of events that were stored before, by id: whatever a stream wants to know of them."""


def idempotency_key(request: web.Request, name: str = "Idempotency-Key") -> str | None:
    """Return the key in the header `name`, if there is one.

    Raises BadRequest (400) for an empty or too long one, and for characters that are not ASCII: in a header, programs
    and proxies read those differently (RFC 9110 §5.5).
    """
    key = request.headers.get(name)
    if key is not None and not (1 <= len(key) <= KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise BadRequest(400, f"{name}: must have 1 to {KEY_CHARACTERS} printable ASCII characters")
    return key


async def one(request: web.Request, stream: Stream, row: Row) -> tuple[Outcome, asyncpg.Record | None]:
    """Store an event; return what became of it and, where it was known, what `known` says of it.

    Raises what kept it from being stored: InvalidEvent, Overloaded, DatabaseAway, KeyReused.
    """
    (outcome,) = await request.app[WRITERS][stream.name].store((row,))
    if isinstance(outcome, StatsError):
        raise outcome
    if outcome is not None:
        return outcome, None
    return None, (await known(request, stream, [row], raising=True))[0]


async def many(
    request: web.Request, stream: Stream, given: Sequence[Row | InvalidEvent]
) -> tuple[list[Outcome], Found]:
    """Store those that are right; return at each index what became of it (KeyReused among them), and what was known.

    Raises InvalidEvent for an empty batch, Overloaded and DatabaseAway where some were not stored: under the same keys
    the whole batch may come again.
    """
    if not given:
        raise InvalidEvent(["the batch must hold at least one event"])
    rows = [one for one in given if not isinstance(one, InvalidEvent)]
    stored = await request.app[WRITERS][stream.name].store(rows) if rows else []
    for outcome in stored:
        if isinstance(outcome, StatsError) and not isinstance(outcome, InvalidEvent):
            raise outcome
    repeats = [row for row, outcome in zip(rows, stored, strict=True) if outcome is None]
    records = await known(request, stream, repeats)
    # Of two rows with one id each has its own verdict: the first may be a repeat, and the second another event.
    verdicts = iter(KeyReused(f"this key {REUSED}") if record and not record["same"] else None for record in records)
    outcomes = iter(next(verdicts) if outcome is None else outcome for outcome in stored)
    found = {record["id"]: record for record in records if record}
    return [one if isinstance(one, InvalidEvent) else next(outcomes) for one in given], found


async def known(
    request: web.Request, stream: Stream, rows: Sequence[Row], raising: bool = False
) -> Sequence[asyncpg.Record | None]:
    """Ask which of the rows are stored, and whether as they are here: what `known` says of each, or None.

    None of all while the database is away. Raises DatabaseAway, and with `raising` KeyReused where one is stored as
    something else.
    """
    nothing = [None] * len(rows)
    if not rows or request.app[OUTAGE].away:
        return nothing
    columns = [list(column) for column in zip(*rows, strict=True)]
    try:
        records = await ask("the event", request.app[POOL].fetch(sql.load(stream.name)["known"], *columns))
    except DatabaseAway:
        if request.app[OUTAGE].away:
            return nothing  # it left just now; the replay will keep the first
        raise
    if raising and not all(record["same"] for record in records):
        raise KeyReused(f"this key {REUSED}")
    by_place = {record["place"]: record for record in records}
    return [by_place.get(place) for place in range(1, len(rows) + 1)]
