"""The logins stream: what goes in, and a payload that equals an independent recount."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from databases import renamed
from folders import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statsd.database import sql
from statsd.database.pool import open_pool
from statsd.ingest import aggregate, ids
from statsd.ingest.outage import OUTAGE
from statsd.ingest.writer import Writer
from statsd.streams import logins
from statsd.streams.logins.event import Login

LOGIN = {
    "user_id": 7,
    "login_time": "2025-03-29T10:00:00Z",
    "logout_time": "2025-03-29T11:05:00Z",
    "ip_address": "203.0.113.7",
    "region": "Estonia",
    "device_type": "mobile",
    "browser": "Firefox",
}


async def test_post_answers_201_with_the_stored_row(client: Any) -> None:
    response = await client.post("/logins", json=LOGIN)
    stored = await response.json()
    assert response.status == 201
    assert {**stored, "id": "", "created_at": "", "updated_at": ""} == {
        "id": "",
        "user_id": 7,
        "login_time": "2025-03-29T10:00:00.000Z",
        "logout_time": "2025-03-29T11:05:00.000Z",
        "session_duration_seconds": 3900,
        "ip_address": "203.0.113.7",
        "region": "Estonia",
        "device_type": "Mobile",
        "browser": "Firefox",
        "created_at": "",
        "updated_at": "",
    }
    newest = await (await client.get("/logins?limit=1")).json()
    assert newest == [stored]


async def test_login_without_times_is_now_and_still_open(client: Any) -> None:
    given_fields = {name: value for name, value in LOGIN.items() if "time" not in name}
    stored = await (await client.post("/logins", json=given_fields)).json()
    assert stored["logout_time"] is None
    assert stored["session_duration_seconds"] is None
    assert abs(datetime.fromisoformat(stored["login_time"]) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_browser_may_be_a_user_agent(client: Any) -> None:
    agent = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {'AppleWebKit/605.1.15 ' * 30}"[:512]
    answer = await client.post("/logins", json={**LOGIN, "browser": agent})
    assert (answer.status, (await answer.json())["browser"]) == (201, agent)
    assert (await stats(client))["browserStats"] == [{"browser": agent, "count": 1}]


async def test_array_answers_with_an_array(client: Any) -> None:
    response = await client.post("/logins", json=[LOGIN, {**LOGIN, "user_id": "x"}, {**LOGIN, "user_id": 8}])
    answer = await response.json()
    assert response.status == 201
    assert [one.get("user_id") for one in answer] == [7, None, 8]
    assert answer[1] == {"error": "Invalid payload", "details": ["user_id must be an integer of 32 bits"]}
    assert (await stats(client))["totalSessions"] == 2


async def test_array_in_which_nothing_is_right_is_400(client: Any) -> None:
    response = await client.post("/logins", json=[{"user_id": 1}, None])
    answer = await response.json()
    assert response.status == 400
    assert [one["index"] for one in answer["rejected"]] == [0, 1]
    assert len(answer["rejected"][0]["details"]) == 4
    assert not client.app[OUTAGE].away


async def test_empty_batch_is_refused_as_in_other_streams(client: Any) -> None:
    response = await client.post("/logins", json=[])
    expected = {"error": "Invalid payload", "details": ["the batch must hold at least one event"]}
    assert (response.status, await response.json()) == (400, expected)


async def test_all_faults_of_a_login_come_at_once(client: Any) -> None:
    response = await client.post("/logins", json={"user_id": None, "login_time": "2025-02-30"})
    answer = await response.json()
    assert response.status == 400
    assert answer["error"] == "Invalid payload"
    assert [fault.split()[0] for fault in answer["details"]] == [
        "user_id", "login_time", "ip_address", "region", "device_type", "browser",
    ]  # fmt: skip


async def test_same_key_counts_once_and_answers_with_the_first_row(client: Any) -> None:
    key = {"Idempotency-Key": "once"}
    first = await client.post("/logins", json=LOGIN, headers=key)
    repeats = await asyncio.gather(*(client.post("/logins", json=LOGIN, headers=key) for _ in range(20)))
    bodies = [await repeat.json() for repeat in repeats]
    assert (first.status, {repeat.status for repeat in repeats}) == (201, {200})
    assert bodies == [await first.json()] * 20
    assert (await stats(client))["totalSessions"] == 1


async def test_same_key_with_another_login_is_422(client: Any) -> None:
    key = {"Idempotency-Key": "once"}
    await client.post("/logins", json=LOGIN, headers=key)
    response = await client.post("/logins", json={**LOGIN, "region": "Japan"}, headers=key)
    assert response.status == 422
    assert (await stats(client))["totalSessions"] == 1


async def test_repeat_without_times_is_the_same_login(client: Any) -> None:
    """The first was given the time of its arrival; the repeat, which arrives later, means the same login."""
    given_fields = {name: value for name, value in LOGIN.items() if "time" not in name}
    first, second = [
        await client.post("/logins", json=given_fields, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert (first.status, second.status) == (201, 200)
    assert await first.json() == await second.json()


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.5", "\u0661", "9" * 5000, "1&limit=2"])
async def test_limit_must_be_a_number_in_range(client: Any, limit: str) -> None:
    response = await client.get(f"/logins?limit={limit}")
    assert response.status == 400
    assert "limit" in (await response.json())["error"]


async def test_empty_database_has_every_key_and_no_invented_number(client: Any) -> None:
    empty = await stats(client)
    assert (empty["totalSessions"], empty["totalUsers"], empty["averageSessionDuration"]) == (0, 0, 0)
    assert (empty["deviceStats"], empty["regionDeviceStats"], empty["sessionStats"]) == ([], [], [])
    assert set(empty["sessionSummary"].values()) == {0}
    assert [row["loginCount"] for row in empty["loginTrends"]] == [0] * 30
    assert [row["hour"] for row in empty["peakHours"]] == list(range(24))


async def test_eight_column_insert_of_the_contract_works_unchanged(client: Any, pool: Any) -> None:
    """Through psql's way in: literals with an offset, without any of our own columns."""
    await pool.execute("""
        INSERT INTO user_logins (user_id, login_time, logout_time, session_duration_seconds, ip_address, region,
            device_type, browser) VALUES
        (12, '2025-03-01 08:15:30.123456+0000', '2025-03-01 09:15:30.123456+0000', 3600, '240.12.3.4', 'Nigeria',
            'Desktop', 'Edge'),
        (12, '2025-03-01 23:30:00+0500', NULL, NULL, '10.0.0.1', 'Nigeria', 'tablet', 'Opera'),
        (13, '2025-03-02 00:00:00+0000', '2025-03-02 00:01:30+0000', NULL, '10.0.0.2', 'UK', 'Desktop', 'Opera')
    """)
    assert await aggregate.sweep(pool, "logins") == 3
    payload = await stats(client)
    assert payload["deviceStats"] == [
        {
            "device_type": "Desktop",
            "count": 2,
            "unique_users": 2,
            "percentage": 66.67,
            "avg_session_duration_seconds": 1845.0,
        },
        {
            "device_type": "Tablet",
            "count": 1,
            "unique_users": 1,
            "percentage": 33.33,
            "avg_session_duration_seconds": 0.0,
        },
    ]
    assert {row["hour"]: row["loginCount"] for row in payload["peakHours"] if row["loginCount"]} == {0: 1, 8: 1, 18: 1}


async def test_what_a_login_leaves_out_is_filled_in_and_matches_what_it_became(pool: Any) -> None:
    now = datetime.now(UTC)
    start, end = now - timedelta(minutes=2), now + timedelta(minutes=1, seconds=5.9)
    rest = ("203.0.113.7", "Estonia", "Mobile", "Firefox")
    times = [
        (start, end, 7),
        (start, end, None),
        (start, None, None),
        (None, end, None),
        (None, now, None),
        (None,) * 3,
    ]
    rows = [(ids.new_id(), 7, *given, *rest) for given in times]
    queries = sql.load("logins")
    stored = await pool.fetch(queries["insert"], *map(list, zip(*rows, strict=True)))
    began, ended, seconds = zip(
        *((row["login_time"], row["logout_time"], row["session_duration_seconds"]) for row in stored), strict=True
    )
    assert began[:3] == (start, start, start)
    assert began[3] == began[5] >= now == began[4]  # of the fourth the logout came before the statement
    assert ended == tuple(logout for _, logout, _ in times)
    assert seconds == (7, 185, None, int((end - began[3]).total_seconds()), 0, None)

    async def same(rows: list[Any]) -> list[bool]:
        found = await pool.fetch(queries["known"], *map(list, zip(*rows, strict=True)))
        assert sorted(dict(row)["id"] for row in found) == sorted(row[0] for row in rows)
        return [row["same"] for row in sorted(found, key=lambda row: row["number"])]

    assert await same(rows) == [True] * 6
    as_stored = [(row["id"], 7, *times, *rest) for row, *times in zip(stored, began, ended, seconds, strict=True)]
    assert await same(as_stored) == [True] * 6
    others = [
        (rows[0][0], 7, start, end, 8, *rest),
        (rows[1][0], 7, end, end, None, *rest),
        (rows[2][0], 7, start, end, None, *rest),
        (rows[3][0], 7, None, None, None, *rest),
        (rows[4][0], 8, None, now, None, *rest),
        (rows[5][0], 7, None, None, 0, *rest),
    ]
    assert await same(others) == [False] * 6
    (known,) = await pool.fetch(queries["known"], *([value] for value in rows[0]))
    assert {**known, "number": 0} == {**stored[0], "number": 0, "same": True}


async def test_sample_data_counts_once(client: Any, pool: Any) -> None:
    await pool.execute((ROOT / "sample_data.sql").read_text())
    assert (await stats(client))["totalSessions"] == 0
    assert await aggregate.sweep(pool, "logins") == 100
    payload = await stats(client)
    assert payload["totalSessions"] == 100
    assert sum(row["loginCount"] for row in payload["loginTrends"]) == 100
    assert payload["sessionSummary"]["activeSessions"] > 0
    recounted(payload, await raw(pool))


DEVICES = st.sampled_from(["Desktop", "mobile", "TABLET", "Console"])
EVENTS = st.builds(
    Login,
    user_id=st.integers(1, 6),
    login_time=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
    session_duration_seconds=st.none() | st.integers(0, 200) | st.just(logins.event.LONGEST_SESSION),
    ip_address=st.just("203.0.113.1"),
    region=st.sampled_from(["USA", "Japan", "\u00c5land"]),
    device_type=DEVICES,
    browser=st.sampled_from(["Chrome", "Opera"]),
)


@given(st.lists(st.lists(EVENTS, min_size=1, max_size=12), min_size=1, max_size=5), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_payload_equals_a_recount_of_the_raw_rows(
    server_dsn: str, template: str, batches: list[list[Login]], outside: bool
) -> None:
    """Whatever logins come in whatever batches, and whether we or another program inserted them."""
    asyncio.run(_fold_and_recount(server_dsn, template, batches, outside))


async def _fold_and_recount(server_dsn: str, template: str, batches: list[list[Login]], outside: bool) -> None:
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f"create database recount template {template}")
    try:
        async with await open_pool(renamed(server_dsn, "recount")) as pool:
            writer = Writer(logins.STREAM, pool)
            task = asyncio.create_task(writer.run())
            for batch in batches:
                await writer.store([logins.event.row(login, ids.new_id()) for login in batch])
                if outside:
                    await pool.execute("""
                        insert into user_logins (user_id, login_time, ip_address, region, device_type, browser)
                        select user_id, login_time, ip_address, region, lower(device_type), browser
                        from user_logins order by id limit 3
                    """)
                    await aggregate.sweep(pool, "logins")
                payload = msgspec.json.decode(await pool.fetchval(sql.load("logins")["snapshot"], datetime.now(UTC)))
                recounted(payload, await raw(pool))
            writer.stop()
            await task
    finally:
        await admin.execute("drop database recount with (force)")
        await admin.close()


async def stats(client: Any) -> dict[str, Any]:
    response = await client.get("/logins/stats")
    assert response.status == 200
    return await response.json()


async def raw(pool: Any) -> list[Any]:
    return await pool.fetch("select * from user_logins")


def recounted(payload: dict[str, Any], rows: list[Any]) -> None:
    """Assert every number of the payload against the raw rows, counted in plain Python."""
    by_device = defaultdict(list)
    for row in rows:
        by_device[row["device_type"]].append(row)
    assert payload["totalSessions"] == payload["sessionSummary"]["totalLogins"] == len(rows)
    assert payload["totalUsers"] == len({row["user_id"] for row in rows})
    assert {r["device_type"]: (r["count"], r["unique_users"]) for r in payload["deviceStats"]} == {
        device: (len(mine), len({row["user_id"] for row in mine})) for device, mine in by_device.items()
    }
    assert {(r["region"], r["device_type"]): r["count"] for r in payload["regionDeviceStats"]} == Counter(
        (row["region"], row["device_type"]) for row in rows
    )
    regions = Counter(row["region"] for row in rows)
    assert {r["region"]: r["count"] for r in payload["regionStats"]} == regions
    assert all(r["region_total"] == regions[r["region"]] for r in payload["regionDeviceStats"])
    assert {r["browser"]: r["count"] for r in payload["browserStats"]} == Counter(row["browser"] for row in rows)
    hours = Counter(row["login_time"].hour for row in rows)
    assert payload["peakHours"] == [{"hour": hour, "loginCount": hours[hour]} for hour in range(24)]
    days = Counter(row["login_time"].date() for row in rows)
    today = datetime.fromisoformat(payload["generatedAt"]).date()
    assert payload["loginTrends"] == [
        {"date": str(day), "loginCount": days[day]}
        for day in (today - timedelta(days=ago) for ago in range(29, -1, -1))
    ]
    for row in payload["sessionStats"]:
        assert _lengths(row) == _recounted_lengths(by_device[row["device_type"]])
    assert _lengths(payload["sessionSummary"]) == _recounted_lengths(rows)
    order = [(-r["region_total"], r["region"], -r["count"], r["device_type"]) for r in payload["regionDeviceStats"]]
    assert [(total, count) for total, _, count, _ in order] == [
        (total, count) for total, _, count, _ in sorted(order, key=lambda key: (key[0], key[1].encode(), *key[2:]))
    ]


def _lengths(row: dict[str, Any]) -> tuple[Any, ...]:
    active = row["active_sessions"] if "active_sessions" in row else row["activeSessions"]
    names = ("totalSessions", "averageDuration", "minDuration", "maxDuration", "medianDuration")
    return (*(row[name] for name in names), active)


def _recounted_lengths(rows: list[Any]) -> tuple[Any, ...]:
    seconds = [row["session_duration_seconds"] for row in rows if row["session_duration_seconds"] is not None]
    if not seconds:
        return (0, 0, 0, 0, 0, len(rows))
    average = pytest.approx(statistics.mean(seconds), abs=0.006)
    return (len(seconds), average, min(seconds), max(seconds), statistics.median(seconds), len(rows) - len(seconds))
