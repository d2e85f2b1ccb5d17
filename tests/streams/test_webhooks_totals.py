"""Totals of webhook events: whole bins, exact with any number of types and writers, and never more than is read."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from databases import renamed
from deliveries import EVENT, post, stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recounts import differences

from statsd.database import migrations, sql
from statsd.database.pool import connect, open_pool
from statsd.ingest import aggregate, retention
from statsd.ingest.ids import new_id
from statsd.ingest.writer import Writer
from statsd.stream import Row
from statsd.streams import webhooks
from statsd.streams.webhooks import windows

ROOM = 1_000
TABLES = (
    "bins", "webhook_type_bins", "webhook_names", "webhook_rooms", "webhook_types", "webhook_count",
)  # fmt: skip


async def totals(pool: Any) -> list[Any]:
    return [sorted(map(tuple, await pool.fetch(f"select * from {name}")), key=repr) for name in TABLES]


async def insert(pool: Any, kind: str, number: int, ago: str = "0 seconds") -> None:
    """Insert events as another program would; `kind` is the SQL of the type of the n-th."""
    await pool.execute(f"""
        insert into webhook_events (event_type, user_id, received_at)
        select {kind}, n::text, now() - interval '{ago}' from generate_series(1, {number}) as n
    """)
    await aggregate.sweep(pool, "webhooks")


async def move_clock(connection: Any, moment: datetime) -> None:
    """Let the transaction have its own now(), also in the view that says what is kept."""
    view = await connection.fetchval("select pg_get_viewdef('bin_units')")
    await connection.execute(f"""
        create schema moved;
        create function moved.now() returns timestamptz language sql stable as $$ select '{moment}'::timestamptz $$;
        set local search_path = moved, public, pg_catalog;
        create view bin_units as {view}
    """)


def rows(kinds: list[str]) -> list[Row]:
    return [webhooks.event.row(webhooks.event.WebhookEvent(eventType=kind, userId="1"), new_id()) for kind in kinds]


@asynccontextmanager
async def writing(pool: Any) -> AsyncIterator[Writer]:
    writer = Writer(webhooks.STREAM, pool)
    task = asyncio.create_task(writer.run())
    yield writer
    writer.stop()
    await task


# Bins


UTC_YEARS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
DST_CHANGES = st.sampled_from([
    datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC),  # New York
    datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC),  # Berlin
])  # fmt: skip
MOMENTS = st.one_of(
    UTC_YEARS, st.builds(lambda at, s: at + timedelta(seconds=s), DST_CHANGES, st.integers(0, 8 * 86_400))
)
AGES = st.lists(
    st.one_of(st.integers(-90, 8 * 86_400), st.sampled_from([3_540, 3_600, 82_800, 86_400, 518_400, 604_800]))
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(now=MOMENTS, ages=AGES, zone=st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata"]))
def test_windows_have_exactly_their_bins_at_any_moment_in_any_zone(
    server_dsn: str, template: str, now: datetime, ages: list[int], zone: str
) -> None:
    """Over a change to or from daylight-saving time, in the first partial bin, and from a clock that is ahead."""

    async def check() -> None:
        dsn = renamed(server_dsn, template)
        connection: Any = await connect(dsn, timezone=zone)
        try:
            transaction = connection.transaction()
            await transaction.start()
            await move_clock(connection, now)
            received = [now - timedelta(seconds=age) for age in ages]
            await connection.executemany(
                "insert into webhook_events (event_type, user_id, received_at) values ('x', '1', $1)",
                [(at,) for at in received],
            )
            await aggregate.sweep(connection, "webhooks")
            payload = msgspec.json.decode(await connection.fetchval(sql.load("webhooks")["snapshot"], now))
            for name, bins, step in (("hour", 60, "minutes"), ("day", 24, "hours"), ("week", 7, "days")):
                rows = payload["segmentedData"][name]
                began = windows.start(name, now)
                expected = [began + timedelta(**{step: number}) for number in range(bins)]
                assert [datetime.fromisoformat(row["timestamp"]) for row in rows] == expected
                counted = Counter(
                    max((start for start in expected if start <= at), default=None) for at in received if at >= began
                )
                assert [row["count"] for row in rows] == [counted[start] for start in expected]
            await transaction.rollback()
        finally:
            await connection.close()

    asyncio.run(check())


async def prune(pool: Any, days: int) -> int:
    counts = await retention.prune(pool, "webhooks", retention.first_day(days))
    return counts["webhook_events"]


async def test_retention_deletes_raw_rows_and_keeps_totals(client: Any, pool: Any) -> None:
    """Also through a rebuild, which leaves days alone whose rows are gone, and sums over all time with them."""
    await pool.execute("""
        insert into webhook_events (event_type, user_id, received_at)
        select 'type-' || n % 3, n::text, now() - n * interval '1 day' from generate_series(1, 10) as n
    """)
    await aggregate.sweep(pool, "webhooks")
    await post(client, [EVENT] * 4)
    before = await totals(pool)
    assert await differences(pool, "webhooks") == []
    assert await prune(pool, 5) in (5, 6)
    assert await totals(pool) == before
    assert await aggregate.rebuild(pool, "webhooks") in (8, 9)
    assert await totals(pool) == before
    assert await prune(pool, 1) > 0
    await aggregate.rebuild(pool, "webhooks")
    assert await totals(pool) == before


async def test_minutes_and_hours_that_no_window_reaches_are_deleted_and_stay_away(client: Any, pool: Any) -> None:
    for ago in ("0 seconds", "50 minutes", "5 hours", "6 days", "30 days"):
        await insert(pool, "'log'", 3, ago)
    await pool.execute("""
        insert into bins
        select 'webhooks', 'minute', now() - n * interval '4 hours', 1 from generate_series(1, 6000) as n;
        insert into webhook_type_bins
        select 'hour', now() - n * interval '3 days', 'x', 1 from generate_series(1, 9) as n
    """)
    assert await aggregate.expire(pool, "webhooks") == 6_009
    assert await aggregate.expire(pool, "webhooks") == 0
    before = await totals(pool)
    assert await differences(pool, "webhooks") == []
    assert await aggregate.rebuild(pool, "webhooks") == 15
    assert await totals(pool) == before
    assert await aggregate.expire(pool, "webhooks") == 0
    assert await pool.fetchval("select sum(count)::int from bins where unit = 'day'") == 15


# Types


async def test_a_flood_of_types_leaves_totals_exact_and_says_what_has_no_name(client: Any, pool: Any) -> None:
    await post(client, [EVENT] * 4)
    await insert(pool, "'order-' || n", 3_000)
    await post(client, [EVENT, {**EVENT, "eventType": "order-1"}, {**EVENT, "eventType": "one more"}])
    for name in windows.NAMES:
        found = await stats(client, name)
        assert (found["totalEvents"], found["otherEvents"]) == (3_007, 2_002)
        assert len(found["statistics"]) == ROOM
        assert sum(found["statistics"].values()) == 1_005
        assert list(found["statistics"].items())[:2] == [("page_view", 5), ("order-1", 2)]
    frame = await (await client.get("/webhooks")).json()
    assert frame["topEventTypes"][0] == {"type": "page_view", "count": 5, "percentage": 0.17}
    before = await totals(pool)
    assert await differences(pool, "webhooks") == []
    await aggregate.rebuild(pool, "webhooks")
    assert await totals(pool) == before


async def test_writers_at_once_agree_on_the_types_that_have_a_name(pool: Any, database_url: str) -> None:
    """Two writers, an outside program and a sweeper race for the room of the day; nobody is counted here and there."""
    async with await open_pool(database_url) as other, writing(pool) as one, writing(other) as two:

        async def store(writer: Writer, first: int) -> None:
            for step in range(30):
                await writer.store(
                    rows([f"order-{number}" for number in range(first + 40 * step, first + 40 * step + 90)])
                )

        async def strangers() -> None:
            for step in range(5):
                await insert(other, f"'order-' || {300 * step} + n", 600)

        await asyncio.gather(store(one, 0), store(two, 20), store(one, 400), store(two, 410), strangers())
    assert await pool.fetchval("select count(*) from webhook_names") == ROOM
    assert await pool.fetchval("select sum(names)::int from webhook_rooms") == ROOM
    before = await totals(pool)
    assert await differences(pool, "webhooks") == []
    assert await aggregate.rebuild(pool, "webhooks") == 4 * 30 * 90 + 5 * 600
    assert await totals(pool) == before


async def test_a_day_begins_with_the_largest_types_of_the_one_before(client: Any, pool: Any) -> None:
    await insert(pool, "'refund'", 20, "3 days")
    await insert(pool, "'order-' || n", 2_000, "3 days")
    await insert(pool, "'invoice-' || n", 2_000, "1 day")
    await post(client, {**EVENT, "eventType": "refund"})
    found = await stats(client)
    assert found == {"totalEvents": 1, "invalidEvents": 0, "statistics": {"refund": 1}, "filter": "hour"}
    assert (await stats(client, "week"))["statistics"]["refund"] == 21


async def test_what_is_read_does_not_grow_with_the_types(pool: Any) -> None:
    for step in range(3):
        await insert(pool, f"'order-' || {10_000 * step} + n", 10_000)
    await pool.execute("analyze")
    queries = sql.load("webhooks")
    asked = {"snapshot": ["now()"], "statistics": ["'hour'", "now() - interval '59 minutes'"]}
    for name, literals in asked.items():
        query = queries[name]
        for number, literal in enumerate(literals, 1):
            query = query.replace(f"${number}", f"({literal})")
        plan = json.loads(await pool.fetchval(f"explain (analyze, format json) {query}"))[0]["Plan"]
        assert sum(_read(plan)) <= 4 * ROOM, name


def _read(plan: dict[str, Any]) -> list[int]:
    """How many rows each scan of a table came by."""
    own = [plan["Actual Rows"] * plan["Actual Loops"]] if "Relation Name" in plan else []
    return own + [number for child in plan.get("Plans", []) for number in _read(child)]


async def test_totals_of_the_version_before_become_those_of_this_one(
    server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations.migrations()
    connection = await asyncpg.connect(server_dsn)
    await connection.execute("create database before_webhook_bins")
    dsn = renamed(server_dsn, "before_webhook_bins")
    monkeypatch.setattr(migrations, "migrations", lambda: every[:7])
    await migrations.migrate(dsn)
    async with await open_pool(dsn) as pool:
        await pool.execute("""
            insert into webhook_events (event_type, user_id, received_at, folded)
            select case when n % 2 = 0 then 'log' else 'order-' || n end, '1', now() - n * interval '1 minute', true
            from generate_series(1, 6000) as n;
            insert into webhook_minutes
            select date_trunc('minute', received_at, 'UTC'), event_type, count(*) from webhook_events group by 1, 2;
            insert into webhook_hours
            select date_trunc('hour', received_at, 'UTC'), event_type, count(*) from webhook_events group by 1, 2;
            insert into webhook_days
            select (received_at at time zone 'UTC')::date, event_type, count(*) from webhook_events group by 1, 2;
            insert into webhook_types select event_type, count(*) from webhook_events group by 1;
            insert into webhook_count (events) select count(*) from webhook_events
        """)
        monkeypatch.setattr(migrations, "migrations", lambda: every)
        assert await migrations.migrate(dsn)
        await aggregate.expire(pool, "webhooks")
        before = await totals(pool)
        assert await differences(pool, "webhooks") == []
        assert await aggregate.rebuild(pool, "webhooks") == 6_000
        assert await totals(pool) == before
    await connection.execute("drop database before_webhook_bins with (force)")
    await connection.close()
