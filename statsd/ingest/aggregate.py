"""The aggregation: fold rows that other programs inserted, rebuild totals, have deleted what is too old."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import Pool, again, cause
from statsd.ingest import retention
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

    What rows that the retention deleted had added stays.

    Writers wait meanwhile; readers see the old totals until the commit.
    """
    await retention.finish(pool, stream)
    queries = sql.load(stream)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(queries["lock"], timeout=REBUILD_SECONDS)
        while await connection.fetchval(queries["sweep"]) == SWEEP_ROWS:
            pass  # rows left unfolded would be folded again after the rebuild
        await connection.execute(queries["empty"], timeout=REBUILD_SECONDS)
        if refill := queries.get("refill"):
            await connection.execute(refill, timeout=REBUILD_SECONDS)
        rows: int = await connection.fetchval(queries["rebuild"], timeout=REBUILD_SECONDS)
    log.info("%s: totals rebuilt from %d rows", stream, rows)
    return rows


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
            if claimed:
                await pool.execute(sql.load("throttle")["expire"])
        except Exception as error:
            log.warning("no aggregation, trying again: the database %s (%r)", cause(error), error)
            continue
        for stream in streams if claimed else ():
            try:
                if rows := await sweep(pool, stream):
                    log.info("%s: %d rows of other programs folded", stream, rows)
                    swept(stream)
                await retention.keep_to(pool, stream, settings)
                await expire(pool, stream)
            except Exception as error:  # the next round may succeed, and the other streams this one
                words = "%s: no aggregation, trying again: the database %s (%r)"
                log.warning(words, stream, cause(error), error)
        done()
