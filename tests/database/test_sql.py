"""The SQL files: every query is valid against the migrated schema, and none reads a raw table whole."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from statsd.database import sql
from statsd.exchange import forms
from statsd.ingest import generator
from statsd.ingest.ids import new_id
from statsd.stream import Stream
from statsd.streams import STREAMS


def statements() -> list[tuple[str, str]]:
    """Every statement as the program runs it."""
    files = (
        "doctor",
        "dead_letters",
        "accounts",
        "keys",
        "throttle",
        "aggregation",
        "bins",
        "retention",
        *(stream.name for stream in STREAMS),
    )
    return [(f"{file}.{name}", text) for file in files for name, text in sql.load(file).items()]


@pytest.mark.parametrize(("name", "text"), statements())
async def test_query_can_be_prepared(pool: asyncpg.Pool[asyncpg.Record], name: str, text: str) -> None:
    async with pool.acquire() as connection:
        await connection.prepare(text)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
async def test_insert_takes_the_columns_the_stream_declares(pool: asyncpg.Pool[asyncpg.Record], stream: Stream) -> None:
    async with pool.acquire() as connection:
        for head in {"insert", "append"} & sql.load(stream.name).keys():
            prepared = await connection.prepare(sql.load(stream.name)[head])
            assert len(prepared.get_parameters()) == len(stream.columns) + len(stream.sent(1))


@pytest.mark.parametrize("stream", [stream.name for stream in STREAMS if not stream.part_of])
async def test_import_takes_the_columns_of_its_records(pool: asyncpg.Pool[asyncpg.Record], stream: str) -> None:
    async with pool.acquire() as connection:
        for raw in forms.raws_of(stream):
            prepared = await connection.prepare(sql.load(raw.stream.name)[raw.stream.insert])
            assert len(prepared.get_parameters()) == len(raw.stream.columns) + len(raw.stream.sent(1))


UUID = "01a1fbf8-34c0-7ac8-b7b2-1749eb2b4d4f"
LITERALS = {
    "doctor.transactions": ["300"],
    "doctor.prepared": ["300"],
    "accounts.add": ["'anna'", "'anna'", "'hash'", "34", "'Female'", "'viewer'"],
    "accounts.add_invited": ["'anna'", "'anna'", "'hash'", "34", "'Female'", "''"],
    "accounts.invite": ["''", "'viewer'", "7"],
    "accounts.is_invited": ["''"],
    "accounts.find": ["'anna'"],
    "accounts.of_tokens": ["array[7]", "array[1]", f"array['{UUID}']"],
    "accounts.revoke": ["'01a1fbf8-34c0-7ac8-b7b2-1749eb2b4d4f'", "now()"],
    "accounts.rehash": ["7", "'old'", "'new'"],
    "accounts.change_password": ["'anna'", "'hash'"],
    "accounts.change_role": ["'anna'", "'admin'"],
    "accounts.logged_in": ["7"],
    "accounts.remove": ["'anna'"],
    "keys.add": ["'ci'", "''", "'{read}'", "now()"],
    "keys.of_digests": ["'{}'"],
    "keys.used": ["7"],
    "keys.list": ["true"],
    "keys.revoke": ["'ci'", "true"],
    "accounts.id_of": ["'7'", "'anna'"],
    "accounts.remove_by_id": ["7"],
    "throttle.attempt": ["'{}'", "'{}'", "'{}'"],
    "throttle.release": ["'{}'"],
    "throttle.forget": ["''"],
    "throttle.is_known": ["''"],
    "throttle.remember": ["''"],
    "logins.newest": ["100"],
    "pageviews.receipt": [f"'{UUID}'"],
    "pageviews.report": ["'site-1'", "'2025-11-01'", "'2025-11-30'", "10"],
    "webhooks.page": ["(now() - interval '1 hour')", "now()", "'01a1fbf8-34c0-7ac8-b7b2-1749eb2b4d4f'", "101"],
    "webhooks.statistics": ["'week'", "(now() - interval '6 days')"],
    **{
        f"{name}.prune": ["(current_date - 400)", "null"]
        for name in ("logins", "usage", "transfers", "pageviews", "webhooks")
    },
    "logins.forget": ["(current_date - 400)", "null"],
    "pageviews.forget": ["(current_date - 400)", "null"],
    "webhooks.forget": ["(current_date - 400)", "null"],
    "webhooks.keep_refused": ["'[]'"],
    "retention.mark": ["'logins'"],
    "retention.set_mark": ["'logins'", "current_date", "true"],
    "usage.analytics": ["'2025-11-01'", "'2025-11-30'", "'Male'", "'All'", "'export_data'", "'Asia/Tokyo'", "1"],
    "usage.grant_features": ["array['export_data']", "7", "10000", "100"],
    "usage.seed": ["'hash'", "'{user1}'", "'{16}'", "'{Male}'", "'{export_data}'::text[]"],
    "items.fixtures": [f"array['{UUID}']::uuid[]", "array['a drill']"],
    "transfers.fixtures": [
        f"'{UUID}'::uuid",
        "'a drill'",
        f"array['{UUID}']::uuid[]",
        "array['Ada']",
        f"array['{UUID}']::uuid[]",
    ],
    "items.page": ["50", f"'{UUID}'"],
    "items.find": [f"'{UUID}'"],
    "items.history": [f"'{UUID}'", "100"],
    "transfers.owner": [f"'{UUID}'"],
    "transfers.base_item": [f"'{UUID}'"],
    "transfers.add_owner": [f"'{UUID}'", "'Ada'"],
    "transfers.add_base_item": [f"'{UUID}'", "'a bike'"],
    "transfers.owners": ["50", f"'{UUID}'"],
    "transfers.base_items": ["50", f"'{UUID}'"],
    "aggregation.claim": ["10"],
    "bins.expire": ["'items'"],
    "bins.series": ["'items'", "'minute'"],
    "dead_letters.attempts": [f"array['{UUID}']::uuid[]"],
}


async def test_no_read_scans_a_raw_table(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """On tables of some size every read goes by index or to totals."""
    rng = random.Random(1)
    for stream in STREAMS:
        await generator.store_fixtures(pool, stream)
        for _ in range(4):
            rows = [stream.row(stream.sample(rng), new_id()) for _ in range(5_000)]
            await pool.execute(
                sql.load(stream.name)["insert"],
                *map(list, zip(*rows, strict=True)),
                *stream.sent(len(rows)),
                timeout=60,
            )
    await pool.execute("analyze")
    whole = ("rebuild", "recount", "overdue", "person", "settle")  # what commands ask for, and wait for
    reads = [
        (name, text)
        for name, text in statements()
        if name.split(".")[1]
        not in (*whole, "insert", "append", "empty", "refill", "erase", "lock", "keep_dead", "drop", "refuse")
        and name.split(".")[1].split("_")[0] not in ("import", "export")
    ]
    for name, text in reads:
        literals = LITERALS.get(name, ["now()"] if name.endswith(".snapshot") else [])
        if name.endswith(".known"):
            literals = ["'{}'"] * len(next(stream for stream in STREAMS if name == f"{stream.name}.known").columns)
        query = text
        for number, literal in enumerate(literals, 1):
            query = query.replace(f"${number}", literal)
        plan = await pool.fetchval(f"explain (format json) {query}")
        assert not {sql.table(stream.name) for stream in STREAMS} & set(_scanned(json.loads(plan)[0]["Plan"])), name


def _scanned(plan: dict[str, Any]) -> list[str]:
    """The tables a plan reads sequentially."""
    own = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return own + [table for child in plan.get("Plans", []) for table in _scanned(child)]


def test_a_name_used_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice.sql").write_text("-- name: a\nselect 1\n-- name: a\nselect 2\n")
    monkeypatch.setattr(sql, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"names a more than once"):
        sql.load("twice")


def test_parts_are_joined_and_are_no_statements_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clicks").mkdir()
    (tmp_path / "clicks" / "store.sql").write_text(
        "-- About it.\n\n-- table: clicks\n\n-- part: insert\nA\n\n-- part: sweep\nB\n\n-- part: rebuild\nC\n\n"
        "-- What both do.\n-- part: fold\nfold\n\n-- part: stored\nstored\n"
    )
    (tmp_path / "streams.sql").write_text(
        "-- part: waiting\nfrom :table\n\n-- part: rebuild\nnot this\n\n-- part: swept\ncount\n\n"
        "-- part: rebuilt\ncount\n\n-- name: lock\nlock :table\n"
    )
    (tmp_path / "clicks" / "read.sql").write_text("-- name: snapshot\nselect 1\n")
    monkeypatch.setattr(sql, "FOLDER", tmp_path)
    assert sql.load("clicks") == {
        "insert": "A\nfold\nstored",
        "sweep": "from clicks\nB\nfold\ncount",
        "rebuild": "C\nfold\ncount",
        "lock": "lock clicks",
        "snapshot": "select 1",
    }
    assert sql.text("clicks").startswith("-- insert\nA\nfold\nstored;\n\n-- sweep\nfrom clicks\nB\n")
    assert sql.text("clicks").endswith("-- snapshot\nselect 1;\n")
    (tmp_path / "clicks" / "read.sql").write_text("-- name: fold\nselect 1\n")
    sql.load.cache_clear()
    with pytest.raises(ValueError, match=r"names fold more than once"):
        sql.load("clicks")
    sql.load.cache_clear()


async def test_expiry_of_bins_goes_by_their_key(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Each aggregation asks, and almost always there is nothing to delete: that must not cost a read of all bins."""
    await pool.execute("""
        insert into bins (stream, unit, bin, count)
        select 'items', 'minute', now() - n * interval '1 minute', 1
        from generate_series(1, 50000) as n
    """)
    await pool.execute("""
        insert into webhook_type_bins (unit, bin, event_type, events)
        select 'day', date_trunc('day', now(), 'UTC') - n % 100 * interval '1 day', 'type-' || n / 100, 1
        from generate_series(0, 49999) as n
    """)
    await pool.execute("analyze")
    for query in (sql.load("bins")["expire"].replace("$1", "'items'"), sql.load("webhooks")["expire"]):
        plan = json.loads(await pool.fetchval(f"explain (format json) {query}"))[0]["Plan"]
        (old,) = (part for part in plan["Plans"] if part.get("Subplan Name") == "CTE old")
        assert _scanned(old) == [], query


def test_append_is_insert_without_a_line_and_may_return_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clicks").mkdir()
    (tmp_path / "clicks" / "read.sql").touch()
    (tmp_path / "streams.sql").write_text(
        "-- part: waiting\n\n-- part: rebuild\n\n-- part: swept\n\n-- part: rebuilt\n"
    )
    store = (
        "-- table: clicks\n\n-- part: insert\nA\nB -- not in `append`\nC\n\n-- part: sweep\n\n-- part: fold\nfold\n\n"
        "-- part: stored\nstored\n"
    )
    monkeypatch.setattr(sql, "FOLDER", tmp_path)
    for text, end in ((store, "stored"), (store + "\n-- part: appended\nnothing\n", "nothing")):
        (tmp_path / "clicks" / "store.sql").write_text(text)
        sql.load.cache_clear()
        assert sql.load("clicks")["insert"] == "A\nB -- not in `append`\nC\nfold\nstored"
        assert sql.load("clicks")["append"] == f"A\nC\nfold\n{end}"


@pytest.mark.parametrize("name", ["owners", "base_items"])
async def test_pages_of_a_large_table_are_planned_once(pool: asyncpg.Pool[asyncpg.Record], name: str) -> None:
    """PostgreSQL plans a statement each time if it takes the plan for any parameters to be the more expensive one."""
    column = "name" if name == "owners" else "description"
    await pool.execute(f"insert into {name} ({column}) select 'Ada' from generate_series(1, 50000)")
    await pool.execute("analyze")
    page = sql.load("transfers")[name]
    async with pool.acquire() as connection:
        for _ in range(8):
            await connection.fetch(page, 51, None)
        planned_once = await connection.fetchval(
            "select generic_plans > 0 from pg_prepared_statements where statement = $1", page
        )
    assert planned_once
