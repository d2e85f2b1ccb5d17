"""Unique users of a span: exact in whatever order days become known, and read without reading users."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from databases import renamed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recounts import differences

from statsd.database import migrations, sql
from statsd.database.pool import open_pool
from statsd.ingest import aggregate, retention
from statsd.ingest.ids import new_id

FIRST = date(2025, 11, 20)
DAYS = 110  # parts of five months, three of them whole
QUERIES = sql.load("pageviews")
Visit = tuple[str, int]
"""A user, and the day of the visit counted from FIRST."""


def columns(visits: Iterable[Visit]) -> list[list[Any]]:
    noon = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC)
    rows = [(new_id(), "shop", "page_view", "/", user, noon + timedelta(days=day)) for user, day in visits]
    return [list(column) for column in zip(*rows, strict=True)]


async def insert_outside(pool: Any, visits: Iterable[Visit]) -> None:
    """Insert visits as another program would."""
    await pool.execute(
        """
        insert into page_events (id, site_id, event_type, path, user_id, "timestamp")
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
        """,
        *columns(visits),
    )


async def unique_users(pool: Any, first: int, last: int) -> int:
    span = (FIRST + timedelta(days=first), FIRST + timedelta(days=last))
    users: int = (await pool.fetchrow(QUERIES["report"], "shop", *span, 10))["unique_users"]
    return users


async def totals(pool: Any) -> list[Any]:
    """Every total that a report of a span is made of. A count of zero says the same as no row."""
    tables = ("page_days", "page_user_days", "page_visitors", "page_returns where users <> 0")
    return [sorted(map(tuple, await pool.fetch(f"select * from {table}")), key=repr) for table in tables]


USERS = st.sampled_from(["ada", "bo", "chidi"])
EDGES = st.sampled_from([0, 10, 11, 12, 41, 42, 72, 73, 100, 101, 109])  # also first and last days of months
VISITS = st.tuples(USERS, st.one_of(st.integers(0, DAYS - 1), EDGES))
BATCHES = st.lists(st.tuples(st.booleans(), st.lists(VISITS, min_size=1, max_size=8)), max_size=6)
SPANS = st.lists(st.tuples(EDGES | st.integers(0, DAYS - 1), EDGES | st.integers(0, DAYS - 1)), min_size=5, max_size=20)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=BATCHES,
    spans=SPANS,
    pruned=st.sets(st.integers(0, DAYS - 1) | EDGES, max_size=3),
    forgotten=st.lists(st.integers(0, DAYS - 1) | EDGES, max_size=3),
)
async def test_any_span_equals_a_direct_count(
    pool: Any,
    batches: list[tuple[bool, list[Visit]]],
    spans: list[tuple[int, int]],
    pruned: set[int],
    forgotten: list[int],
) -> None:
    """With days in any order, of our own events and of others. Also through rebuilds after some days were pruned, and
    after the users of all days before another were forgotten.
    """
    await pool.execute("""
        truncate page_events, page_days, page_paths, page_user_days, page_visitors, page_returns, page_pruned_days,
            pruned_page_returns, retention_marks
    """)
    visits: set[Visit] = set()

    async def check() -> None:
        for first, last in map(sorted, spans):
            assert await unique_users(pool, first, last) == len({user for user, day in visits if first <= day <= last})

    for outside, batch in batches:
        if outside:
            await insert_outside(pool, batch)
            await aggregate.sweep(pool, "pageviews")
        else:
            await pool.fetch(QUERIES["insert"], *columns(batch))
        visits.update(batch)
        await check()
    before = await totals(pool)
    assert await differences(pool, "pageviews") == []
    await aggregate.rebuild(pool, "pageviews")
    assert await totals(pool) == before
    for day in pruned:
        await pool.execute(
            """update page_events set created_at = '2025-11-01T00:00:00Z' where "timestamp"::date = $1""",
            FIRST + timedelta(days=day),
        )
    await retention.prune(pool, "pageviews", FIRST)
    await aggregate.rebuild(pool, "pageviews")
    assert await totals(pool) == before
    assert await differences(pool, "pageviews") == []
    await check()
    await pool.execute("""update page_events set created_at = "timestamp" """)
    numbers = before[0], before[3]
    for day in forgotten:
        kept_from = FIRST + timedelta(days=day)
        await retention.prune(pool, "pageviews", kept_from)
        for _ in range(2):
            days, user_days, visitors, returns = await totals(pool)
            assert (days, returns) == numbers
            assert all(user_day >= kept_from for _, user_day, _ in user_days)
            assert {user for _, _, user in user_days} == {user for _, user, _ in visitors}
            assert await differences(pool, "pageviews") == []
            await check()
            await aggregate.rebuild(pool, "pageviews")


async def test_writers_that_add_days_of_the_same_users_at_once_stay_exact(pool: Any, database_url: str) -> None:
    """Four writers, a sweeper and an outside program, all days in random order; a rebuild in the middle of it."""
    rng = random.Random(11)
    visits = [(f"user-{user}", day) for user in range(40) for day in range(DAYS) if rng.random() < 0.5]
    rng.shuffle(visits)
    shares = [visits[start::5] for start in range(5)]

    async with await open_pool(database_url) as other:

        async def store(share: list[Visit]) -> None:
            for start in range(0, len(share), 9):
                batch = share[start : start + 9]
                await asyncio.sleep(0)
                await pool.fetch(QUERIES["insert"], *columns(batch))

        async def insert(share: list[Visit]) -> None:
            for start in range(0, len(share), 30):
                await insert_outside(other, share[start : start + 30])
                await aggregate.sweep(other, "pageviews")

        await asyncio.gather(*map(store, shares[:4]), insert(shares[4]), aggregate.rebuild(other, "pageviews"))
    await aggregate.sweep(pool, "pageviews")
    for first, last in [(0, DAYS - 1), (0, 10), (3, 50), (11, 72), (12, 71), (40, 45), (60, 60)]:
        assert await unique_users(pool, first, last) == len({user for user, day in visits if first <= day <= last})
    before = await totals(pool)
    assert await differences(pool, "pageviews") == []
    await aggregate.rebuild(pool, "pageviews")
    assert await totals(pool) == before


async def test_days_that_are_known_change_no_user(pool: Any) -> None:
    """Most events are of users who were there before on the same day: they must stay cheap."""
    visits = [(f"user-{user}", day) for user in range(20) for day in (1, 4)]
    await pool.fetch(QUERIES["insert"], *columns(visits))
    versions = "select array_agg(xmin::text order by user_id) from page_visitors"
    before = await pool.fetchval(versions)
    await pool.fetch(QUERIES["insert"], *columns(visits))
    assert await pool.fetchval(versions) == before


@pytest.mark.parametrize("first", [0, 11, 42, 56])
async def test_what_a_span_reads_does_not_grow_with_its_users(pool: Any, first: int) -> None:
    """Where there were returns from every day to every later one, which no number of users can exceed."""
    await pool.execute(
        """
        insert into page_days (site_id, day, views, users)
        select 'shop', $1::date + n, 9, 9 from generate_series(0, 430) as n
        """,
        FIRST,
    )
    await pool.execute("""
        insert into page_returns (site_id, unit, previous_unit, day, previous_day, users)
        select
            'shop', unit, previous_unit,
            date_trunc(unit, later.day)::date as unit_day,
            date_trunc(previous_unit, earlier.day)::date as previous,
            count(*)
        from page_days as later
        join page_days as earlier on earlier.day < later.day
        cross join page_return_units
        group by unit, previous_unit, unit_day, previous
    """)
    await pool.execute("analyze")
    query = QUERIES["report"]
    for number, literal in enumerate(
        ("'shop'", f"(date '{FIRST}' + {first})", f"(date '{FIRST}' + {first + 365})", "10"), 1
    ):
        query = query.replace(f"${number}", literal)
    plan = json.loads(await pool.fetchval(f"explain (analyze, format json) {query}"))[0]["Plan"]
    assert sum(_read(plan)) < 4_000


def _read(plan: dict[str, Any]) -> list[int]:
    """How many rows each scan of a table read."""
    own = [(plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]]
    return (own if "Relation Name" in plan else []) + [
        number for child in plan.get("Plans", []) for number in _read(child)
    ]


async def test_totals_of_the_version_before_become_those_of_this_one(
    server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations.migrations()
    connection = await asyncpg.connect(server_dsn)
    await connection.execute("create database before_page_returns")
    dsn = renamed(server_dsn, "before_page_returns")
    monkeypatch.setattr(migrations, "migrations", lambda: every[:10])
    await migrations.migrate(dsn)
    rng = random.Random(12)
    visits = [(f"user-{user}", day) for user in range(60) for day in range(DAYS) if rng.random() < user / 100]
    async with await open_pool(dsn) as pool:
        await insert_outside(pool, visits)
        await pool.execute("""
            update page_events set folded = true;
            insert into page_users select distinct site_id, "timestamp"::date, user_id from page_events;
            insert into page_days select site_id, day, count(*), count(*) from page_users group by site_id, day;
            insert into page_paths select site_id, day, '/', views from page_days
        """)
        monkeypatch.setattr(migrations, "migrations", lambda: every)
        assert await migrations.migrate(dsn)
        before = await totals(pool)
        assert await unique_users(pool, 10, 90) == len({user for user, day in visits if 10 <= day <= 90})
        assert await aggregate.rebuild(pool, "pageviews") == len(visits)
        assert await totals(pool) == before
    await connection.execute("drop database before_page_returns with (force)")
    await connection.close()
