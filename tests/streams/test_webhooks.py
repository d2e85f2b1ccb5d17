"""Webhook events: the documented words, every fault at once, and each delivery once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from deliveries import EVENT, events, post, stats
from waiting import until

from statsd.ingest import aggregate
from statsd.ingest.outage import OUTAGE
from statsd.streams import webhooks
from statsd.streams.webhooks import windows

Start = Callable[..., Awaitable[Any]]


# The contract


async def test_event_is_received_in_the_documented_words(client: Any) -> None:
    answer = await post(client, EVENT)
    assert (answer["success"], answer["message"]) == (True, "Event received successfully")
    assert UUID(answer["data"]["eventId"])
    assert datetime.fromisoformat(answer["data"]["receivedAt"]) <= datetime.now(UTC)
    found = await events(client)
    assert (found["count"], found["filter"], found["nextCursor"]) == (1, "hour", None)
    assert found["events"] == [{
        **EVENT,
        "timestamp": "2024-01-01T12:00:00.000Z",
        "eventId": answer["data"]["eventId"],
        "receivedAt": answer["data"]["receivedAt"],
    }]  # fmt: skip


async def test_published_expectations_hold(client: Any) -> None:
    """The suites of the program that webhooks replace, without an account."""
    index = await (await client.get("/")).json()
    assert (index["success"], index["message"]) == (True, "Event Webhook API")
    assert index["data"]["version"]
    assert "POST /webhook" in index["data"]["endpoints"]
    health = await (await client.get("/health")).json()
    assert health["success"]
    assert {"status", "uptime", "timestamp"} <= set(health["data"])
    default = await (await client.get("/events")).json()
    assert default["success"]
    assert (default["data"]["filter"], default["data"]["count"]) == ("hour", 0)
    for name in windows.NAMES:
        assert (await events(client, f"filter={name}"))["filter"] == name
        assert await stats(client, name) == {"totalEvents": 0, "invalidEvents": 0, "statistics": {}, "filter": name}
    unknown = await client.get("/no/such/place")
    assert (unknown.status, (await unknown.json())["message"]) == (404, "Endpoint not found")


@pytest.mark.parametrize("path", ["/events", "/events/stats", "/export/csv", "/export/json", "/export/ndjson"])
async def test_other_filter_is_400_in_the_documented_words(client: Any, path: str) -> None:
    for other in ("month", "HOUR", "hour%00"):
        response = await client.get(f"{path}?filter={other}")
        assert response.status == 400
        body = await response.json()
        assert body["success"] is False
        assert body["message"] == 'Invalid filter parameter. Must be "hour", "day", or "week"'
    assert (await client.get(f"{path}?filter=hour&filter=day")).status == 400


@pytest.mark.parametrize(
    "event",
    [
        {"eventType": "x", "userId": "user123"},
        {"eventType": "x" * 128, "userId": "y" * 100, "metadata": None, "timestamp": None},
        {"eventType": "a b/ç", "userId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "metadata": {}, "more": "ignored"},
        {**EVENT, "timestamp": "2024-02-29"},
        {**EVENT, "timestamp": "2024-01-01T12:00:00.123456789+05:30"},
        {**EVENT, "metadata": {"page": "/home", "deep": [[[[{"a": [1.5, None, True, 10**25]}]]]], "ünïcode": "✓"}},
    ],
)
async def test_what_the_contract_allows_is_stored(client: Any, event: dict[str, Any]) -> None:
    await post(client, event)
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["userId"]) == (event["eventType"], event["userId"])
    assert found.get("metadata") == event.get("metadata")


@pytest.mark.parametrize(
    ("event", "faults"),
    [
        ({}, {"eventType": "any.required", "userId": "any.required"}),
        ({**EVENT, "eventType": 7}, {"eventType": "string.base"}),
        ({**EVENT, "eventType": " "}, {"eventType": "string.empty"}),
        ({**EVENT, "eventType": "x" * 129}, {"eventType": "string.max"}),
        ({**EVENT, "eventType": "a\u0000b"}, {"eventType": "string.pattern.base"}),
        ({**EVENT, "userId": ["1"]}, {"userId": "string.base"}),
        ({**EVENT, "userId": "y" * 101}, {"userId": "string.max"}),
        ({**EVENT, "timestamp": "2024-02-30T00:00:00Z"}, {"timestamp": "string.isoDate"}),
        ({**EVENT, "timestamp": "2024"}, {"timestamp": "string.isoDate"}),
        ({**EVENT, "timestamp": 1700000000}, {"timestamp": "string.isoDate"}),
        ({**EVENT, "timestamp": "2199-01-01T00:00:00Z"}, {"timestamp": "string.isoDate"}),
        ({**EVENT, "metadata": []}, {"metadata": "object.base"}),
        ({**EVENT, "metadata": "page"}, {"metadata": "object.base"}),
        ({**EVENT, "metadata": {"a": "b\u0000"}}, {"metadata": "object.max"}),
        ({**EVENT, "metadata": {"a\u0000": 1}}, {"metadata": "object.max"}),
        ({**EVENT, "metadata": {"a": "x" * 16_380}}, {"metadata": "object.max"}),
        ({**EVENT, "metadata": {"a": list(range(2_000))}}, {"metadata": "object.max"}),
        ({**EVENT, "metadata": {"a": [[[[[[[[[[[1]]]]]]]]]]]}}, {"metadata": "object.max"}),
        ({"eventType": None, "userId": "", "timestamp": "soon", "metadata": 1}, {
            "eventType": "any.required", "userId": "string.empty",
            "timestamp": "string.isoDate", "metadata": "object.base",
        }),
    ],
)  # fmt: skip
async def test_every_fault_is_said_at_once(client: Any, event: dict[str, Any], faults: dict[str, str]) -> None:
    answer = await post(client, event, 400)
    assert (answer["success"], answer["message"]) == (False, "Validation failed")
    assert {row["field"]: row["type"] for row in answer["errors"]} == faults
    for row in answer["errors"]:
        assert row["path"] == [row["field"]]
        assert row["message"].startswith(row["field"])


@pytest.mark.parametrize("body", ["", "{", "[1", '{"a":NaN}', '"text"', "7", "null", "[]", b"\xff\xfe", "{'a': 1}"])
async def test_what_is_no_event_is_400_and_counted(client: Any, body: str | bytes) -> None:
    answer = await post(client, body, 400)
    assert answer["success"] is False
    assert all(set(row) == {"path", "field", "message", "type"} for row in answer["errors"])
    assert (await stats(client))["invalidEvents"] == 1


async def test_of_many_the_good_ones_are_stored_and_the_others_named(client: Any) -> None:
    batch = [EVENT, {"eventType": 7}, {**EVENT, "eventType": "log"}, "no event"]
    data = (await post(client, batch))["data"]
    assert (data["accepted"], data["duplicates"], len(data["eventIds"])) == (2, 0, 2)
    assert [one["index"] for one in data["rejected"]] == [1, 3]
    assert [row["type"] for row in data["rejected"][0]["errors"]] == ["string.base", "any.required"]
    found = await stats(client)
    assert (found["totalEvents"], found["invalidEvents"]) == (2, 2)
    assert found["statistics"] == {"log": 1, "page_view": 1}


async def test_one_event_a_line(client: Any) -> None:
    lines = f"{json.dumps(EVENT)}\n\nnot json\n{json.dumps(EVENT)}\n"
    data = (await post(client, lines, Content_Type="application/x-ndjson"))["data"]
    assert (data["accepted"], [one["index"] for one in data["rejected"]]) == (2, [1])


async def test_batch_without_a_good_event_is_400_with_the_index_in_every_path(client: Any) -> None:
    answer = await post(client, [{"eventType": "x"}, {"userId": "1"}], 400)
    assert [row["path"] for row in answer["errors"]] == [[0, "userId"], [1, "eventType"]]
    assert (await stats(client))["invalidEvents"] == 2


async def test_event_types_and_fields_can_be_limited(start: Start) -> None:
    client = await start(webhook_event_types=("page_view", "log"), webhook_strict=True)
    await post(client, EVENT)
    answer = await post(client, {**EVENT, "eventType": "other", "more": 1, "__proto__": 2}, 400)
    assert {row["field"]: row["type"] for row in answer["errors"]} == {
        "more": "object.unknown", "__proto__": "object.unknown",
    }  # fmt: skip
    answer = await post(client, {**EVENT, "eventType": "other"}, 400)
    assert [(row["field"], row["type"]) for row in answer["errors"]] == [("eventType", "any.only")]


# Guards


async def test_api_key_is_asked_for_where_it_is_configured(start: Start) -> None:
    client = await start(webhook_api_key="a key with ü")
    for headers in ({}, {"X_API_Key": "a key with u"}, {"X_API_Key": ""}, {"X_API_Key": "\xff"}):
        answer = await post(client, EVENT, 401, **headers)
        assert (answer["success"], answer["error"]) == (False, "Invalid or missing API key")
    await post(client, EVENT, X_API_Key="a key with ü")
    assert (await stats(client))["totalEvents"] == 1


# Reading


async def test_pages_hold_every_event_once_newest_first(client: Any) -> None:
    await post(client, [{**EVENT, "userId": str(number)} for number in range(25)])
    seen, query = [], "filter=day&limit=10"
    while True:
        found = await events(client, query)
        seen += found["events"]
        if found["nextCursor"] is None:
            break
        await post(client, EVENT)  # what comes meanwhile moves nothing
        query = f"filter=day&limit=10&cursor={found['nextCursor']}"
    assert sorted(int(one["userId"]) for one in seen) == list(range(25))
    assert [one["receivedAt"] for one in seen] == sorted((one["receivedAt"] for one in seen), reverse=True)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=1e2", "limit=%D9%A1", "limit=1&limit=2", "cursor=x", "cursor=e30", "cursor=%00",
     "cursor=W10", "cursor=%C3%BC"],
)  # fmt: skip
async def test_wrong_questions_are_400(client: Any, query: str) -> None:
    assert (await client.get(f"/events?{query}")).status == 400


LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime.now(UTC).isoformat().replace("+00:00", "Z")
LAST = UUID(int=1)


@pytest.mark.parametrize(
    ("since", "before"),
    [
        ("0001-01-01T00:00:00+14:00", NOW),
        (NOW, "0001-01-01T00:00:00+14:00"),
        ("9999-12-31T23:59:59-14:00", NOW),
        (NOW, "9999-12-31T23:59:59-14:00"),
        ("2199-01-01T00:00:00Z", "2199-01-01T00:00:00Z"),
        ("1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
        (NOW.removesuffix("Z"), NOW.removesuffix("Z")),
    ],
)
async def test_cursor_that_somebody_made_is_400(client: Any, since: str, before: str) -> None:
    cursor = webhooks.read._cursor(["hour", since, before, LAST])
    response = await client.get(f"/events?filter=hour&cursor={cursor}")
    assert response.status == 400, await response.text()
    assert "nextCursor" in (await response.json())["message"]


async def test_cursor_reads_on_in_its_window_and_never_beyond(client: Any, pool: Any) -> None:
    """A window moves on while somebody pages through it; what is before it stays out of reach."""
    now = datetime.now(UTC)
    await pool.executemany(
        "insert into webhook_events (event_type, user_id, received_at) values ('x', $1, $2)",
        [(str(hours), now - timedelta(hours=hours)) for hours in range(4)],
    )
    earlier = windows.start("hour", now - timedelta(minutes=30))
    found = await events(client, f"filter=hour&cursor={webhooks.read._cursor(['hour', earlier, now, LAST])}")
    assert [one["userId"] for one in found["events"]] == ["1"]
    for since in (LONG_AGO, windows.start("hour", now - timedelta(hours=2))):
        cursor = webhooks.read._cursor(["hour", since, now, LAST])
        assert (await client.get(f"/events?filter=hour&cursor={cursor}")).status == 400


async def test_cursor_of_another_filter_is_400(client: Any) -> None:
    await post(client, [EVENT] * 2)
    cursor = (await events(client, "filter=day&limit=1"))["nextCursor"]
    assert (await client.get(f"/events?filter=week&cursor={cursor}")).status == 400


async def test_refusals_are_counted_over_restarts_and_servers(start: Start) -> None:
    one, two = await start(), await start()
    await asyncio.gather(*(post(server, {}, 400) for server in (one, two) for _ in range(20)))
    assert [(await stats(server))["invalidEvents"] for server in (one, two)] == [40, 40]
    await one.close()
    assert (await stats(await start()))["invalidEvents"] == 40


async def test_refusals_that_are_being_counted_at_the_stop_are_counted(start: Start, pool: Any) -> None:
    """Somebody has the counts locked while the server stops: a statement waits for them, and more for its turn."""
    client = await start()
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("lock table webhook_refusals in exclusive mode")
        await post(client, {}, 400)
        await asyncio.gather(*(post(client, {}, 400) for _ in range(2)))
        stopping = asyncio.create_task(client.close())
        await until(lambda: all(task.get_name() != "writer webhooks" for task in asyncio.all_tasks()))
    await stopping
    assert await pool.fetchval("select sum(events)::int from webhook_refusals") == 3


async def test_refusals_during_an_outage_are_counted_when_it_is_over(start: Start, outside: Any) -> None:
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn)
    await post(client, EVENT)
    outside.stop()
    await post(client, {}, 400)
    answer = await post(client, EVENT, Idempotency_Key="k")
    assert UUID(answer["data"]["eventId"])
    assert (await client.get("/events")).status == 503
    outside.start()

    async def counted() -> bool:
        response = await client.get("/events/stats")
        return response.status == 200 and (await response.json())["data"] == {
            "totalEvents": 2, "invalidEvents": 1, "statistics": {"page_view": 2}, "filter": "hour",
        }  # fmt: skip

    await until(counted)
    assert not client.app[OUTAGE].away


# Live


async def test_frames_of_the_contract_come_at_connect_and_after_every_change(client: Any) -> None:
    for address in ("/events/ws", "/ws?stream=events", "/"):
        async with client.ws_connect(address) as ws:
            first = (await ws.receive_json())["stats"]
            assert {len(first["segmentedData"][name]) for name in ("hour", "day", "week")} == {60, 24, 7}
            await post(client, [{**EVENT, "eventType": "log"}, EVENT])
            await post(client, {}, 400)
            last = await until(partial(_moved, ws, first))
            assert set(last) == set(first)
            assert last["eventsPerMinute"] == last["segmentedData"]["hour"]
            assert "metadata" not in json.dumps(last)
            await ws.send_json({"type": "ping"})
            await until(partial(_answers, ws))


async def _moved(ws: Any, first: dict[str, Any]) -> dict[str, Any] | None:
    stats = (await ws.receive_json())["stats"]
    moved = stats["totalEvents"] == first["totalEvents"] + 2 and stats["invalidEvents"] == first["invalidEvents"] + 1
    return stats if moved else None


async def _answers(ws: Any) -> bool:
    return (await ws.receive_json()) == {"type": "pong"}


async def test_client_of_ws_may_subscribe_to_the_channel(client: Any) -> None:
    async with client.ws_connect("/ws") as ws:
        await ws.send_json({"type": "subscribe", "channel": "events"})
        assert set(await ws.receive_json()) == {"stats"}


async def test_last_event_of_a_burst_is_in_the_last_frame(client: Any) -> None:
    async with client.ws_connect("/events/ws") as ws:
        await asyncio.gather(*(post(client, EVENT) for _ in range(200)))

        async def all_there() -> bool:
            return (await ws.receive_json())["stats"]["totalEvents"] == 200

        await until(all_there)


async def test_payload_list_statistics_and_export_agree(client: Any, pool: Any, same_minute: None) -> None:
    await pool.execute("""
        insert into webhook_events (event_type, user_id, received_at)
        select 'type-' || n % 8, n::text, now() - n * n * interval '7 seconds' from generate_series(0, 399) as n
    """)
    await aggregate.sweep(pool, "webhooks")
    payload = await (await client.get("/webhooks")).json()
    assert payload["totalEvents"] == 400
    for name in windows.NAMES:
        total = sum(one["count"] for one in payload["segmentedData"][name])
        found = await stats(client, name)
        lines = (await (await client.get(f"/export/ndjson?filter={name}")).text()).splitlines()
        assert total == found["totalEvents"] == sum(found["statistics"].values()) == len(lines)
        assert total == (await events(client, f"filter={name}&limit=1000"))["count"]
        tops = payload["segmentedTopEventTypes"][name]
        assert [(one["type"], one["count"]) for one in tops] == list(found["statistics"].items())[:5]
        assert [one["percentage"] for one in tops] == [round(100 * one["count"] / total, 2) for one in tops]


# The generator


def test_samples_pass_the_checks_clients_face() -> None:
    rng = random.Random(2)
    samples = [webhooks.sample.sample(rng) for _ in range(5_000)]
    assert not [event for event in samples if webhooks.event.check(event)]
    assert {event.eventType for event in samples} == set(webhooks.sample.SHARES)
