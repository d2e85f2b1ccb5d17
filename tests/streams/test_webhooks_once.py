"""Each delivery once: under its key or its signature, in whatever dress it comes again, and after a restart."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from deliveries import CLOUD, EVENT, events, post, sign, stats

from statsd.settings import webhook_secret

KEY = webhook_secret("whsec_plJ3nmyCDGBKInavdOK15jsl")

Start = Callable[..., Awaitable[Any]]


def signed(body: bytes, id: str = "msg_1", moment: float | None = None, key: bytes = KEY) -> dict[str, str]:
    at = int(time.time() if moment is None else moment)
    signature = sign(key, id, at, body)
    return {"webhook_id": id, "webhook_timestamp": str(at), "webhook_signature": signature}


@pytest.mark.parametrize("name", ["webhook-id", "Idempotency-Key"])
async def test_fifty_deliveries_at_once_and_one_after_a_restart_count_once(start: Start, name: str) -> None:
    client = await start()
    answers = await asyncio.gather(*(post(client, EVENT, **{name: "msg_7"}) for _ in range(50)))
    assert len({answer["data"]["eventId"] for answer in answers}) == 1
    await client.close()
    again = await start()
    assert (await post(again, EVENT, **{name: "msg_7"}))["data"] in [answer["data"] for answer in answers]
    assert (await stats(again))["totalEvents"] == 1


async def test_repeat_without_a_timestamp_is_the_same_event(client: Any) -> None:
    event = {"eventType": "log", "userId": "1", "metadata": {"b": 1, "a": 2}}
    first = await post(client, event, Idempotency_Key="k")
    second = await post(client, {**event, "metadata": {"a": 2, "b": 1.0}}, Idempotency_Key="k")
    assert first == second


async def test_another_event_under_a_used_key_is_422(client: Any) -> None:
    await post(client, EVENT, webhook_id="k")
    for change in ({"userId": "124"}, {"timestamp": None}, {"metadata": None}, {"eventType": "log"}):
        answer = await post(client, {**EVENT, **change}, 422, webhook_id="k")
        assert "another event" in answer["error"]
    assert (await stats(client)) == {
        "totalEvents": 1, "invalidEvents": 0, "statistics": {"page_view": 1}, "filter": "hour",
    }  # fmt: skip


async def test_redelivered_batch_counts_once(client: Any) -> None:
    batch = [EVENT, {**EVENT, "userId": "2"}, {"eventType": 7}]
    first = (await post(client, batch, webhook_id="batch"))["data"]
    second = (await post(client, batch, webhook_id="batch"))["data"]
    assert (first["accepted"], second["accepted"], second["duplicates"]) == (2, 0, 2)
    assert first["eventIds"] == second["eventIds"]
    assert (await stats(client))["totalEvents"] == 2


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_key_that_is_none_is_400(client: Any, key: str) -> None:
    assert "1 to 255" in (await post(client, EVENT, 400, Idempotency_Key=key))["error"]


# Signed


async def test_signature_is_asked_for_where_a_secret_is_configured(start: Start) -> None:
    client = await start(webhook_secrets=(bytes(32), KEY))
    body = json.dumps(EVENT).encode()
    now = time.time()
    wrong = {
        "missing": {},
        "does not match": signed(body, key=bytes(range(32))),
        "too old": signed(body, moment=now - 400),
        "far in the future": signed(body, moment=now + 400),
    }
    for says, headers in wrong.items():
        assert says in (await post(client, body, 401, **headers))["error"]
    good = signed(body)
    await post(client, body, **good)
    for replayed in ({**good, "webhook_id": "msg_2"}, {**good, "webhook_timestamp": str(int(now) + 9)}):
        assert "does not match" in (await post(client, body, 401, **replayed))["error"]
    assert "does not match" in (await post(client, body + b" ", 401, **good))["error"]
    assert (await stats(client))["totalEvents"] == 1


async def test_captured_delivery_is_the_same_event_in_every_dress(start: Start) -> None:
    """Neither the Content-Type nor a ce-* header is signed: they must not make another event of a signed body."""
    client = await start(webhook_secrets=(KEY,))
    body = json.dumps({**CLOUD, **EVENT}).encode()
    delivery = signed(body)
    first = (await post(client, body, **delivery))["data"]
    again = (await post(client, body, Content_Type="application/x-ndjson", **delivery))["data"]
    assert (again["accepted"], again["duplicates"], again["eventIds"]) == (0, 1, [first["eventId"]])
    assert again["receivedAt"] == first["receivedAt"]
    answer = await post(client, body, 400, Content_Type="application/cloudevents+json", **delivery)
    assert [fault["field"] for fault in answer["errors"]] == ["eventType", "userId", "metadata"]  # no attributes
    assert (await stats(client))["totalEvents"] == 1


async def test_attributes_in_headers_are_not_signed_and_refused(start: Start) -> None:
    client = await start(webhook_secrets=(KEY,))
    body = json.dumps(EVENT).encode()
    delivery = signed(body)
    await post(client, body, **delivery)
    for id in ("1", "2"):
        evil = {"ce_specversion": "1.0", "ce_id": id, "ce_source": "/evil", "ce_type": "x", "ce_userid": "victim"}
        answer = await post(client, body, 401, **delivery, **evil)
        assert "does not cover ce-* headers" in answer["error"]
    assert await stats(client) == {
        "totalEvents": 1, "invalidEvents": 0, "statistics": {"page_view": 1}, "filter": "hour",
    }  # fmt: skip
    # Beside a structured event, which is signed, they say nothing.
    cloud = json.dumps(CLOUD).encode()
    media = {"Content_Type": "application/cloudevents+json"}
    first = await post(client, cloud, **signed(cloud, id="msg_2"), **media)
    assert first == await post(client, cloud, **signed(cloud, id="msg_2"), **media, **evil)
    assert (await stats(client))["statistics"] == {"page_view": 1, CLOUD["type"]: 1}


async def test_signed_json_is_never_read_line_by_line(start: Start) -> None:
    """A document over several lines, one of which alone would be an event at another place."""
    client = await start(webhook_secrets=(KEY,))
    inner = json.dumps({**EVENT, "userId": "evil"})
    for number, body in enumerate((
        f"[\n{json.dumps(EVENT)},\n{inner}\n]".encode(),
        f'{{"eventType": "x", "userId": "1", "metadata": {{"a": [\n{inner}\n]}}}}'.encode(),
    )):  # fmt: skip
        delivery = signed(body, id=f"msg_{number}")
        await post(client, body, **delivery)
        before = await stats(client)
        answer = await post(client, body, Content_Type="application/x-ndjson", **delivery)
        assert answer["data"]["accepted"] == 0
        assert await stats(client) == before


async def test_signed_lines_and_cloud_events_are_taken_and_count_once(start: Start) -> None:
    client = await start(webhook_secrets=(KEY,))
    lines = f"{json.dumps(EVENT)}\n{json.dumps(EVENT)}\n".encode()
    batch = json.dumps([CLOUD, {**CLOUD, "id": "A-2"}]).encode()
    media = {"application/x-ndjson": lines, "application/cloudevents-batch+json": batch}
    for kind, body in media.items():
        delivery = signed(body, id=kind.partition("/")[2].partition(".")[0])
        first = (await post(client, body, Content_Type=kind, **delivery))["data"]
        second = (await post(client, body, Content_Type=kind, **delivery))["data"]
        assert (first["accepted"], second["accepted"], second["duplicates"]) == (2, 0, 2)
        assert first["eventIds"] == second["eventIds"]
    assert (await stats(client))["totalEvents"] == 4


async def test_one_event_and_an_array_of_it_are_the_same_under_a_key(client: Any) -> None:
    first = (await post(client, EVENT, Idempotency_Key="A"))["data"]
    again = (await post(client, [EVENT], Idempotency_Key="A"))["data"]
    assert (again["accepted"], again["eventIds"]) == (0, [first["eventId"]])
    more = (await post(client, [EVENT, {**EVENT, "userId": "2"}], Idempotency_Key="A"))["data"]
    assert (more["accepted"], more["duplicates"]) == (1, 1)
    assert (await stats(client))["totalEvents"] == 2


async def test_redelivered_batch_is_answered_as_the_first_time(client: Any) -> None:
    batch = [EVENT, {**EVENT, "userId": "2"}]
    first = (await post(client, batch, webhook_id="batch"))["data"]
    second = (await post(client, batch, webhook_id="batch"))["data"]
    stored = (await events(client))["events"]
    assert {one["receivedAt"] for one in stored} == {first["receivedAt"]} == {second["receivedAt"]}


async def test_batch_in_which_every_key_was_used_before_is_422(client: Any) -> None:
    await post(client, [EVENT, EVENT], webhook_id="k")
    other = {**EVENT, "userId": "124"}
    answer = await post(client, [other, other], 422, webhook_id="k")
    assert set(answer) == {"success", "message", "error", "details"}
    assert answer["success"] is False
    assert "another event" in answer["message"]
    answer = await post(client, [other, {}], 400, webhook_id="k")
    assert [(row["path"][0], row["type"]) for row in answer["errors"]] == [
        (0, "any.key"), (1, "any.required"), (1, "any.required"),
    ]  # fmt: skip
    assert (await stats(client))["totalEvents"] == 2
