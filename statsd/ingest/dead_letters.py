"""Rows that were accepted and that PostgreSQL refused at their replay: kept with the reason, and tried again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from statsd.database import sql
from statsd.stream import Row, Stream

QUERIES = sql.load("dead_letters")
REASON_CHARACTERS = 500

Deliver = Callable[[Sequence[Row]], Awaitable[None]]
"""Stores rows of a stream; those that are refused become dead letters."""

log = logging.getLogger("statsd.deadletters")


async def keep_dead(
    pool: asyncpg.Pool[asyncpg.Record], id: UUID, stream: str, payload: bytes, error: Exception
) -> None:
    """Keep what cannot be stored as a dead letter, with what PostgreSQL or we have against it."""
    state = getattr(error, "sqlstate", None) or ""
    await pool.execute(QUERIES["bury"], id, stream, payload, state, reason(error)[:REASON_CHARACTERS])


def reason(error: BaseException) -> str:
    """Why a row was refused, in a sentence that names the rule it broke and repeats nothing a client sent."""
    rule = getattr(error, "constraint_name", None)
    if rule:
        return f"breaks the rule {rule}"
    return f"refused by PostgreSQL: {error}" if getattr(error, "sqlstate", None) else f"cannot be read: {error!r}"


async def retry(
    pool: asyncpg.Pool[asyncpg.Record],
    letters: Sequence[asyncpg.Record],
    streams: Sequence[Stream],
    deliver: Mapping[str, Deliver],
) -> list[asyncpg.Record]:
    """Deliver letters once more, what others refer to first; return those that were not refused again."""
    for stream in streams:
        mine = [one for one in letters if one["stream"] == stream.name]
        await deliver[stream.name]([_row(stream, one["id"], one["payload"]) for one in mine])
    tried = await pool.fetch(QUERIES["attempts"], [one["id"] for one in letters])
    attempts = {one["id"]: one["attempts"] for one in tried}
    done = [one for one in letters if attempts.get(one["id"]) == one["attempts"]]
    await pool.execute(QUERIES["drop"], [one["id"] for one in done])
    return done


async def retry_orphans(
    pool: asyncpg.Pool[asyncpg.Record], streams: Sequence[Stream], deliver: Mapping[str, Deliver]
) -> None:
    """Deliver letters that referred to a row that was not there, for when more rows have come."""
    while letters := await pool.fetch(QUERIES["orphans"]):
        done = await retry(pool, letters, streams, deliver)
        if not done:
            return
        log.warning("%d dead letters were delivered: what they refer to is there now", len(done))


def _row(stream: Stream, id: UUID, payload: str) -> Row:
    """The row of a letter: its id, and the other columns as JSON."""
    row: Row = msgspec.convert([str(id), *msgspec.json.decode(payload)], type_of(stream))
    return row


def type_of(stream: Stream) -> Any:
    """Return the type of a stream's rows, for msgspec."""
    return tuple.__class_getitem__(tuple(stream.columns.values()))
