"""The aggregation: fold rows that other programs inserted, rebuild totals, delete what is too old."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import Pool, again
from statsd.settings import Settings

SWEEP_ROWS = 10_000  # the limit in every `sweep`
REBUILD_SECONDS = 86_400.0  # one day; with None asyncpg uses the connection's ten seconds

log = logging.getLogger("statsd.aggregate")


async def sweep(pool: Pool, stream: str) -> int:
    """Fold the rows of a stream that are not folded yet, 10,000 at a time; return their number."""
    fold = partial(pool.fetchval, sql.load(stream)["sweep"])
    total = 0
    while True:
        rows: int = await again(fold)
        total += rows
        metrics.SWEPT.labels(stream).inc(rows)
        if rows < SWEEP_ROWS:
            return total


async def rebuild(pool: Pool, stream: str) -> int:
    """Rebuild the totals of a stream from its raw rows, in one transaction; return the number of rows.

    Writers wait meanwhile; readers see the old totals until the commit.
    """
    queries = sql.load(stream)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(queries["lock"], timeout=REBUILD_SECONDS)
        while await connection.fetchval(queries["sweep"]) == SWEEP_ROWS:
            pass  # rows left unfolded would be folded again after the rebuild
        await connection.execute(queries["empty"], timeout=REBUILD_SECONDS)
        rows: int = await connection.fetchval(queries["rebuild"], timeout=REBUILD_SECONDS)
    log.info("%s: totals rebuilt from %d rows", stream, rows)
    return rows


async def prune(pool: Pool, stream: str, days: int) -> int:
    """Delete the raw rows of a stream received over `days` days ago, in small steps; return their number.

    A stream without the query `prune` keeps its rows, as `days` = 0 does. The totals stay, and a rebuild keeps them.
    """
    query = sql.load(stream).get("prune")
    before = datetime.now(UTC) - timedelta(days=days)
    total = 0
    while query and days and (rows := await pool.fetchval(query, before)):
        total += rows
        metrics.PRUNED.labels(stream).inc(rows)
    return total


async def expire(pool: Pool, stream: str) -> int:
    """Delete the totals of a stream in time bins past their retention, in small steps; return their number."""
    total = 0
    for query, *arguments in ((sql.load("bins")["expire"], stream), (sql.load(stream).get("expire"),)):
        while query and (rows := await pool.fetchval(query, *arguments)):
            total += rows
    return total


async def claim(pool: Pool, seconds: float) -> bool:
    """Claim this round for this server; return False if a server on the database began one less than `seconds` ago."""
    return await pool.fetchval(sql.load("aggregation")["claim"], seconds) is not None


async def run(
    pool: Pool, streams: Sequence[str], settings: Settings, swept: Callable[[str], None], done: Callable[[], None]
) -> None:
    """Every `aggregate_seconds` sweep and prune all streams and expire their bins, until cancelled.

    Of all servers on one database, one does the round. Call `swept` for each stream that had rows to fold, and `done`
    after each round, also after those of other servers.
    """
    while True:
        await asyncio.sleep(settings.aggregate_seconds)
        try:
            claimed = await claim(pool, settings.aggregate_seconds)
        except Exception as error:
            log.warning("no aggregation, trying again: %s: %s", type(error).__name__, error)
            continue
        for stream in streams if claimed else ():
            try:
                if rows := await sweep(pool, stream):
                    log.info("%s: %d rows of other programs folded", stream, rows)
                    swept(stream)
                if rows := await prune(pool, stream, settings.retention_days):
                    log.info("%s: %d raw rows older than %d days deleted", stream, rows, settings.retention_days)
                await expire(pool, stream)
            except Exception as error:  # the next round may succeed, and the other streams this one
                log.warning("%s: no aggregation, trying again: %s: %s", stream, type(error).__name__, error)
        done()
