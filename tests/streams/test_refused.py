"""Refused deliveries of webhooks: the latest hundred at all servers, when, from where and why; never what was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
from deliveries import EVENT, post
from waiting import until

from statsd.database import sql
from statsd.ingest import refusals, retention
from statsd.ingest.refusals import REFUSALS

Start = Callable[..., Awaitable[Any]]
LOOPBACK = (ip_network("127.0.0.0/8"),)
SECRET = "8ff1d8c2"
"""What is in a body or a header, and must be in no list."""


async def refused(client: Any) -> list[dict[str, Any]]:
    response = await client.get("/events/refused")
    assert response.status == 200
    body = await response.json()
    assert body["success"]
    assert SECRET not in json.dumps(body)
    assert body["data"]["count"] == len(body["data"]["refusals"])
    return list(body["data"]["refusals"])


@pytest.mark.parametrize(
    ("status", "body", "headers", "reasons"),
    [
        (400, {"eventType": 7, "metadata": {SECRET: SECRET}}, {}, ["eventType must be a string", "userId is required"]),
        (400, f"{SECRET}", {}, ["the body must be valid JSON in UTF-8"]),
        (400, {**EVENT, SECRET: 1, "more": SECRET}, {}, ["a field is not allowed"]),
        (400, {"eventType": 1, "userId": 2, "timestamp": 3, "metadata": 4, SECRET: 5}, {}, [
            "eventType must be a string", "userId must be a string",
            "timestamp must be an ISO 8601 instant from 1970 to 2099, such as 2026-11-21T10:30:00Z",
            "metadata must be a JSON object", "and more",
        ]),
        (200, [EVENT, {"userId": "1"}, SECRET], {}, [
            "event 1: eventType is required", "event 2: an event must be a JSON object",
        ]),
        (400, [{"userId": "1"}], {}, ["event 0: eventType is required"]),
        (415, SECRET, {"Content-Type": f"image/{SECRET}"}, ["Content-Type: must be application/json"]),
        (400, {"specversion": "1.0", "id": SECRET, "source": SECRET}, {"Content-Type": "application/cloudevents+json"},
         ["type is required"]),
        (400, {"specversion": "1.0", "id": "1", "source": "s", "type": "t", SECRET: [], "time": SECRET},
         {"Content-Type": "application/cloudevents+json"}, [
            "a field must be a string, a boolean, or an integer of 32 bits",
            "time must be an RFC 3339 instant with seconds and a zone, from 1970 to 2099, such as 2026-11-21T10:30:00Z",
        ]),
    ],
)  # fmt: skip
async def test_refusal_says_when_from_where_and_why(
    start: Start, *, status: int, body: Any, headers: dict[str, str], reasons: list[str]
) -> None:
    client = await start(webhook_strict=True)
    data = body if isinstance(body, str) else json.dumps(body)
    response = await client.post("/webhook", data=data, headers={"Content-Type": "application/json", **headers})
    assert response.status == status, await response.text()
    (found,) = await refused(client)
    when = datetime.fromisoformat(found.pop("refusedAt"))
    assert abs((datetime.now(UTC) - when).total_seconds()) < 30
    assert found == {"address": "127.0.0.1", "path": "/webhook", "status": status, "reasons": reasons}


async def test_wrong_keys_tokens_and_used_ids_are_refusals(start: Start) -> None:
    client = await start(webhook_api_key="the right key")
    await post(client, EVENT, 401, X_API_Key=SECRET)
    await post(client, EVENT, X_API_Key="the right key", Idempotency_Key="k")
    await post(client, {**EVENT, "userId": SECRET}, 422, X_API_Key="the right key", Idempotency_Key="k")
    assert [(one["status"], one["reasons"]) for one in await refused(client)] == [
        (422, ["this key was used with another event: use a new one for a new event"]),
        (401, ["Invalid or missing API key"]),
    ]  # fmt: skip
    guarded = await start(require_ingest_token=frozenset({"webhooks"}))
    await post(guarded, EVENT, 401, Authorization=f"Bearer {SECRET}")
    assert (await refused(guarded))[0]["status"] == 401


async def test_what_is_no_refused_delivery_is_not_in_the_list(client: Any) -> None:
    await post(client, EVENT)
    await client.post("/event", json={})
    await client.get("/events?filter=month")
    await client.get("/webhook")
    assert await refused(client) == []


async def test_address_is_cut_as_the_setting_says(start: Start) -> None:
    for kept, address in (("truncated", "203.0.113.0"), ("none", "none")):
        client = await start(ip=kept, trusted_proxies=LOOPBACK)
        await post(client, {}, 400, X_Forwarded_For="203.0.113.77")
        assert (await refused(client))[0]["address"] == address


async def test_latest_hundred_of_all_servers_are_kept_in_order(start: Start, pool: Any) -> None:
    one, two = await start(), await start()
    for client, number in ((one, 70), (two, 60)):
        await asyncio.gather(*(post(client, {}, 400) for _ in range(number)))
        await refused(client)
    found = await refused(one)
    assert found == await refused(two)
    assert len(found) == 100
    assert [row["refusedAt"] for row in found] == sorted((row["refusedAt"] for row in found), reverse=True)
    await post(one, {}, 400)
    await refused(one)
    assert await pool.fetchval("select count(*) from refused_deliveries") <= 101
    await one.close()
    assert len(await refused(await start())) == 100


async def test_flood_is_written_once_a_second(client: Any, pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first write is at once; with a pace of an hour, no other follows by itself."""
    monkeypatch.setattr(refusals, "PACE_SECONDS", 3_600.0)
    await post(client, {}, 400)
    await until(lambda: pool.fetchval("select count(*) > 0 from refused_deliveries"))
    number = await pool.fetchval("select count(*) from refused_deliveries")
    await asyncio.gather(*(post(client, {}, 400) for _ in range(150)))
    assert await pool.fetchval("select count(*) from refused_deliveries") == number
    assert len(client.app[REFUSALS]["webhooks"].latest._pending) == 100
    assert len(await refused(client)) == 100


async def test_refusals_of_an_outage_are_written_when_it_is_over(
    start: Start, outside: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn)
    outside.stop()
    await post(client, {}, 400)
    assert (await client.get("/events/refused")).status == 503
    await until(lambda: "webhooks: 1 refused events wait to be counted: the database " in caplog.text)
    outside.start()

    async def written() -> bool:
        response = await client.get("/events/refused")
        return response.status == 200 and (await response.json())["data"]["count"] == 1

    await until(written)


async def test_refusals_are_written_before_a_stop(start: Start, pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "PACE_SECONDS", 3_600.0)
    client = await start()
    for _ in range(3):
        await post(client, {}, 400)
    await client.close()
    assert await pool.fetchval("select count(*) from refused_deliveries") == 3


async def test_strange_characters_do_not_stop_the_list(client: Any) -> None:
    latest = client.app[REFUSALS]["webhooks"].latest
    latest.note("\ud800\x00", "/" + "x" * 500, 400, ["\udcff\x1b"])
    (found,) = await refused(client)
    assert (found["address"], found["reasons"]) == ("\ufffd\ufffd", ["\ufffd\ufffd"])
    assert len(found["path"]) == refusals.MOST_CHARACTERS


async def test_topic_brings_the_answer_after_every_change(client: Any) -> None:
    async with client.ws_connect("/ws") as ws:
        await ws.send_json({"type": "subscribe", "topics": ["refusals"]})
        assert await ws.receive_json() == {"type": "subscribed", "topics": ["refusals"]}
        frame = await ws.receive_json()
        assert (frame["topic"], frame["payload"]["data"]) == ("refusals", {"refusals": [], "count": 0})
        await post(client, {}, 400)

        async def has_come() -> bool:
            return bool((await ws.receive_json())["payload"]["data"]["count"])

        await until(has_come)


async def test_retention_of_webhooks_prunes_them(client: Any, pool: Any) -> None:
    await post(client, {}, 400)
    await refused(client)
    await pool.execute(
        "insert into refused_deliveries values ($1, now() - interval '40 days', '203.0.113.7', '/webhook', 400, '{x}')",
        "01a2105e-a6a6-781b-95ab-5b9788c5ad59",
    )
    kept_from = retention.first_day(30)
    expected = await retention.overdue(pool, "webhooks", kept_from)
    assert expected == {"webhook_events": 0, "refused_deliveries": 1}
    assert await retention.prune(pool, "webhooks", kept_from) == expected
    assert [row["reasons"] for row in await refused(client)] == [["eventType is required", "userId is required"]]


def test_number_of_the_statements_is_that_of_the_memory() -> None:
    limit = f"limit {refusals.MOST_LATEST}"
    assert limit in sql.load("webhooks")["keep_refused"]
    assert limit in sql.load("webhooks")["refused"]
