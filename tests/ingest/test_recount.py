"""The recount: it finds a wrong total in every totals table of every stream, and nothing while totals are right."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from recounts import differences

from statsd.database import sql
from statsd.ingest import generator, ids, recount, retention
from statsd.ingest.writer import Writer
from statsd.stream import Stream
from statsd.streams import STREAMS

TOTALS = {
    "logins": (
        "login_days",
        "login_devices",
        "login_regions",
        "login_browsers",
        "login_hours",
        "login_durations",
        "login_minutes",
        "login_spans",
        "login_device_users",
        "login_users",
        "login_user_count",
        "login_rooms",
    ),
    "webhooks": ("bins", "webhook_type_bins", "webhook_types", "webhook_count", "webhook_rooms"),
    "usage": ("usage_bins", "usage_days", "usage_features"),
    "items": ("bins",),
    "transfers": ("bins", "items"),
    "pageviews": ("page_days", "page_paths", "page_user_days", "page_visitors", "page_returns"),
}
NOT_TOTALS = {
    "webhook_names",  # chosen in the order of arrival; what follows from them is recounted
    "webhook_refusals",  # there are no raw rows behind it
    "login_names",  # likewise
    *("webhook_pruned_days", "page_pruned_days", "login_throttles", "login_addresses"),
}
PREFIXES = ("bins", "login_", "webhook_", "usage_", "page_")
each_stream = pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
each_table = pytest.mark.parametrize(("name", "table"), [(name, table) for name in TOTALS for table in TOTALS[name]])


async def fill(pool: Any, *streams: Stream, rows: int = 300) -> None:
    for stream in streams:
        await generator.store_fixtures(pool, stream)
        rng = random.Random(1)
        writer = Writer(stream, pool)
        task = asyncio.create_task(writer.run())
        await writer.store([stream.row(stream.sample(rng), ids.new_id()) for _ in range(rows)])
        writer.stop()
        await task


def named(name: str) -> Stream:
    return next(stream for stream in STREAMS if stream.name == name)


async def test_every_totals_table_is_recounted(pool: Any) -> None:
    tables = await pool.fetch("select relname from pg_class where relkind = 'r'")
    totals = {row["relname"] for row in tables if row["relname"].startswith(PREFIXES)}
    raw = {sql.table(stream.name) for stream in STREAMS}
    assert totals - raw - NOT_TOTALS == {table for tables in TOTALS.values() for table in tables} - {"items"}


@each_stream
async def test_right_totals_have_no_differences(stream: Stream, pool: Any) -> None:
    await fill(pool, stream)
    assert await differences(pool, stream.name) == []
    async with pool.acquire() as connection:
        days = await recount.days(connection, stream.name)
        assert days
        assert await recount.differences(connection, stream.name, days) == []


@each_table
async def test_changed_or_missing_total_is_found(name: str, table: str, pool: Any) -> None:
    """In every table, and in every column that counts."""
    await fill(pool, *(stream for stream in STREAMS if stream.name in (name, "items")))
    async with pool.acquire() as connection:
        changes = await doctored(connection, name, table)
        assert changes
        for change in changes:
            transaction = connection.transaction()
            await transaction.start()
            assert await connection.execute(change) in ("UPDATE 1", "DELETE 1")
            found = await recount.differences(connection, name)
            await transaction.rollback()
            assert {difference.table for difference in found} >= {table}, change
        assert await recount.differences(connection, name) == []


async def doctored(connection: Any, name: str, table: str) -> list[str]:
    """Return statements that each make one row of a totals table wrong."""
    columns = await connection.fetch(
        """
        select attname as name, atttypid::regtype::text as type
        from pg_attribute
        where attrelid = $1::regclass and attnum > 0
            and attname not in ('base_item_id', 'created_at', 'folded')
            and not exists (
                select from pg_index where indrelid = attrelid and indisprimary and attnum = any (indkey)
            )
        """,
        table,
    )
    row = f"ctid = (select max(ctid) from {table} {WHERE.get(table, '')})".replace(":name", name)
    updates = [f"update {table} set {c['name']} = {WRONG[c['type']].format(c['name'])} where {row}" for c in columns]
    return updates if table == "items" else [*updates, f"delete from {table} where {row}"]


WHERE = {"bins": "where stream = ':name'", "items": "where owner_id is not null"}
WRONG = {
    "bigint": "{} + 1",
    "integer": "{} + 1",
    "timestamp with time zone": "{} + interval '1 second'",
    "uuid": "null",
    "date": "{} - 1",
    "datemultirange": "'{{}}'",
}


@pytest.mark.parametrize("name", [stream.name for stream in STREAMS])
async def test_total_of_a_day_is_found_on_its_day_alone(name: str, pool: Any) -> None:
    await fill(pool, *(stream for stream in STREAMS if stream.name in (name, "items")))
    async with pool.acquire() as connection:
        day, *others = await recount.days(connection, name)
        table = {"logins": "login_days", "usage": "usage_days", "pageviews": "page_days"}.get(name, "bins")
        begins = {"bins": f"stream = '{name}' and unit = 'day' and bin"}.get(table, "day")
        await connection.execute(f"delete from {table} where {begins} = $1", moment(day) if table == "bins" else day)
        assert {found.table for found in await recount.differences(connection, name, [day])} == {table}
        assert await recount.differences(connection, name, others) == []


def moment(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def test_rows_that_are_not_folded_do_not_count_yet(pool: Any) -> None:
    await fill(pool, named("logins"))
    await pool.execute("""
        insert into user_logins (user_id, ip_address, region, device_type, browser)
        values (1, '203.0.113.7', 'Estonia', 'Mobile', 'Firefox')
    """)
    assert await differences(pool, "logins") == []


@pytest.mark.parametrize("name", ["webhooks", "pageviews"])
async def test_days_whose_rows_were_pruned_are_left_out(name: str, pool: Any) -> None:
    await fill(pool, named(name))
    raw = sql.table(name)
    counts = await retention.prune(pool, name, datetime.now(UTC).date() + timedelta(days=1))
    assert counts[raw] == 300
    assert await differences(pool, name) == []
    await pool.execute(f"delete from {name.rstrip('s').removesuffix('view')}_pruned_days")
    assert await differences(pool, name)
    assert await pool.fetchval(f"select count(*) from {raw}") == 0


@each_stream
async def test_recount_is_exact_while_rows_are_stored(stream: Stream, pool: Any) -> None:
    async def store() -> None:
        for _ in range(4):
            await fill(pool, stream)

    await fill(pool, stream)
    storing = asyncio.gather(store(), store())
    recounts = 0
    while not storing.done():
        assert await differences(pool, stream.name) == []
        recounts += 1
    await storing
    assert recounts > 1
