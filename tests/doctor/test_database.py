"""What the doctor finds in PostgreSQL, each by making its cause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from files import imported
from waiting import until

from statsd.database.migrations import migrate
from statsd.database.pool import Connection, connect
from statsd.doctor import database
from statsd.doctor.finding import Finding
from statsd.doctor.totals import totals
from statsd.settings import Settings


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    opened = await connect(database_url)
    yield opened
    await opened.close()


async def collected(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


async def only(findings: AsyncIterator[Finding], level: str, says: str) -> Finding:
    """Return the one finding that is not ok, which must be this one and have a mend."""
    (finding,) = [one for one in await collected(findings) if one.level != "ok"]
    assert (finding.level, bool(finding.mend)) == (level, True), finding
    assert says in finding.text
    return finding


async def test_all_is_well_in_a_new_database(connection: Connection, database_url: str) -> None:
    settings = Settings(host="0.0.0.0")
    for check in (
        database.versions, database.clock, database.durability, database.letters, database.bloat,
        database.transactions,
    ):  # fmt: skip
        assert [finding.level for finding in await collected(check(connection))] == ["ok"], check
    assert [one.level for one in await collected(database.listen(connection, settings, database_url))] == ["ok"]
    assert await collected(database.accounts(connection, settings)) == []


@pytest.mark.parametrize(
    ("cause", "level", "says"),
    [
        ("insert into statsd_migrations values (9999, '9999_future', 'x')", "fault", "9999 of a newer program"),
        ("update statsd_migrations set checksum = 'x' where number = 3", "fault", "0003_pageviews was applied with"),
        ("delete from statsd_migrations where number = 1", "warning", "1 migrations are not applied"),
        ("drop table statsd_migrations", "warning", "migrations are not applied yet"),
    ],
)
async def test_another_schema_is_found(connection: Connection, cause: str, level: str, says: str) -> None:
    await connection.execute(cause)
    await only(database.versions(connection), level, says)


@pytest.mark.parametrize(("ahead", "level"), [("10 seconds", "warning"), ("-1 hour", "fault")])
async def test_clocks_that_differ_are_found(pool: Any, database_url: str, ahead: str, level: str) -> None:
    await pool.execute(f"""
        create function public.clock_timestamp() returns timestamptz language sql
        return pg_catalog.clock_timestamp() + interval '{ahead}'
    """)
    name = await pool.fetchval("select current_database()")
    await pool.execute(f"alter database {name} set search_path = public, pg_catalog")
    shifted = await connect(database_url)
    await only(database.clock(shifted), level, "differ by")
    await shifted.close()


async def test_read_only_database_is_found(pool: Any, database_url: str) -> None:
    name = await pool.fetchval("select current_database()")
    await pool.execute(f"alter database {name} set default_transaction_read_only = on")
    connection = await connect(database_url)
    await only(database.durability(connection), "fault", "read-only")
    await connection.close()


async def test_settings_that_lose_data_are_found(outside: Any) -> None:
    admin = await outside.ready()
    for name in ("fsync", "full_page_writes", "autovacuum"):
        await admin.execute(f"alter system set {name} = off")
    await admin.execute("alter system set max_prepared_transactions = 1")
    await admin.close()
    outside.stop()
    outside.start()
    admin = await outside.ready()
    connection = await connect(outside.dsn)
    findings = await collected(database.durability(connection))
    assert [(one.level, one.text.split(" is off")[0]) for one in findings] == [
        ("fault", "fsync"), ("fault", "full_page_writes"), ("fault", "autovacuum"),
    ]  # fmt: skip
    assert findings[0].mend == "alter system set fsync = on; select pg_reload_conf();"
    await admin.execute("begin; create table a (); prepare transaction 'left'")
    await only(database.transactions(connection, 0), "fault", "the prepared transaction left")
    await connection.close()
    await admin.close()


async def test_shortage_of_connections_and_of_transactions_is_found(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "FULL_SHARE", 0.0)
    await only(database.durability(connection), "warning", "connections are in use")
    monkeypatch.undo()
    monkeypatch.setattr(database, "OLD_TRANSACTIONS", 0)
    await only(database.durability(connection), "warning", "the oldest transaction id")
    monkeypatch.setattr(database, "OLDEST_TRANSACTIONS", 0)
    await only(database.durability(connection), "fault", "the oldest transaction id")


async def test_listen_that_hears_nothing_is_found(
    connection: Connection, database_url: str, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "ARRIVAL_SECONDS", 0.5)
    settings = Settings(listen_url=empty_url)
    finding = await only(database.listen(connection, settings, database_url), "fault", "does not arrive")
    assert "STATS_LISTEN_URL" in finding.mend


async def test_dead_letters_are_found(connection: Connection) -> None:
    await connection.execute("""
        insert into dead_letters (id, stream, payload, sqlstate, reason)
        values (gen_random_uuid(), 'logins', '[]', '23514', 'breaks a rule')
    """)
    await only(database.letters(connection), "fault", "1 accepted events")


async def test_sample_accounts_are_found_where_strangers_reach_them(connection: Connection) -> None:
    await connection.execute("""
        insert into users (username, username_key, password, age, gender, sample)
        values ('user1', 'user1', 'x', 1, 'Male', true)
    """)
    strangers = Settings(host="0.0.0.0")
    await only(database.accounts(connection, strangers), "fault", "1 sample accounts")
    assert await collected(database.accounts(connection, Settings())) == []


async def test_dead_rows_are_found(connection: Connection) -> None:
    await connection.execute("alter table dead_letters set (autovacuum_enabled = false)")
    await connection.execute("""
        insert into dead_letters (id, stream, payload, sqlstate, reason)
        select gen_random_uuid(), '', '', '', '' from generate_series(1, 10001);
        delete from dead_letters;
        select pg_stat_force_next_flush();
    """)

    async def both() -> list[Finding]:
        findings = await collected(database.bloat(connection))
        return findings if len(findings) == 2 else []

    off, dead = await until(both)
    assert (off.level, off.mend) == ("fault", "alter table dead_letters reset (autovacuum_enabled);")
    assert (dead.level, dead.text) == ("warning", "dead_letters has 10,001 dead rows beside 0 live ones")


async def test_invalid_index_is_found(connection: Connection) -> None:
    await connection.execute("insert into owners (name) values ('twice'), ('twice')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("create unique index concurrently one_name on owners (name)")
    await only(database.bloat(connection), "fault", "the index one_name is invalid")


async def test_transactions_that_hold_up_others_are_found(connection: Connection, pool: Any) -> None:
    async with pool.acquire() as holder, pool.acquire() as waiter:
        begun = holder.transaction()
        await begun.start()
        await holder.execute("lock table owners in access exclusive mode")
        await only(database.transactions(connection, 0), "warning", "idle in transaction")
        waiting = asyncio.create_task(waiter.execute("select from owners"))

        async def blocking() -> list[Finding]:
            return [one for one in await collected(database.transactions(connection, 0)) if one.level == "fault"]

        (finding,) = await until(blocking)
        assert "makes 1 sessions wait" in finding.text
        assert f"pg_terminate_backend({holder.get_server_pid()})" in finding.mend
        await begun.rollback()
        await waiting


async def test_wrong_totals_are_found(connection: Connection, database_url: str, folder: Any) -> None:
    file = folder / "rows.ndjson"
    file.write_text('{"user_id":7,"ip_address":"::1","region":"UK","device_type":"Mobile","browser":"Opera"}\n')
    await imported(database_url, "logins", file)
    assert [finding.level for finding in await collected(totals(connection, 3))] == ["ok"]
    await connection.execute("update login_days set logins = 7")
    finding = await only(totals(connection, 3), "fault", "logins: 1 totals are not what the raw rows of their day say")
    assert finding.mend == "python -m statsd aggregate --rebuild"


async def test_database_that_was_never_set_up_is_no_error(outside: Any) -> None:
    await (await outside.ready()).close()
    connection = await connect(outside.dsn)
    await only(database.versions(connection), "warning", "not applied yet")
    await connection.close()
    assert await migrate(outside.dsn)
