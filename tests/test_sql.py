"""The SQL files: every query is valid against the migrated schema, and none reads a raw table whole."""

from __future__ import annotations

import json

import asyncpg
import pytest

from statsd import sql
from statsd.streams import STREAMS

COUNT = "select count(*) from fresh"


def statements() -> list[tuple[str, str]]:
    """Every query as the program runs it: heads joined with the fold."""
    made = []
    for stream in STREAMS:
        queries = sql.load(stream.name)
        joined = {"insert": queries["stored"], "sweep": COUNT, "rebuild": COUNT}
        for name, text in queries.items():
            if name in joined:
                made.append((f"{stream.name}.{name}", f"{text}\n{queries['fold']}\n{joined[name]}"))
            elif name not in ("fold", "stored"):
                made.append((f"{stream.name}.{name}", text))
    return made


@pytest.mark.parametrize(("name", "text"), statements())
async def test_query_can_be_prepared(pool: asyncpg.Pool[asyncpg.Record], name: str, text: str) -> None:
    async with pool.acquire() as connection:
        await connection.prepare(text)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
async def test_insert_takes_the_columns_the_stream_declares(pool: asyncpg.Pool[asyncpg.Record], stream: object) -> None:
    queries = sql.load(stream.name)
    async with pool.acquire() as connection:
        prepared = await connection.prepare(f"{queries['insert']}\n{queries['fold']}\n{queries['stored']}")
        assert len(prepared.get_parameters()) == len(stream.columns)


async def test_no_read_scans_a_raw_table(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Even with sequential scans priced as usual, on a table of some size, every read goes by index or to totals."""
    await pool.execute("""
        insert into user_logins (user_id, ip_address, region, device_type, browser, login_time, folded)
        select n, '203.0.113.1', 'USA', 'Mobile', 'Chrome', now() - n * interval '1 second', true
        from generate_series(1, 20000) as n
    """)
    await pool.execute("analyze user_logins")
    literals = {"logins.find": "'{}'", "logins.newest": "100"}
    reads = [(name, text) for name, text in statements() if name.split(".")[1] not in ("insert", "rebuild", "lock")]
    for name, text in reads:
        plan = await pool.fetchval("explain (format json) " + text.replace("$1", literals.get(name, "")))
        assert "user_logins" not in _scanned(json.loads(plan)[0]["Plan"]), name


def _scanned(plan: dict) -> list[str]:
    """The tables a plan reads sequentially."""
    own = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return own + [table for child in plan.get("Plans", []) for table in _scanned(child)]


def test_a_name_used_twice_is_refused(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice.sql").write_text("-- name: a\nselect 1\n-- name: a\nselect 2\n")
    monkeypatch.setattr(sql, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"names a more than once"):
        sql.load("twice")
