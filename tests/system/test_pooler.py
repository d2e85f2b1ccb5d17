"""PgBouncer in transaction mode between the program and PostgreSQL: everything works, and what is missing is said."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from textwrap import dedent
from typing import Any

import aiohttp
import asyncpg
import pytest
from items import ADA, BIKE, get, post, put
from outside import Outside
from ports import free_port
from program import Program
from waiting import PATIENCE_SECONDS, missing, until

from statsd.database import migrations, pooler, sql
from statsd.database.pool import connect, open_pool
from statsd.streams import STREAMS

Run = Callable[..., Program]

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
WEBHOOK = {"eventType": "page_view", "userId": "123"}
VIEW = {
    "site_id": "shop", "event_type": "page_view", "path": "/home", "user_id": "u1", "timestamp": "2026-11-21T10:30:00Z",
}  # fmt: skip
ACCOUNT = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
MISSING = "set STATS_LISTEN_URL to a direct connection"
STOCK = ""
LENIENT = "ignore_startup_parameters = synchronous_commit, statement_timeout, jit, citus.override_table_visibility"
with_both = pytest.mark.parametrize("between", [STOCK, LENIENT], indirect=True, ids=["stock", "lenient"])
"""PgBouncer either refuses what it cannot keep for a client, or was told to lose it silently."""


def pgbouncer() -> str:
    """Return where PgBouncer is; without one the tests are skipped, but never on CI."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return found or missing("there is no PgBouncer: `apt-get install pgbouncer`")


class Pooler:
    """PgBouncer as it comes, in transaction mode, with two connections for all; its `dsn` leads through it."""

    def __init__(self, folder: Path, outside: Outside, more: str) -> None:
        program = pgbouncer()
        port = free_port()
        self.dsn = f"postgresql://statsd@127.0.0.1:{port}/postgres"
        config = folder / f"pgbouncer-{port}.ini"
        config.write_text(
            dedent(f"""
            [databases]
            postgres = host=127.0.0.1 port={outside.port} user=statsd

            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {port}
            unix_socket_dir =
            auth_type = any
            pool_mode = transaction
            default_pool_size = 2
            server_login_retry = 1
            {more}
        """)
        )
        self._port = port
        self.log = folder / f"pgbouncer-{port}.log"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen([program, *user, config], stderr=stderr, cwd="/", start_new_session=True)

    def accepts(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
async def between(request: pytest.FixtureRequest, folder: Path, outside: Outside) -> AsyncIterator[Pooler]:
    """A running PgBouncer before a running PostgreSQL."""
    await (await outside.ready()).close()
    started = Pooler(folder, outside, getattr(request, "param", STOCK))
    await until(started.accepts)
    yield started
    started.stop()


Serve = Callable[..., Awaitable[tuple[Program, aiohttp.ClientSession]]]


@pytest.fixture
async def serve(run: Run, between: Pooler, outside: Outside) -> AsyncIterator[Serve]:
    """Run the server through the pooler, in a data folder of its own; return it and a session with it."""
    async with AsyncExitStack() as sessions:

        async def begin(folder: str = "data", **settings: str) -> tuple[Program, aiohttp.ClientSession]:
            told = {"DATABASE_URL": between.dsn, "STATS_LISTEN_URL": outside.dsn, "STATS_AGGREGATE_SECONDS": "3600"}
            program = run("serve", "--port", "0", "--data-dir", folder, **{**told, **settings})
            session = aiohttp.ClientSession(await program.address())
            return program, await sessions.enter_async_context(session)

        yield begin


async def total(ws: aiohttp.ClientWebSocketResponse, count: int) -> None:
    """Read frames until the socket says that there are so many logins."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await ws.receive_json())["payload"]["totalSessions"] != count:
            pass


@with_both
async def test_every_stream_takes_events_and_answers_their_statistics(serve: Serve, outside: Outside) -> None:
    program, server = await serve()
    direct = await outside.ready()
    await direct.execute(sql.load("transfers")["seed"])
    await post(server, "/logins", LOGIN, 201)
    await post(server, "/webhook", WEBHOOK, 200)
    await post(server, "/event", VIEW, 202)
    token = (await post(server, "/register", ACCOUNT, 201))["token"]
    who = {"Authorization": f"Bearer {token}"}
    await post(server, "/track", {"feature_name": "filter"}, 201, Authorization=who["Authorization"])
    item = await post(server, "/items", {"base_item_id": BIKE}, 201)
    await put(server, item["id"], ADA, 204)

    assert (await get(server, "/logins/stats"))["totalSessions"] == 1
    assert (await get(server, "/events/stats"))["data"]["totalEvents"] == 1
    assert (await get(server, "/stats?site_id=shop&date=2026-11-21"))["total_views"] == 1
    assert (await get(server, "/transfers"))["transferCount"] == 1
    assert (await get(server, f"/items/{item['id']}"))["owner_id"] == ADA
    async with server.get("/analytics", headers=who) as response:
        assert (await response.json())["barChartData"] == [{"feature": "filter", "count": 1}]
    checks = (await get(server, "/health"))["checks"]
    assert (checks["database"], checks["durability"]) == ("ok", "full")
    assert [one["number"] for one in await direct.fetch("select number from statsd_migrations order by 1")] == [
        migration.number for migration in migrations.migrations()
    ]
    assert "Traceback" not in program.stderr
    assert MISSING not in program.stderr
    await direct.close()


@with_both
async def test_schema_of_its_own_is_kept_in_every_transaction(serve: Serve, outside: Outside) -> None:
    """Another client's transactions run in the same sessions, with a search path of their own."""
    _, plain = await serve("data-2")
    _, server = await serve(STATS_SCHEMA="statsd")  # the role's name, where PostgreSQL looks first
    for count in (1, 2, 3):
        await post(server, "/logins", LOGIN, 201)
        await post(server, "/webhook", WEBHOOK, 200)
        assert (await get(server, "/logins/stats"))["totalSessions"] == count
        assert (await get(plain, "/logins/stats"))["totalSessions"] == 0
    async with server.ws_connect("/ws") as ws:
        await post(plain, "/logins", LOGIN, 201)
        await post(server, "/logins", LOGIN, 201)
        await total(ws, 4)
    direct = await outside.ready()
    assert await direct.fetchval("select count(*) from statsd.user_logins") == 4
    assert await direct.fetchval("select count(*) from public.user_logins") == 1
    await direct.close()


@with_both
async def test_server_that_starts_again_finds_nothing_in_its_way(serve: Serve) -> None:
    """Neither statements that the first one prepared, nor a lock that it took."""
    for count in (1, 2, 3):
        program, server = await serve()
        await post(server, "/logins", LOGIN, 201)
        assert (await get(server, "/logins/stats"))["totalSessions"] == count
        program.process.kill()
        await program.ended()


async def test_change_at_one_server_is_heard_by_another(serve: Serve) -> None:
    (one, first), (other, second) = await asyncio.gather(serve("data-1"), serve("data-2"))
    async with second.ws_connect("/ws") as ws:
        await post(first, "/logins", LOGIN, 201)
        await total(ws, 1)
    assert MISSING not in one.stderr + other.stderr


async def test_missing_listen_url_is_said_once_and_own_changes_are_live(serve: Serve) -> None:
    """LISTEN succeeds through the pooler, and nothing is ever heard."""
    program, server = await serve(STATS_LISTEN_URL="")
    await until(lambda: MISSING in program.stderr)
    async with server.ws_connect("/ws") as ws:
        for count in (1, 2):
            await post(server, "/logins", LOGIN, 201)
            await total(ws, count)
    assert program.stderr.count(MISSING) == 1
    assert "listening for changes again" not in program.stderr


async def test_listen_url_of_another_database_is_said(serve: Serve, outside: Outside) -> None:
    connection = await outside.ready()
    await connection.execute("create database other")
    await connection.close()
    program, _ = await serve(STATS_LISTEN_URL=outside.dsn.replace("/postgres", "/other"))
    await until(lambda: MISSING in program.stderr)


async def login_statistics(server: aiohttp.ClientSession) -> dict[str, Any]:

    async def read() -> Any:
        async with server.get("/logins/stats") as response:
            return await response.json() if response.status == 200 else None

    return {**await until(read), "generatedAt": None}  # on a busy machine a read may be told to come again


async def test_commands_work_beside_a_server(run: Run, serve: Serve, between: Pooler) -> None:
    _, server = await serve()
    generator = run("generate", "--count", "2000", DATABASE_URL=between.dsn)
    assert await generator.ended() == 0, generator.stderr
    for stream in STREAMS:
        if not stream.part_of:
            one = run("generate", "--count", "50", "--stream", stream.name, "--rate", "500", DATABASE_URL=between.dsn)
            assert await one.ended() == 0, one.stderr
    before = await login_statistics(server)
    assert before["totalSessions"] == 2050
    rebuild = run("aggregate", "--rebuild", DATABASE_URL=between.dsn)
    assert await rebuild.ended() == 0, rebuild.stderr
    assert await login_statistics(server) == before
    seed = run("seed", DATABASE_URL=between.dsn)
    assert await seed.ended() == 0, seed.stderr
    assert (await login_statistics(server))["totalSessions"] == 2150


async def test_rows_are_exported_and_imported_and_the_doctor_is_content(
    run: Run, serve: Serve, between: Pooler, outside: Outside
) -> None:
    await serve(STATS_LISTEN_URL=outside.dsn)
    file = Path(between.log).with_name("rows.csv")
    one = run("generate", "--count", "50", "--stream", "transfers", DATABASE_URL=between.dsn)
    assert await one.ended() == 0, one.stderr
    assert await run("export", "transfers", str(file), DATABASE_URL=between.dsn).ended() == 0
    again = run("import", "transfers", str(file), "--json", DATABASE_URL=between.dsn)
    assert await again.ended() == 0, again.stderr
    result = json.loads(again.output())
    assert result["known"] >= 50
    assert (result["stored"], result["refused"]) == (0, 0)
    doctor = run("doctor", DATABASE_URL=between.dsn, STATS_LISTEN_URL=outside.dsn)
    assert await doctor.ended() == 0, doctor.output()
    doctor = run("doctor", "--days", "0", DATABASE_URL=between.dsn)
    assert await doctor.ended() == 6
    assert "a NOTIFY does not arrive where the server listens" in doctor.output()


async def test_exports_of_one_server_leave_nothing_in_the_way_of_another(serve: Serve) -> None:
    (_, first), (_, second) = await asyncio.gather(serve("data-1"), serve("data-2"))
    await post(first, "/webhook", [WEBHOOK] * 1200, 200)
    for server in (first, second, first, second):
        assert len((await get(server, "/export/json?filter=day"))["data"]["events"]) == 1200


@with_both
async def test_events_are_accepted_while_the_database_behind_is_away(serve: Serve, outside: Outside) -> None:
    program, server = await serve()
    await post(server, "/logins", LOGIN, 201)
    outside.stop()
    await post(server, "/logins", LOGIN, 202)
    await get(server, "/logins/stats", 503)
    program.process.kill()
    await program.ended()
    program, server = await serve()
    await post(server, "/logins", LOGIN, 202)
    outside.start()

    async def stored() -> bool:
        async with server.get("/logins/stats") as response:
            return response.status == 200 and (await response.json())["totalSessions"] == 3

    await until(stored)


@with_both
async def test_two_servers_that_start_at_once_migrate_once(between: Pooler) -> None:
    applied = await asyncio.gather(*(migrations.migrate(between.dsn) for _ in range(3)))
    assert sorted(name for names in applied for name in names) == [one.name for one in migrations.migrations()]


SETTINGS = (
    "select format('%s %s %s %s', current_setting('synchronous_commit'), current_setting('statement_timeout'),"
    " current_setting('jit'), current_setting('timezone'))"
)
WAYS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "fetchval": lambda one: one.fetchval(f"insert into seen {SETTINGS} where $1 returning was", True),
    "fetchrow": lambda one: one.fetchrow(f"insert into seen {SETTINGS} returning was"),
    "fetch": lambda one: one.fetch(f"insert into seen {SETTINGS} returning was"),
    "fetchmany": lambda one: one.fetchmany(f"insert into seen {SETTINGS} where $1 returning was", [(True,)]),
    "execute": lambda one: one.execute(f"insert into seen {SETTINGS}"),
    "execute with arguments": lambda one: one.execute(f"insert into seen {SETTINGS} where $1", True),
    "executemany": lambda one: one.executemany(f"insert into seen {SETTINGS} where $1", [(True,)]),
}


@with_both
async def test_transactions_are_durable_and_in_utc_whatever_the_role_or_another_program_says(
    between: Pooler, outside: Outside
) -> None:
    """And what the program sets for itself stays with it."""
    direct = await outside.ready()
    await direct.execute("create table seen (was text)")
    await direct.execute("alter role statsd set synchronous_commit = off")
    await direct.execute("alter role statsd set timezone = 'Asia/Tokyo'")
    other = await asyncpg.connect(between.dsn, statement_cache_size=0)
    async with await open_pool(between.dsn) as pool, pool.acquire() as connection:
        for way, run in WAYS.items():
            await run(connection)
            async with connection.transaction():
                await run(connection)
            seen = [row["was"] for row in await direct.fetch("delete from seen returning was")]
            assert seen == ["on 5s off UTC"] * 2, way
    assert await other.fetchval(SETTINGS) == "off 0 on Asia/Tokyo"
    await other.close()
    await direct.close()


async def test_settings_of_one_connection_win(between: Pooler) -> None:
    connection = await connect(between.dsn, statement_timeout="7s")
    assert await connection.fetchval("select current_setting('statement_timeout')") == "7s"
    connection.terminate()


@with_both
async def test_pooler_is_noticed_and_no_pooler_is_none(between: Pooler, outside: Outside) -> None:
    """Directly, statements stay prepared."""
    async with await open_pool(outside.dsn) as pool, pool.acquire() as connection:
        assert not await pooler.is_between(connection, PATIENCE_SECONDS)  # type: ignore[arg-type]
        for _ in range(3):
            await connection.fetchval("select $1::integer", 1)
        runs = "select generic_plans + custom_plans from pg_prepared_statements where statement = 'select $1::integer'"
        assert await connection.fetchval(runs) == 3
    async with await open_pool(between.dsn) as pool, pool.acquire() as connection:
        assert await pooler.is_between(connection, PATIENCE_SECONDS)  # type: ignore[arg-type]
        assert await connection.fetch("select from pg_prepared_statements where name <> ''") == []
