"""Retention: raw rows go, and the people in totals with them; numbers stay, and equal a recount and a rebuild."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from recounts import differences
from waiting import until

from statsd.database import sql
from statsd.ingest import aggregate, generator, ids, retention
from statsd.settings import Settings
from statsd.stream import Stream
from statsd.streams import STREAMS

KEPT = [stream for stream in STREAMS if retention.has_retention(stream.name)]
TIMES = {
    "logins": ["created_at"],
    "webhooks": ["received_at"],
    "usage": ['"timestamp"'],
    "transfers": ['"timestamp"'],
    "pageviews": ["created_at", '"timestamp"'],
}
PEOPLE = {
    "logins": ("login_users", "login_device_users"),
    "pageviews": ("page_user_days", "page_visitors"),
}
each_stream = pytest.mark.parametrize("stream", KEPT, ids=lambda stream: stream.name)


async def fill(pool: Any, stream: Stream, rows: int = 400, days: int = 40) -> None:
    """Store rows that were received over the days before now."""
    for needed in STREAMS if stream.name == "transfers" else (stream,):
        await generator.store_fixtures(pool, needed)
    rng = random.Random(7)
    batch = [stream.row(stream.sample(rng), ids.new_id()) for _ in range(rows)]
    await pool.fetch(sql.load(stream.name)["insert"], *map(list, zip(*batch, strict=True)), *stream.sent(len(batch)))
    # As if they had come over weeks: received then, and counted anew.
    moment = "now() - $1::double precision * interval '1 day' * numbered.number / $2::integer"
    times = ", ".join(f"{column} = {moment}" for column in TIMES[stream.name])
    await pool.execute(
        f"""
        update {sql.table(stream.name)} as t
        set {times}
        from (select id, row_number() over (order by id desc) as number from {sql.table(stream.name)}) as numbered
        where t.id = numbered.id
        """,
        days,
        rows,
    )
    await aggregate.rebuild(pool, stream.name)


async def totals(pool: Any, stream: str) -> dict[str, Any]:
    """Every number the stream's views show, and its tables of totals without those that hold people."""
    names = {"logins": "login_", "webhooks": "webhook_", "usage": "usage_", "pageviews": "page_"}
    tables = await pool.fetch(
        "select relname from pg_class where relkind = 'r' and (starts_with(relname, $1) or relname = 'bins')",
        names.get(stream, "bins"),
    )
    skipped = (*PEOPLE.get(stream, ()), sql.table(stream), "page_pruned_days", "webhook_pruned_days")
    return {
        table: sorted(map(tuple, await pool.fetch(f"select * from {table}")), key=repr)
        for table in (record["relname"] for record in tables)
        if table not in skipped
    }


@each_stream
async def test_rows_and_people_go_and_numbers_stay_also_through_a_rebuild(stream: Stream, pool: Any) -> None:
    await fill(pool, stream)
    before = await totals(pool, stream.name)
    raw = sql.table(stream.name)
    for days in (30, 10, 10):
        kept_from = retention.first_day(days)
        expected = await retention.overdue(pool, stream.name, kept_from)
        counts = await retention.prune(pool, stream.name, kept_from)
        assert counts == expected
        assert await differences(pool, stream.name) == []
        assert await totals(pool, stream.name) == before
        await aggregate.rebuild(pool, stream.name)
        assert await totals(pool, stream.name) == before
        assert await differences(pool, stream.name) == []
    assert counts[raw] == 0  # nothing was left for the last
    left: int = await pool.fetchval(f"select count(*) from {raw}")
    assert 50 < left < 200
    if stream.name in PEOPLE:
        user_ids = {row["user_id"] for row in await pool.fetch(f"select distinct user_id from {raw}")} - {None}
        for table in PEOPLE[stream.name]:
            people = {row["user_id"] for row in await pool.fetch(f"select distinct user_id from {table}")}
            assert people <= user_ids, table


@each_stream
async def test_ingest_goes_on_meanwhile_and_totals_stay_exact(stream: Stream, pool: Any) -> None:
    await fill(pool, stream)
    insert, rng = sql.load(stream.name)["insert"], random.Random(8)

    async def store() -> None:
        for _ in range(20):
            batch = [stream.row(stream.sample(rng), ids.new_id()) for _ in range(20)]
            await pool.fetch(insert, *map(list, zip(*batch, strict=True)), *stream.sent(len(batch)))

    storing = asyncio.gather(store(), store())
    for days in range(39, 0, -3):
        await retention.prune(pool, stream.name, retention.first_day(days))
        assert await differences(pool, stream.name) == []
    await storing
    assert await differences(pool, stream.name) == []


async def test_latest_transfer_of_an_item_stays_and_so_does_its_owner(pool: Any) -> None:
    stream = next(stream for stream in STREAMS if stream.name == "transfers")
    await fill(pool, stream, rows=200)
    owners = await pool.fetch("select id, owner_id, owned_since from items order by id")
    await retention.prune(pool, "transfers", datetime.now(UTC).date() + timedelta(days=2))
    assert await pool.fetch("select id, owner_id, owned_since from items order by id") == owners
    latest = await pool.fetch('select item_id, owner_id, "timestamp" from transfers order by item_id')
    assert [tuple(row) for row in latest] == [tuple(row) for row in owners if row["owner_id"]]


async def test_user_of_a_login_who_comes_again_stays(pool: Any) -> None:
    stream = next(stream for stream in STREAMS if stream.name == "logins")
    await fill(pool, stream, rows=50)
    user, old = await pool.fetchrow("select user_id, last_day from login_users order by last_day limit 1")
    login = stream.row(stream.sample(random.Random(1)), ids.new_id())
    await pool.fetch(sql.load("logins")["insert"], *([value] for value in (login[0], user, *login[2:])))
    today = await pool.fetchval("select last_day from login_users where user_id = $1", user)
    assert old < today
    await retention.prune(pool, "logins", today)
    assert await pool.fetchval("select array_agg(user_id) from login_users") == [user]
    assert await differences(pool, "logins") == []


async def test_round_of_the_aggregation_keeps_to_the_settings_once_a_day(pool: Any) -> None:
    for stream in KEPT:
        await fill(pool, stream, rows=60)
    settings = Settings(retention_days=20, retention_days_webhooks=0, retention_days_pageviews=30)
    for stream in KEPT:
        await retention.keep_to(pool, stream.name, settings)
    marks = {
        row["stream"]: row["kept_from"] for row in await pool.fetch("select * from retention_marks where finished")
    }
    days = {"logins": 20, "usage": 20, "transfers": 20, "pageviews": 30}
    assert marks == {stream: retention.first_day(number) for stream, number in days.items()}
    await pool.execute("update user_logins set created_at = now() - interval '50 days'")
    await retention.keep_to(pool, "logins", settings)
    assert await pool.fetchval("select count(*) from user_logins") > 0  # that day is done


async def test_what_a_stop_interrupts_is_finished_before_a_rebuild(pool: Any) -> None:
    stream = next(stream for stream in STREAMS if stream.name == "logins")
    await fill(pool, stream)
    before = await totals(pool, "logins")
    await retention.prune(pool, "logins", retention.first_day(20), seconds=0.0)
    assert not await pool.fetchval("select finished from retention_marks")
    assert await differences(pool, "logins") == []
    await aggregate.rebuild(pool, "logins")
    assert await pool.fetchval("select finished from retention_marks")
    assert await totals(pool, "logins") == before
    assert await differences(pool, "logins") == []


async def test_hashes_of_addresses_go_without_another_attempt(start: Any, pool: Any) -> None:
    await pool.execute("""
        insert into login_throttles
        select sha256(text::bytea), 1, 5, 300, at, at, false
        from (values ('old', now() - interval '16 minutes'), ('new', now())) as attempts (text, at)
    """)
    await pool.execute("""
        insert into login_addresses
        select sha256(text::bytea), at
        from (values ('old', now() - interval '31 days'), ('new', now() - interval '29 days')) as logins (text, at)
    """)
    await start(aggregate_seconds=0.1)
    await until(lambda: pool.fetchval("select count(*) = 1 from login_throttles"))
    await until(lambda: pool.fetchval("select count(*) = 1 from login_addresses"))


def test_command_counts_first_and_deletes_then(run: Any) -> None:
    run("seed").output()
    setting = {"STATS_RETENTION_DAYS_LOGINS": "1"}
    dry = json.loads(run("prune", "--dry-run", "--json", **setting).output())
    assert dry["logins"] == {"user_logins": 0, "login_users": 0, "login_device_users": 0}
    assert dry.keys() == {"logins"}
    program = run("prune", "--stream", "logins", **setting)
    assert "logins: 0 rows of user_logins" in program.output()
