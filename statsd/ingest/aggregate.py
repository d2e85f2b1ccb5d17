"""Folding what our own writer did not: the sweep of rows that other programs inserted, and the rebuild."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import ATTEMPTS, again
from statsd.stream import Stream

SWEEP_ROWS = 10_000  # the limit that stands in every `sweep`
REBUILD_SECONDS = 86_400.0  # asyncpg reads None as the ten seconds of the connection
CLAIM = sql.load("aggregation")["claim"]
EXPIRE = sql.load("bins")["expire"]

log = logging.getLogger("statsd.aggregate")


async def sweep(database: asyncpg.Pool[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record], stream: str) -> int:
    """Fold the rows of a stream that nobody has folded yet, in steps; return how many."""
    statement = sql.load(stream)["sweep"]
    attempts = ATTEMPTS if isinstance(database, asyncpg.Pool) else 1  # a transaction cannot go on after a deadlock
    total = 0
    while True:
        rows: int = await again(partial(database.fetchval, statement), attempts)
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
        await connection.execute(queries["lock"], timeout=REBUILD_SECONDS)
        await sweep(connection, stream)  # what is not folded yet must not be folded again after the rebuild
        await connection.execute(queries["empty"], timeout=REBUILD_SECONDS)
        rows: int = await connection.fetchval(queries["rebuild"], timeout=REBUILD_SECONDS)
    log.info("%s: totals rebuilt from %d rows ", stream, rows)
    return rows


async def prune(pool: asyncpg.Pool[asyncpg.Record], stream: str, days: int) -> int:
    """Delete, in small steps, the raw rows of a stream that came more than `days` days ago; return how many.

    Streams without a `prune` keep theirs. Totals stay, and no rebuild touches them.
    """
    query = sql.load(stream).get("prune")
    if query is None or days == 0:
        return 0
    before = datetime.now(UTC) - timedelta(days=days)
    total = 0
    while rows := await pool.fetchval(query, before):
        total += rows
        metrics.PRUNED.labels(stream).inc(rows)
    return total


async def expire(pool: asyncpg.Pool[asyncpg.Record], stream: str) -> int:
    """Delete, in small steps, the totals of a stream that are too fine to be kept any longer; return how many."""
    total = 0
    for query, *arguments in ((EXPIRE, stream), (sql.load(stream).get("expire"),)):
        while query and (rows := await pool.fetchval(query, *arguments)):
            total += rows
    return total


async def claim(pool: asyncpg.Pool[asyncpg.Record], seconds: float) -> bool:
    """Whether this server does the round of this tick: of all on one database, one does."""
    return await pool.fetchval(CLAIM, seconds) is not None


@dataclass(frozen=True, slots=True)
class Aggregation:
    """The periodic round over all streams, every `seconds`: sweep, prune what is older than `retention_days`, expire.

    Of several servers on one database one does it, and each says that it is done.
    """

    pool: asyncpg.Pool[asyncpg.Record]
    streams: Sequence[Stream]
    seconds: float
    retention_days: int

    async def run(self, swept: Callable[[str], None], done: Callable[[], None]) -> None:
        """Call `swept` for each stream that had rows of other programs, and `done` after each round."""
        while True:
            await asyncio.sleep(self.seconds)
            try:
                claimed = await claim(self.pool, self.seconds)
            except Exception as error:
                log.warning("aggregation waits for the database: %s: %s", type(error).__name__, error)
                continue
            for stream in self.streams if claimed else ():
                try:
                    await self._round(stream.name, swept)
                except Exception as error:  # whatever it was, the next round may succeed; the other streams do now
                    log.warning("%s: aggregation waits: %s: %s", stream.name, type(error).__name__, error)
            done()

    async def _round(self, stream: str, swept: Callable[[str], None]) -> None:
        if rows := await sweep(self.pool, stream):
            log.info("%s: %d rows of other programs folded", stream, rows)
            swept(stream)
        if rows := await prune(self.pool, stream, self.retention_days):
            log.info("%s: %d raw rows older than %d days deleted", stream, rows, self.retention_days)
        await expire(self.pool, stream)
