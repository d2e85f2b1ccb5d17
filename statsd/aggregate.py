"""Folding what our own writer did not: the sweep of rows that other programs inserted, and the rebuild."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from statsd import metrics, sql
from statsd.stream import Stream

SWEEP_ROWS = 10_000  # the limit that stands in every `sweep`
COUNT = "select count(*) from fresh"


log = logging.getLogger("statsd.aggregate")


async def sweep(database: asyncpg.Pool[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record], stream: str) -> int:
    """Fold the rows of a stream that nobody has folded yet, in steps; return how many."""
    queries = sql.load(stream)
    statement = f"{queries['sweep']}\n{queries['fold']}\n{COUNT}"
    total = 0
    while True:
        rows: int = await database.fetchval(statement)
        total += rows
        metrics.SWEPT.labels(stream).inc(rows)
        if rows < SWEEP_ROWS:
            return total


async def rebuild(pool: asyncpg.Pool[asyncpg.Record], stream: str) -> int:
    """Make the totals of a stream anew from its raw rows, in one transaction; return how many rows they hold.

    Writers wait meanwhile; readers see the old totals until the new ones are committed.
    """
    queries = sql.load(stream)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(queries["lock"])
        await sweep(connection, stream)  # what is not folded yet must not be folded again after the rebuild
        await connection.execute(queries["empty"], timeout=None)
        rows: int = await connection.fetchval(f"{queries['rebuild']}\n{queries['fold']}\n{COUNT}", timeout=None)
    log.info("%s: totals rebuilt from %d rows ", stream, rows)
    return rows


async def run(
    pool: asyncpg.Pool[asyncpg.Record],
    streams: Sequence[Stream],
    seconds: float,
    swept: Callable[[str], None],
    done: Callable[[], None],
) -> None:
    """Sweep every stream every `seconds`; call `swept` for each that had rows, and `done` after each round."""
    while True:
        await asyncio.sleep(seconds)
        try:
            for stream in streams:
                if rows := await sweep(pool, stream.name):
                    log.info("%s: %d rows of other programs folded", stream.name, rows)
                    swept(stream.name)
        except Exception as error:  # whatever it was, the next round may succeed, and nothing is lost meanwhile
            log.warning("aggregation waits for the database: %s: %s", type(error).__name__, error)
        else:
            done()
