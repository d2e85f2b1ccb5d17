"""Names that senders choose are bounded in the totals of logins: the rest counts as (other), and all adds up."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

from recounts import differences

from statsd.database import sql
from statsd.database.pool import again
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
