"""Retention: raw rows and the people in totals go when they are too old; counts stay.

Days are whole UTC days, of the receipt of logins, webhook events and page views, and of the clicks and transfers
themselves. What a deleted row had added to the totals is kept apart, so that totals equal a recount of the rows that
are left. Each step is one small statement, complete by itself: ingest goes on, and a stop in between loses nothing.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import Pool, again
from statsd.settings import Settings

QUERIES = sql.load("retention")
SHARE_SECONDS = 2.0  # of a stream in each round of the aggregation: rows of other programs wait meanwhile
COUNT_SECONDS = 3_600.0

Counts = dict[str, int]
"""Numbers of rows by table."""

log = logging.getLogger("statsd.retention")


def first_day(days: int, now: datetime | None = None) -> date:
    """Return the first day that is kept, where `days` are kept beside the current one."""
    return (now or datetime.now(UTC)).astimezone(UTC).date() - timedelta(days=days)


def has_retention(stream: str) -> bool:
    """Whether rows of the stream are ever deleted. Items are not: they are what transfers refer to."""
    return "prune" in sql.load(stream)


async def overdue(pool: Pool, stream: str, kept_from: date) -> Counts:
    """Return what `prune` would delete, by table."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute("set local statement_timeout = 0")
        (row,) = await connection.fetch(sql.load(stream)["overdue"], kept_from, timeout=COUNT_SECONDS)
    return dict(row)


async def prune(
    pool: Pool,
    stream: str,
    kept_from: date,
    seconds: float = float("inf"),
    shown: Callable[[int], None] = lambda total: None,
) -> Counts:
    """Delete what is older than the day `kept_from`; return the numbers of deleted rows by table.

    Stops after about `seconds`; the next call goes on. `shown` is called with the number of rows so far.
    """
    end = time.monotonic() + seconds
    counts: Counts = {}
    await pool.execute(QUERIES["set_mark"], stream, kept_from, False)
    for step in (_prune_step, _forget_step):
        position: Any = None
        while True:
            more, position = await step(pool, stream, kept_from, position, counts)
            shown(sum(counts.values()))
            if not more:
                break
            if time.monotonic() >= end:
                return counts
    await pool.execute(QUERIES["set_mark"], stream, kept_from, True)
    return counts


async def _prune_step(pool: Pool, stream: str, kept_from: date, since: Any, counts: Counts) -> tuple[bool, Any]:
    """Delete some raw rows. Return whether there may be more, and the time of the last one (None: begin anew)."""
    (row,) = await again(partial(pool.fetch, sql.load(stream)["prune"], kept_from, since))
    table = sql.table(stream)
    counts[table] = counts.get(table, 0) + row["deleted"]
    metrics.PRUNED.labels(stream).inc(row["deleted"])
    return row["deleted"] > 0, row["reached"]


async def _forget_step(pool: Pool, stream: str, kept_from: date, after: Any, counts: Counts) -> tuple[bool, Any]:
    """Delete some rows of the totals that hold people. Return whether there may be more, and how far it got."""
    query = sql.load(stream).get("forget")
    if query is None:
        return False, None
    (row,) = await again(partial(pool.fetch, query, kept_from, after))
    for table, number in row.items():
        if table != "reached":
            counts[table] = counts.get(table, 0) + number
    return row["reached"] is not None, row["reached"]


async def keep_to(pool: Pool, stream: str, settings: Settings) -> None:
    """Do a share of what the settings ask for, unless it is done for today."""
    days = settings.retention(stream)
    if not days or not has_retention(stream):
        return
    kept_from = first_day(days)
    mark = await pool.fetchrow(QUERIES["mark"], stream)
    if mark and mark["finished"] and mark["kept_from"] >= kept_from:
        return
    counts = await prune(pool, stream, kept_from, SHARE_SECONDS)
    if any(counts.values()):
        log.info("%s: deleted what is older than %d days: %s", stream, days, worded(counts))


async def finish(pool: Pool, stream: str) -> None:
    """Finish what was begun: a rebuild counts anew only what is left."""
    mark = await pool.fetchrow(QUERIES["mark"], stream)
    if mark and not mark["finished"]:
        await prune(pool, stream, mark["kept_from"])


def worded(counts: Counts) -> str:
    """Return the counts as text, such as "120 page_events, 7 page_visitors"."""
    return ", ".join(f"{number} {table}" for table, number in counts.items())
