"""Migrations, and what an error of PostgreSQL means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import asyncpg
import pytest
from databases import renamed

from statsd.database import migrations
from statsd.database.pool import connect, is_bad_data, open_pool
from statsd.errors import DatabaseAway, DatabaseError, SchemaTooNew

_numbers = count(1)


@pytest.fixture
async def empty_database(server_dsn: str) -> AsyncIterator[str]:
    """The DSN of a database without anything in it."""
    name = f"empty_{next(_numbers)}"
    connection = await asyncpg.connect(server_dsn)
    await connection.execute(f"create database {name}")
    yield renamed(server_dsn, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


async def test_two_servers_that_start_at_once_migrate_once(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrations.migrate(empty_database) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == [one.name for one in migrations.migrations()]


async def test_server_that_waits_in_vain_for_another_to_migrate_says_so(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "MIGRATION_PATIENCE_SECONDS", 0.1)
    other = await asyncpg.connect(empty_database)
    async with other.transaction():
        await other.execute("select pg_advisory_xact_lock($1)", migrations.MIGRATION_LOCK)
        with pytest.raises(DatabaseError, match="another server has been bringing the schema up to date") as caught:
            await migrations.migrate(empty_database)
    assert type(caught.value) is DatabaseError
    assert await migrations.migrate(empty_database)
    async with other.transaction():
        await other.execute("select pg_advisory_xact_lock($1)", migrations.MIGRATION_LOCK)
        assert await migrations.migrate(empty_database) == []  # a schema that is up to date needs no lock
    await other.close()


async def test_lock_of_the_migrations_ends_with_them(empty_database: str) -> None:
    await migrations.migrate(empty_database)
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("select pg_try_advisory_lock($1)", migrations.MIGRATION_LOCK)
    await connection.close()


async def test_bins_of_the_version_before_become_those_of_this_one(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations.migrations()
    monkeypatch.setattr(migrations, "migrations", lambda: every[:9])
    await migrations.migrate(empty_database)
    connection = await asyncpg.connect(empty_database)
    await connection.execute("""
        insert into item_bins values ('year', '2026-01-01 00:00:00+00', 3), ('day', '2026-11-21 00:00:00+00', 2);
        insert into transfer_bins values ('year', '2026-01-01 00:00:00+00', 4);
        insert into webhook_bins values ('day', '2026-11-21 00:00:00+00', 5)
    """)
    monkeypatch.setattr(migrations, "migrations", lambda: every)
    assert await migrations.migrate(empty_database)
    bins = await connection.fetch("select stream, unit, bin::date::text, count from bins order by count")
    assert [tuple(row) for row in bins] == [
        ("items", "day", "2026-11-21", 2),
        ("items", "year", "2026-01-01", 3),
        ("transfers", "year", "2026-01-01", 4),
        ("webhooks", "day", "2026-11-21", 5),
    ]
    await connection.close()


async def test_failed_migration_leaves_nothing_of_itself(empty_database: str) -> None:
    connection = await asyncpg.connect(empty_database)
    await connection.execute("create table login_users (other text)")  # in the way of the first migration
    with pytest.raises(DatabaseError, match="login_users"):
        await migrations.migrate(empty_database)
    assert await connection.fetchval("select to_regclass('user_logins')") is None
    await connection.execute("drop table login_users")
    assert await migrations.migrate(empty_database)
    await connection.close()


async def test_database_of_a_newer_program_is_refused(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("insert into statsd_migrations values (9999, '9999_future', 'x')")
    await connection.close()
    with pytest.raises(SchemaTooNew, match="9999_future"):
        await migrations.migrate(database_url)


async def test_migration_changed_after_it_was_applied_is_refused(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("update statsd_migrations set checksum = 'other' where number = 1")
    await connection.close()
    with pytest.raises(DatabaseError, match="another text"):
        await migrations.migrate(database_url)


def test_migrations_are_numbered_each_once() -> None:
    numbers = [migration.number for migration in migrations.migrations()]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("query", "arguments", "bad"),
    [
        ("select $1::text", ["\0"], True),
        ("select $1::text", ["\ud800"], True),
        ("select $1::int", [2**31], True),
        ("insert into login_days values (null, 1)", [], True),
        ("insert into login_hours values (1, 1), (1, 1)", [], True),
        ("select pg_terminate_backend(pg_backend_pid())", [], False),
        ("select pg_sleep(9)", [], False),
        ("select no_such_column", [], False),
    ],
)
async def test_only_what_the_values_are_guilty_of_is_bad_data(
    pool: asyncpg.Pool[asyncpg.Record], query: str, arguments: list[object], bad: bool
) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the question
        await pool.fetch(query, *arguments, timeout=0.5 if "pg_sleep" in query else None)
    assert is_bad_data(caught.value) is bad


def test_full_queue_of_notifications_is_not_bad_data() -> None:
    """What PostgreSQL says then has the code of a value that is too large."""
    said = {"C": "54000", "F": "async.c", "M": "too many notifications in the NOTIFY queue"}
    assert not is_bad_data(asyncpg.PostgresError.new(said))
    assert is_bad_data(asyncpg.PostgresError.new({**said, "F": "nbtutils.c"}))


async def test_sessions_are_durable_and_in_utc_whatever_the_database_says(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("select current_database()")
    await connection.execute(f"alter database {name} set synchronous_commit = off")
    await connection.execute(f"alter database {name} set timezone = 'Asia/Tokyo'")
    await connection.close()
    async with await open_pool(database_url) as pool:
        assert await pool.fetchval("select current_setting('synchronous_commit')") == "on"
        assert await pool.fetchval("select current_setting('timezone')") == "UTC"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (("/statsd?", "/no_such_database?"), DatabaseError, "no_such_database"),
        (("statsd:", "statsd:wrong"), DatabaseError, "password"),
        (("host=", "host=/nowhere"), DatabaseAway, "cannot be reached"),
    ],
)
async def test_refused_connection_says_why(
    server_dsn: str, change: tuple[str, str], error: type[DatabaseError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        await connect(server_dsn.replace(*change))
    assert type(caught.value) is error
