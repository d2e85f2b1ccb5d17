"""Names that senders choose are bounded in the totals of logins: the rest counts as (other), and all adds up."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import asyncpg
import pytest
from databases import renamed
from recounts import differences

from statsd.database import migrations, sql
from statsd.database.pool import again, open_pool
from statsd.ingest import aggregate
from statsd.ingest.ids import new_id

INSERT = sql.load("logins")["insert"]
MOST = {"region": 500, "browser": 500, "device_type": 100}


async def store(pool: Any, names: list[tuple[str, str, str]]) -> None:
    """Store a login of 90 s for each of the regions, device types and browsers."""
    logins = [(new_id(), n, None, None, 90, "203.0.113.7", *name) for n, name in enumerate(names)]
    await pool.fetch(INSERT, *map(list, zip(*logins, strict=True)))


def flood(start: int, count: int) -> list[tuple[str, str, str]]:
    return [(f"region-{n}", f"device-{n}", f"browser-{n}") for n in range(start, start + count)]


async def counts(pool: Any, table: str, column: str) -> dict[str, int]:
    rows = await pool.fetch(f"select {column}, sum(logins)::integer as logins from {table} group by {column}")
    return {row[column]: row["logins"] for row in rows}


async def totals(pool: Any) -> dict[str, dict[str, int]]:
    tables = {"region": "login_regions", "browser": "login_browsers", "device_type": "login_devices"}
    return {column: await counts(pool, table, column) for column, table in tables.items()}


async def test_a_flood_of_names_counts_as_other_and_those_before_it_keep_theirs(pool: Any) -> None:
    await store(pool, [("Estonia", "Mobile", "Firefox")] * 5)
    await store(pool, flood(0, 3_000))
    await store(pool, [("Estonia", "Mobile", "Firefox"), ("(other)", "(other)", "(other)")])
    found = await totals(pool)
    for column, most in MOST.items():
        name = {"region": "Estonia", "browser": "Firefox", "device_type": "Mobile"}[column]
        assert len(found[column]) == most + 1
        assert found[column][name] == 6
        assert found[column]["(other)"] == 3_000 - (most - 1) + 1
        assert sum(found[column].values()) == 3_007
    assert await pool.fetchval("select count(distinct region) from user_logins") == 3_002  # rows keep what was sent
    assert await differences(pool, "logins") == []
    await aggregate.rebuild(pool, "logins")
    assert await totals(pool) == found
    snapshot = json.loads(await pool.fetchval(sql.load("logins")["snapshot"], await pool.fetchval("select now()")))
    assert snapshot["regionStats"][0] == {"region": "(other)", "count": 2_502}
    assert snapshot["browserStats"][0] == {"browser": "(other)", "count": 2_502}
    assert snapshot["totalSessions"] == 3_007


async def test_names_of_writers_at_once_stay_within_the_bound(pool: Any) -> None:
    await asyncio.gather(*(store_retrying(pool, flood(400 * n, 500)) for n in range(8)))
    found = await totals(pool)
    for column, most in MOST.items():
        assert len(found[column]) == most + 1
        assert sum(found[column].values()) == 4_000
    assert await differences(pool, "logins") == []


async def store_retrying(pool: Any, names: list[tuple[str, str, str]]) -> None:
    for start in range(0, len(names), 100):
        await again(partial(store, pool, names[start : start + 100]))


async def test_totals_of_earlier_versions_get_names_days_and_spans(
    server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest names keep theirs; users get the day of their latest login."""
    every = migrations.migrations()
    connection = await asyncpg.connect(server_dsn)
    await connection.execute("create database before_names")
    dsn = renamed(server_dsn, "before_names")
    monkeypatch.setattr(migrations, "migrations", lambda: [one for one in every if one.number < 14])
    await migrations.migrate(dsn)
    async with await open_pool(dsn) as pool:
        await pool.execute("""
            insert into user_logins (
                user_id, login_time, session_duration_seconds, ip_address, region, device_type, browser,
                created_at, folded
            )
            select
                n % 97, now(), n * 7919, '203.0.113.7', 'region-' || n % 700, 'device-' || n % 130,
                'browser-' || n % 640, now() - n % 60 * interval '1 day', true
            from generate_series(1, 2000) as n;
            insert into login_devices
            select
                device_type, count(*), count(*), sum(session_duration_seconds), min(session_duration_seconds),
                max(session_duration_seconds), count(distinct user_id)
            from user_logins group by 1;
            insert into login_regions
            select region, device_type, count(*), count(*), sum(session_duration_seconds)
            from user_logins group by 1, 2;
            insert into login_browsers select browser, count(*) from user_logins group by 1;
            insert into login_hours
            select extract(hour from login_time at time zone 'UTC'), count(*) from user_logins group by 1;
            insert into login_days select (login_time at time zone 'UTC')::date, count(*) from user_logins group by 1;
            insert into login_durations
            select session_duration_seconds, device_type, count(*) from user_logins group by 1, 2;
            insert into login_minutes
            select session_duration_seconds / 60, device_type, count(*) from user_logins group by 1, 2;
            insert into login_device_users select distinct device_type, user_id from user_logins;
            insert into login_users select distinct user_id from user_logins;
            insert into login_user_count select true, count(*) from login_users
        """)
        median = "select median from login_medians where device_type is null"
        before = await pool.fetchval(median)
        monkeypatch.setattr(migrations, "migrations", lambda: every)
        assert await migrations.migrate(dsn)
    async with await open_pool(dsn) as pool:
        assert await pool.fetchval(median) == before
        assert await differences(pool, "logins") == []
        found = await totals(pool)
        assert {column: len(names) for column, names in found.items()} == {c: most + 1 for c, most in MOST.items()}
        await aggregate.rebuild(pool, "logins")
        assert await totals(pool) == found
    await connection.execute("drop database before_names with (force)")
    await connection.close()
