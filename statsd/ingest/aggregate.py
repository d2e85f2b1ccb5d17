"""The aggregation: fold rows that other programs inserted, rebuild totals, delete what is too old."""

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

SWEEP_ROWS = 10_000  # the limit in every `sweep`
REBUILD_SECONDS = 86_400.0  # one day; with None asyncpg uses the connection's ten seconds
CLAIM = sql.load("aggregation")["claim"]
EXPIRE = sql.load("bins")["expire"]

log = logging.getLogger("statsd.aggregate")


async def sweep(database: asyncpg.Pool[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record], stream: str) -> int:
    """Fold the rows of a stream that are not folded yet, 10,000 at a time; return their number."""
    statement = sql.load(stream)["sweep"]
    attempts = ATTEMPTS if isinstance(database, asyncpg.Pool) else 1  # after a deadlock a transaction cannot continue
    total = 0
    while True:
        rows: int = await again(partial(database.fetchval, statement), attempts)
        total += rows
        metrics.SWEPT.labels(stream).inc(rows)
        if rows < SWEEP_ROWS:
            return total


async def rebuild(pool: asyncpg.Pool[asyncpg.Record], stream: str) -> int:
    """Rebuild the totals of a stream from its raw rows, in one transaction; return the number of rows.

    Writers wait meanwhile; readers see the old totals until the commit.
    """
    queries = sql.load(stream)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(queries["lock"], timeout=REBUILD_SECONDS)
        await sweep(connection, stream)  # else these rows would be folded again after the rebuild
        await connection.execute(queries["empty"], timeout=REBUILD_SECONDS)
        rows: int = await connection.fetchval(queries["rebuild"], timeout=REBUILD_SECONDS)
    log.info("%s: totals rebuilt from %d rows", stream, rows)
    return rows


async def prune(pool: asyncpg.Pool[asyncpg.Record], stream: str, days: int) -> int:
    """Delete the raw rows of a stream received over `days` days ago, in small steps; return their number.

    A stream without the query `prune` keeps its rows, as `days` = 0 does. The totals stay, and a rebuild keeps them.
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
    """Delete the totals of a stream in time bins past their retention, in small steps; return their number."""
    total = 0
    for query, *arguments in ((EXPIRE, stream), (sql.load(stream).get("expire"),)):
        while query and (rows := await pool.fetchval(query, *arguments)):
            total += rows
    return total


async def claim(pool: asyncpg.Pool[asyncpg.Record], seconds: float) -> bool:
    """Claim this round for this server; return False if a server on the database began one less than `seconds` ago."""
    return await pool.fetchval(CLAIM, seconds) is not None


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A round over all streams every `seconds`: sweep, prune rows older than `retention_days`, expire bins.

    Of all servers on one database, one does the round. Each calls `done` after it.
    """

    pool: asyncpg.Pool[asyncpg.Record]
    streams: Sequence[Stream]
    seconds: float
    retention_days: int

    async def run(self, swept: Callable[[str], None], done: Callable[[], None]) -> None:
        """Run until cancelled. Call `swept` for each stream that had rows to fold, and `done` after each round."""
        while True:
            await asyncio.sleep(self.seconds)
            try:
                claimed = await claim(self.pool, self.seconds)
            except Exception as error:
                log.warning("no aggregation, trying again: %s: %s", type(error).__name__, error)
                continue
            for stream in self.streams if claimed else ():
                try:
                    await self._round(stream.name, swept)
                except Exception as error:  # the next round may succeed, and the other streams this one
                    log.warning("%s: no aggregation, trying again: %s: %s", stream.name, type(error).__name__, error)
            done()

    async def _round(self, stream: str, swept: Callable[[str], None]) -> None:
        if rows := await sweep(self.pool, stream):
            log.info("%s: %d rows of other programs folded", stream, rows)
            swept(stream)
        if rows := await prune(self.pool, stream, self.retention_days):
            log.info("%s: %d raw rows older than %d days deleted", stream, rows, self.retention_days)
        await expire(self.pool, stream)
