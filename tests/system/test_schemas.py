"""Several installations in one database, each in a schema of its own; and a role that may only read and write."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from folders import ROOT
from items import ADA, BIKE, ITEM, get, post, put
from program import Program
from recounts import differences
from waiting import PATIENCE_SECONDS, until

from statsd.database import sql
from statsd.database.embedded import open_server
from statsd.database.migrations import migrate
from statsd.database.pool import open_pool
from statsd.ingest import aggregate, erase, retention
from statsd.libpq.forms import in_schema
from statsd.libpq.plan import plan
from statsd.settings import Settings
from statsd.streams import STREAMS

Start = Callable[..., Awaitable[Any]]
Run = Callable[..., Program]

NAME = 'weird-"Name"'
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
VIEW = {
    "site_id": "shop", "event_type": "page_view", "path": "/", "user_id": "u1", "timestamp": "2026-11-21T10:30:00Z",
}  # fmt: skip
ACCOUNT = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}


async def send_everything(client: Any, url: str) -> None:
    """Post an event to every stream."""
    async with await open_pool(url) as pool:
        await pool.fetch(sql.load("transfers")["seed"])
        for stream in STREAMS:
            await aggregate.sweep(pool, stream.name)
    await post(client, "/logins", LOGIN, 201)
    await post(client, "/webhook", {"eventType": "signup", "userId": "1"}, 200)
    await post(client, "/event", VIEW, 202)
    token = (await post(client, "/register", ACCOUNT, 201))["token"]
    await post(client, "/track", {"feature_name": "filter"}, 201, Authorization=f"Bearer {token}")
    await post(client, "/items", {"base_item_id": BIKE}, 201)
    await put(client, ITEM, ADA, 204)


async def test_two_installations_count_and_hear_only_their_own_events(
    start: Start, folder: Path, database_url: str
) -> None:
    client, other = await start(), await start(schema=NAME, data_dir=folder / "other")
    owner = await asyncpg.connect(database_url)
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    channels = []
    for url in (database_url, in_schema(database_url, NAME)):
        async with await open_pool(url) as pool:
            channels.append(await pool.fetchval(f"select {sql.CHANNEL}"))
        await owner.add_listener(
            channels[-1], lambda _c, _pid, channel, payload: heard.put_nowait((str(channel), str(payload)))
        )
    assert channels[0] == "statsd"
    async with other.ws_connect("/ws") as ws:
        await send_everything(client, database_url)
        stored = {"logins", "webhooks", "usage", "items", "transfers", "pageviews"}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while stored:
                channel, payload = await heard.get()
                assert channel == "statsd" or payload.startswith("heartbeat")
                stored.discard(payload)
        assert (await get(other, "/logins/stats"))["totalSessions"] == 0
        await post(other, "/login", {"username": "Anna", "password": "correct horse"}, 400)
        await post(other, "/logins", LOGIN, 201)
        while (await ws.receive_json(timeout=PATIENCE_SECONDS))["payload"]["totalSessions"] != 1:
            pass
    assert (await get(client, "/logins/stats"))["totalSessions"] == 1
    await send_everything(other, in_schema(database_url, NAME))
    assert (await get(other, "/logins/stats"))["totalSessions"] == 2
    for url in (database_url, in_schema(database_url, NAME)):
        async with await open_pool(url) as pool:
            assert not await differences(pool, *(stream.name for stream in STREAMS))
    await owner.close()


async def test_schema_with_the_name_of_the_role_takes_over_no_other_installation(
    start: Start, folder: Path, database_url: str
) -> None:
    """PostgreSQL's own search path begins with it, also in sessions that are open already."""
    client = await start()
    await post(client, "/logins", LOGIN, 201)
    other = await start(schema="statsd", data_dir=folder / "other")
    await post(other, "/logins", LOGIN, 201)
    again = await start(data_dir=folder / "again")
    for _ in range(2):
        await post(client, "/logins", LOGIN, 201)
        await post(again, "/logins", LOGIN, 201)
    owner = await asyncpg.connect(database_url)
    assert await owner.fetchval("select current_user") == "statsd"
    assert await owner.fetchval("select count(*) from public.user_logins") == 5
    assert await owner.fetchval("select count(*) from statsd.user_logins") == 1
    await owner.close()


async def test_rows_of_other_programs_are_counted_in_the_schema_they_are_in(start: Start, database_url: str) -> None:
    client = await start(schema="statsd", aggregate_seconds=0.1)
    owner = await asyncpg.connect(database_url)
    row = "(user_id, ip_address, region, device_type, browser) values (7, '::1', 'UK', 'Mobile', 'Opera')"
    await owner.execute(f"insert into statsd.user_logins {row}; insert into public.user_logins {row}")

    async def counted() -> bool:
        return (await get(client, "/logins/stats"))["totalSessions"] == 1

    await until(counted)
    assert await owner.fetchval("select folded from public.user_logins") is False
    await owner.close()


async def ended(program: Program, code: int = 0) -> str:
    assert await program.ended() == code, program.stderr
    return program.output()


async def test_every_command_uses_the_schema(run: Run, database_url: str, empty_url: str) -> None:
    url = in_schema(database_url, NAME)
    await migrate(url)
    where = {"DATABASE_URL": database_url, "STATS_SCHEMA": NAME}
    seed, printed = run("seed", **where), run("database-url", **where)
    await ended(seed)
    assert (await ended(printed)).strip() == url
    backup = run("backup", "b.tar", **where)
    psql = run("psql", "--", "-Atc", "select current_schema(), count(*) from user_logins", **where)
    exported, doctor = run("export", "logins", "--quiet", **where), run("doctor", "--json", **where)
    assert (await ended(psql)).strip() == f"{NAME}|100"
    assert len((await ended(exported)).splitlines()) == 100
    findings = json.loads(await ended(doctor))["findings"]
    levels = {finding["about"]: finding["level"] for finding in findings}
    assert [levels[about] for about in ("versions", "listen", "dead letters")] == ["ok"] * 3
    await ended(backup)
    refused = run("restore", "b.tar", DATABASE_URL=empty_url)
    await ended(refused, 1)
    assert "set STATS_SCHEMA" in refused.stderr
    await ended(run("restore", "b.tar", DATABASE_URL=empty_url, STATS_SCHEMA=NAME))
    async with await open_pool(in_schema(empty_url, NAME)) as pool:
        assert await pool.fetchval("select count(*) from user_logins") == 100
        assert await pool.fetchval("select count(*) from public.user_logins") == 0
    await ended(run("restore", "b.tar", "--force", DATABASE_URL=empty_url, STATS_SCHEMA=NAME))


async def test_embedded_database_has_the_schema_too(server_dsn: str) -> None:
    (socket,) = plan(server_dsn).arguments["host"]
    async with open_server(Settings(data_dir=Path(socket).parent, schema=NAME)) as dsn:
        assert dsn == in_schema(server_dsn, NAME)


# ---- least privilege


@pytest.fixture
async def app_url(database_url: str, server_dsn: str) -> AsyncIterator[str]:
    """The URL of a role with the privileges that the page of databases gives it, and no more."""
    page = (ROOT / "static" / "docs" / "databases.html").read_text()
    found = re.search(r'<pre class="sql" id="grants">(.*?)</pre>', page, re.DOTALL)
    assert found
    name = database_url[database_url.rindex("/test_") + 1 :].partition("?")[0]
    owner = await asyncpg.connect(database_url)
    await owner.execute(html.unescape(found[1]).replace("database statsd ", f"database {name} "))
    yield re.sub(r"//[^@]*@", "//statsd_app:a%20long%20password@", database_url)
    await owner.execute("drop owned by statsd_app")
    await owner.execute("drop role statsd_app")
    await owner.close()


async def test_server_runs_with_the_privileges_that_the_page_names(start: Start, app_url: str) -> None:
    client = await start(database_url=app_url)
    await send_everything(client, app_url)
    assert (await get(client, "/logins/stats"))["totalSessions"] == 1
    async with await open_pool(app_url) as pool:
        assert await pool.fetchval("select current_user") == "statsd_app"
        for stream in STREAMS:
            await aggregate.rebuild(pool, stream.name)
            await aggregate.sweep(pool, stream.name)
            await retention.keep_to(pool, stream.name, Settings(retention_days=1))
            assert not await differences(pool, stream.name)
        logins = next(stream for stream in STREAMS if stream.name == "logins")
        assert (await erase.from_stream(pool, logins, "7"))["user_logins"] == 1


async def test_commands_run_with_those_privileges(run: Run, app_url: str) -> None:
    backup, doctor = run("backup", "b.tar", DATABASE_URL=app_url), run("doctor", DATABASE_URL=app_url)
    prune = run("prune", DATABASE_URL=app_url, STATS_RETENTION_DAYS="1")
    await ended(backup)
    await ended(doctor)
    await ended(prune)


async def test_server_starts_on_a_read_only_database_and_keeps_events_for_later(
    start: Start, database_url: str
) -> None:
    client = await start(database_url=f"{database_url}&options=-c%20default_transaction_read_only%3Don")
    assert (await get(client, "/logins/stats"))["totalSessions"] == 0
    await post(client, "/logins", LOGIN, 202)
