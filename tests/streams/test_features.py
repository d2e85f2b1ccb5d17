"""The names of features: what a user may add of them, and how they free their places."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from program import Program
from recounts import differences

from statsd.database.pool import POOL
from statsd.ingest import aggregate, erase, retention
from statsd.streams.usage import STREAM, features
from statsd.streams.usage.features import FEATURES, FULL, SHARE, USED_UP

Start = Callable[..., Awaitable[Any]]


async def register(client: Any, name: str) -> dict[str, str]:
    """Register somebody and return the header that says who they are."""
    sent = {"username": name, "password": "correct horse", "age": 34, "gender": "Female"}
    answer = await (await client.post("/register", json=sent)).json()
    client.session.cookie_jar.clear()
    return {"Authorization": f"Bearer {answer['token']}"}


async def click(client: Any, who: dict[str, str], *names: str) -> list[str | None]:
    """Click features in one batch; return the error of each click."""
    body = [{"feature_name": name} for name in names]
    answer = await (await client.post("/track", json=body, headers=who)).json()
    rows = answer["rejected"] if isinstance(answer, dict) else answer
    return [row.get("error") for row in rows]


def new(number: int, name: str = "f") -> list[str]:
    return [f"{name}{index}" for index in range(number)]


async def test_user_may_name_a_share_of_new_features_a_day(start: Start, pool: Any) -> None:
    client, other = await start(), await start()  # two servers
    anna, bob = await register(client, "anna"), await register(client, "bob")
    assert await click(client, anna, *new(SHARE - 1)) == [None] * (SHARE - 1)
    assert await click(other, anna, "one", "two", "f0", "one") == [None, USED_UP, None, None]
    response = await client.post("/track", json={"feature_name": "three"}, headers=anna)
    assert (response.status, await response.json()) == (400, {"error": USED_UP})
    assert await click(client, bob, "two") == [None]
    assert await click(client, anna, "two", "f5") == [None, None]  # not new any more
    await pool.execute("update feature_shares set day = day - 1")
    assert await click(client, anna, "three") == [None]
    assert await aggregate.expire(pool, "usage") == 2
    assert await pool.fetchval("select sum(names)::int from feature_shares") == 1
    assert await pool.fetchval("select count(*)::int from usage_features") == SHARE + 2


async def test_share_is_not_exceeded_by_many_requests_at_once(client: Any, pool: Any) -> None:
    anna = await register(client, "anna")
    batches = [click(client, anna, *new(30, f"b{number}-")) for number in range(8)]
    errors = [error for batch in await asyncio.gather(*batches) for error in batch]
    assert errors.count(None) == SHARE
    assert errors.count(USED_UP) == 240 - SHARE
    assert await pool.fetchval("select count(*)::int from usage_features") == SHARE


async def test_last_free_places_are_filled(client: Any, pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "MOST", 3)
    anna = await register(client, "anna")
    assert await click(client, anna, "a", "b") == [None, None]
    assert await click(client, anna, "c", "d", "a") == [None, FULL, None]
    assert await pool.fetchval("select names from feature_shares") == 3


async def test_feature_whose_clicks_were_all_pruned_frees_its_place(
    client: Any, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its totals stay, and it may come back as a new one."""
    monkeypatch.setattr(features, "MOST", 2)
    monkeypatch.setattr(features, "KNOWN_SECONDS", 0.0)
    anna = await register(client, "anna")
    old = datetime.now(UTC) - timedelta(days=40)
    clicks = 'insert into feature_clicks (feature_name, "timestamp") values ($1, $2)'
    await pool.executemany(clicks, [("old", old), ("both", old), ("both", datetime.now(UTC))])
    await aggregate.sweep(pool, "usage")
    assert await click(client, anna, "new") == [FULL]
    await retention.prune(pool, "usage", retention.first_day(30))
    assert await click(client, anna, "new", "old", "both") == [None, FULL, None]
    assert [tuple(row) for row in await pool.fetch("select feature_name, clicks from usage_features order by 1")] == [
        ("both", 3),
        ("new", 1),
        ("old", 1),
    ]
    assert not await differences(pool, "usage")
    await features.drop(pool, ["old", "new"])
    assert not await differences(pool, "usage")
    assert await pool.fetchval("select array_agg(feature_name) from pruned_usage_features") == ["both"]
    assert await click(client, anna, "old") == [None]


async def test_share_counts_while_the_database_is_away(client: Any) -> None:
    anna = await register(client, "anna")
    assert await click(client, anna, "known") == [None]
    client.app[POOL].terminate()
    assert await click(client, anna, *new(SHARE + 5), "known") == [None] * SHARE + [USED_UP] * 5 + [None]
    assert await click(client, anna, "another", "f0") == [USED_UP, None]


async def test_share_of_an_erased_person_is_forgotten(client: Any, pool: Any) -> None:
    await click(client, await register(client, "anna"), "a")
    await click(client, await register(client, "bob"), "b")
    person = await pool.fetchval("select id from users where username = 'anna'")
    await erase.from_stream(pool, STREAM, str(person))
    assert await pool.fetchval("select array_agg(user_id) from feature_shares where user_id = $1", person) is None
    assert await pool.fetchval("select count(*)::int from feature_shares") == 1


async def test_features_are_listed_and_dropped(
    start: Start, run: Callable[..., Program], database_url: str, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start()
    anna = await register(client, "anna")
    await click(client, anna, "keep", "junk", "jünk 2", "keep")
    await pool.execute("insert into feature_clicks (feature_name) values ('junk')")  # not folded yet

    async def command(*arguments: str) -> tuple[int, list[Any], str]:
        program = run("features", *arguments, DATABASE_URL=database_url, LOG_LEVEL="error")
        code = await program.ended()
        return code, [json.loads(line) for line in program.output().splitlines()], program.stderr

    code, rows, _ = await command("list")
    assert (code, [(row["feature_name"], row["clicks"]) for row in rows]) == (
        0, [("keep", 2), ("junk", 1), ("jünk 2", 1)],
    )  # fmt: skip
    assert await command("drop", "junk", "nope") == (1, [], "statsd: there is no feature nope: nothing was dropped\n")
    assert await command("drop", "junk", "ju\u0308nk 2") == (0, [], "2 features dropped, with 3 clicks\n")
    for table in ("usage_features", "usage_days", "usage_bins", "feature_clicks"):
        assert await pool.fetchval(f"select array_agg(distinct feature_name) from {table}") == ["keep"]
    charts = await (await client.get("/analytics", headers=anna)).json()
    assert charts["barChartData"] == [{"feature": "keep", "count": 2}]
    assert "junk" in client.app[FEATURES].names
    monkeypatch.setattr(client.app[FEATURES], "_forgotten_at", 0.0)  # ten minutes later
    assert "junk" not in client.app[FEATURES].names
    await pool.execute("update feature_shares set names = $1", SHARE)
    assert await click(client, anna, "junk") == [USED_UP]
