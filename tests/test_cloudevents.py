"""CloudEvents 1.0 in every mode: what becomes of their attributes, and what is wrong with them in their own words."""

from __future__ import annotations

from typing import Any

import pytest
from test_webhooks import events, post

CLOUD = {"specversion": "1.0", "id": "A-1", "source": "/shop", "type": "com.example.order", "subject": "42"}


async def test_structured_cloud_event_is_a_webhook_event(client: Any) -> None:
    event = {**CLOUD, "time": "2026-01-02T03:04:05Z", "data": {"userId": "u7", "total": 9}, "traceparent": "00-1"}
    for _ in range(2):
        await post(client, event, Content_Type="application/cloudevents+json; charset=utf-8")
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["userId"]) == ("com.example.order", "u7")
    assert found["timestamp"] == "2026-01-02T03:04:05.000Z"
    assert found["metadata"] == {
        "source": "/shop", "subject": "42", "traceparent": "00-1", "data": {"userId": "u7", "total": 9},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("media", "body", "data"),
    [
        ("application/json", b'{"total":9}', {"data": {"total": 9}}),
        ("application/vnd.shop+json", b"[1]", {"data": [1], "datacontenttype": "application/vnd.shop+json"}),
        ("text/plain", "größe".encode(), {"data": "größe", "datacontenttype": "text/plain"}),
        ("image/png", b"\xff\xfe", {"data_base64": "//4=", "datacontenttype": "image/png"}),
        ("application/json", b"{broken", {"data": "{broken"}),
    ],
)
async def test_binary_cloud_event_is_a_webhook_event(client: Any, media: str, body: bytes, data: Any) -> None:
    headers = {f"ce_{name}": value for name, value in CLOUD.items()} | {"ce_comment": "Gr%C3%B6%C3%9Fe%20%E2%82%AC"}
    await post(client, body, Content_Type=media, **headers)
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["userId"]) == ("com.example.order", "42")
    assert found["metadata"] == {"source": "/shop", "subject": "42", "comment": "Größe €", **data}


async def test_batch_of_cloud_events_is_stored_by_their_own_ids(client: Any) -> None:
    media = {"Content_Type": "application/cloudevents-batch+json"}
    batch = [CLOUD, {**CLOUD, "id": "A-2"}, {**CLOUD, "source": "/other"}, CLOUD, {"id": 7}]
    data = (await post(client, batch, **media))["data"]
    assert (data["accepted"], data["duplicates"]) == (3, 1)
    assert [row["field"] for row in data["rejected"][0]["errors"]] == ["specversion", "id", "source", "type"]
    assert (await post(client, CLOUD, Content_Type="application/cloudevents+json"))["data"]["eventId"] in data[
        "eventIds"
    ]
    for body in ({}, "[", 7):
        assert (await post(client, body, 400, **media))["success"] is False


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id"),
        ({"source": None}, "source"),
        ({"type": "x" * 51}, "eventType"),
        ({"time": "yesterday"}, "timestamp"),
        ({"data": {"a": "x" * 17_000}}, "metadata"),
    ],
)
async def test_cloud_event_that_is_wrong_is_400(client: Any, change: dict[str, Any], field: str) -> None:
    answer = await post(client, {**CLOUD, **change}, 400, Content_Type="application/cloudevents+json")
    assert [row["field"] for row in answer["errors"]] == [field]
