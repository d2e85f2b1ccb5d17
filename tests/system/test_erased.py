"""One erased person is found nowhere: not in a column of the database, and not in a file of the data folder."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec
from callers import make_user
from program import Program
from recounts import differences

from statsd.database import sql
from statsd.database.pool import open_pool
from statsd.ingest import generator, ids
from statsd.ingest.dead_letters import keep_dead
from statsd.ingest.outage import _encode
from statsd.ingest.spool import Spool
from statsd.stream import Row, Stream
from statsd.streams import STREAMS

PERSON = 1357924680
OWNER = "5eed1e55-0dd5-4aaa-8b0b-c0ffee5eed1e"
PLACES = {"logins": (1, PERSON), "webhooks": (2, str(PERSON)), "usage": (1, PERSON), "pageviews": (4, str(PERSON))}
TRACES = (str(PERSON).encode(), PERSON.to_bytes(4, "little"), OWNER.encode(), bytes.fromhex(OWNER.replace("-", "")))


def rows_of(stream: Stream, count: int, seed: int) -> list[Row]:
    """Rows of which every third is the person's."""
    rng = random.Random(seed)
    rows = [stream.row(stream.sample(rng), ids.new_id()) for _ in range(count)]
    place, person = PLACES.get(stream.name, (2, OWNER))
    if stream.name == "items":
        return rows
    return [(*row[:place], person, *row[place + 1 :]) if n % 3 == 0 else row for n, row in enumerate(rows)]


async def fill(url: str, folder: Path) -> None:
    """Leave traces of the person wherever the program keeps something."""
    async with await open_pool(url) as pool:
        await pool.execute("insert into owners (id, name) values ($1, 'Ada')", OWNER)
        await pool.execute(
            """
            insert into users (id, username, username_key, password, age, gender)
            values ($1, $2, $2, 'x', 30, 'Other')
            """,
            PERSON,
            f"ada {PERSON}",
        )
        await pool.execute("insert into feature_shares values ($1, current_date, 1, 0)", PERSON)
        for stream in STREAMS:
            await generator.store_fixtures(pool, stream)
            columns = [list(column) for column in zip(*rows_of(stream, 300, 1), strict=True)]
            await pool.fetch(sql.load(stream.name)["insert"], *columns, *stream.sent(300))
            (row, *_) = rows_of(stream, 1, 2)
            await keep_dead(pool, row[0], stream.name, msgspec.json.encode(row[1:]), ValueError("x"))
        await pool.execute("analyze")  # the statistics hold common values
    spool = Spool(folder / "data/spool")
    await spool.open()
    await spool.append([_encode(stream.name, row) for stream in STREAMS for row in rows_of(stream, 30, 3)])
    await spool.close()


async def test_erased_person_is_found_nowhere(run: Callable[..., Program], folder: Path) -> None:
    server = run("serve", PORT="0")
    await server.address()
    url = run("database-url").output().strip()
    await fill(url, folder)
    assert await columns_with_traces(url)
    server.process.terminate()
    await server.ended()
    assert files_with_traces(folder / "data")

    report = json.loads(run("erase", "--user", str(PERSON), "--rewrite", "--json").output())
    assert report["erased"]["logins"] == {"user_logins": 100, "login_users": 1, "login_device_users": 3}
    assert report["erased"]["usage"] == {"feature_clicks": 100, "feature_shares": 1, "users": 1}
    assert report["erased"]["pageviews"]["page_events"] == report["erased"]["webhooks"]["webhook_events"] == 100
    owner = run("erase", "--user", OWNER.upper(), "--rewrite")
    assert "owners                       1" in owner.output()
    assert await owner.ended() == 0

    assert files_with_traces(folder / "data") == []
    server = run("serve", PORT="0")
    await server.address()
    assert await columns_with_traces(url) == []
    async with await open_pool(url) as pool:
        assert await differences(pool, *(stream.name for stream in STREAMS)) == []


def files_with_traces(data: Path) -> list[str]:
    """Files that hold the person's ids, as text or as PostgreSQL stores them.

    Its write-ahead log holds them until it is written over.
    """
    paths = (path for path in data.rglob("*") if path.is_file() and "pg_wal" not in path.parts)
    return sorted(str(path) for path in paths if any(trace in path.read_bytes() for trace in TRACES))


async def columns_with_traces(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    columns = await connection.fetch("""
        select attrelid::regclass::text as table, attname as column
        from pg_attribute
        join pg_class on pg_class.oid = attrelid
        where relkind in ('r', 'm') and attnum > 0 and not attisdropped
            and (relnamespace = 'public'::regnamespace or relname = 'pg_statistic')
    """)
    assert len(columns) > 150
    texts = rf"\y({PERSON}|{OWNER}|{str(PERSON).encode().hex()}|{OWNER.encode().hex()})"
    found = [
        f"{table}.{column}"
        for table, column in columns
        if await connection.fetchval(f'select true from {table} where "{column}"::text ~ $1 limit 1', texts)
    ]
    await connection.close()
    return found


async def test_person_is_erased_in_every_spelling_of_the_name(
    run: Callable[..., Program], database_url: str, folder: Path
) -> None:
    """Names are stored in their normal form, but rows of older versions as they were sent."""
    names = ["Jose\u0301", "José", "Jose"]
    async with await open_pool(database_url) as pool:
        for name in names:
            await pool.execute(
                "insert into webhook_events (id, event_type, user_id) values (gen_random_uuid(), 'a', $1)", name
            )
        program = run("erase", "--user", names[0], "--json", DATABASE_URL=database_url, STATS_DATA_DIR=str(folder))
        assert await program.ended() == 0, program.stderr
        assert json.loads(program.output())["erased"]["webhooks"]["webhook_events"] == 2
        assert await pool.fetchval("select array_agg(user_id) from webhook_events") == ["Jose"]


async def test_person_with_an_account_is_counted_once(
    run: Callable[..., Program], database_url: str, folder: Path
) -> None:
    """The name has two spellings, the id of the account one."""
    async with await open_pool(database_url) as pool:
        await make_user(pool, "José", "viewer")
        await pool.execute(
            "insert into feature_clicks (id, user_id, feature_name) select gen_random_uuid(), id, 'a' from users"
        )
    where = {"DATABASE_URL": database_url, "STATS_DATA_DIR": str(folder)}
    for more in (["--dry-run"], []):
        program = run("erase", "--user", "Jose\u0301", "--json", *more, **where)
        assert await program.ended() == 0, program.stderr
        assert json.loads(program.output())["erased"]["usage"]["feature_clicks"] == 1
