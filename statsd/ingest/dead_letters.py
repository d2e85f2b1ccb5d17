"""Dead letters: accepted rows that PostgreSQL refused at their replay. Each is kept with the reason, for a retry."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from statsd.database import sql
from statsd.database.pool import Pool
from statsd.stream import Row, Stream

QUERIES = sql.load("dead_letters")
REASON_CHARACTERS = 500

Deliver = Callable[[Sequence[Row]], Awaitable[None]]
"""Stores rows of a stream; rows that PostgreSQL refuses become dead letters."""

log = logging.getLogger("statsd.dead_letters")


async def keep_dead(pool: Pool, id: UUID, stream: str, payload: bytes, error: Exception) -> None:
    """Keep a payload as a dead letter, with the reason; one that is kept already counts a further attempt."""
    state = getattr(error, "sqlstate", None) or ""
    await pool.execute(QUERIES["keep_dead"], id, stream, payload, state, reason(error)[:REASON_CHARACTERS])


def reason(error: BaseException) -> str:
    """Return why a row was refused: the constraint it broke, if there is one, and nothing that a client sent."""
    if rule := getattr(error, "constraint_name", None):
        return f"breaks the rule {rule}"
    return f"refused by PostgreSQL: {error}" if getattr(error, "sqlstate", None) else f"cannot be read: {error!r}"


async def retry(
    pool: Pool, letters: Sequence[asyncpg.Record], streams: Sequence[Stream], deliver: Mapping[str, Deliver]
) -> list[asyncpg.Record]:
    """Deliver letters again, in the order of `streams`, and return those that were stored.

    A stream that others refer to stands before them.
    """
    for stream in streams:
        rows = [_row(stream, letter["id"], letter["payload"]) for letter in letters if letter["stream"] == stream.name]
        await deliver[stream.name](rows)
    records = await pool.fetch(QUERIES["attempts"], [letter["id"] for letter in letters])
    attempts = {record["id"]: record["attempts"] for record in records}
    stored = [letter for letter in letters if attempts.get(letter["id"]) == letter["attempts"]]  # no further attempt
    await pool.execute(QUERIES["drop"], [letter["id"] for letter in stored])
    return stored


async def retry_orphans(pool: Pool, streams: Sequence[Stream], deliver: Mapping[str, Deliver]) -> None:
    """Deliver letters that referred to a missing row (SQLSTATE 23503) again, until none can be stored."""
    while letters := await pool.fetch(QUERIES["orphans"]):
        stored = await retry(pool, letters, streams, deliver)
        if not stored:
            return
        log.warning("%d dead letters were stored: the rows they refer to exist now", len(stored))


def _row(stream: Stream, id: UUID, payload: str) -> Row:
    """The row of a letter: its id, and the other columns as JSON."""
    row: Row = msgspec.convert([str(id), *msgspec.json.decode(payload)], type_of(stream))
    return row


def type_of(stream: Stream) -> Any:
    """Return the type of a stream's rows, for msgspec."""
    return tuple.__class_getitem__(tuple(stream.columns.values()))
