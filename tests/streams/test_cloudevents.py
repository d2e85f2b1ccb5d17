"""CloudEvents 1.0 in every mode: what becomes of their attributes, and what is wrong with them in their own words."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent
from deliveries import CLOUD, events, post


async def test_structured_cloud_event_is_a_webhook_event(client: Any) -> None:
    event = {**CLOUD, "time": "2026-01-02T03:04:05Z", "data": {"userId": "u7", "total": 9}, "traceparent": "00-1"}
    for _ in range(2):
        await post(client, event, Content_Type="application/cloudevents+json; charset=utf-8")
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["userId"]) == ("com.example.order", "u7")
    assert found["timestamp"] == "2026-01-02T03:04:05.000Z"
    assert found["metadata"] == {
        "source": "/shop", "subject": "42", "traceparent": "00-1", "data": {"userId": "u7", "total": 9},
        "datacontenttype": "application/json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("media", "body", "data"),
    [
        ("application/json", b'{"total":9}', {"data": {"total": 9}}),
        ("application/json; charset=utf-8", b'{"total":9}', {"data": {"total": 9}}),
        ("application/vnd.shop+json", b"[1]", {"data": [1]}),
        ("text/plain", "größe".encode(), {"data": "größe"}),
        ("text/plain; charset=iso-8859-1", "größe".encode("latin-1"), {"data": "größe"}),
        ("text/plain;charset=no-such-charset", "größe".encode(), {"data": "größe"}),
        ("application/xml", b'<much wow="xml"/>', {"data": '<much wow="xml"/>'}),
        ("image/png", b"\xff\xfe", {"data_base64": "//4="}),
        ("application/protobuf", b"\x08\x00", {"data_base64": "CAA="}),
        ("application/json", b"{broken", {"data": "{broken"}),
        ("application/json", b"", {}),
    ],
)
async def test_binary_cloud_event_is_a_webhook_event(client: Any, media: str, body: bytes, data: Any) -> None:
    headers = {f"ce_{name}": value for name, value in CLOUD.items()} | {"ce_comment": "Gr%C3%B6%C3%9Fe%20%E2%82%AC"}
    await post(client, body, Content_Type=media, **headers)
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["userId"]) == ("com.example.order", "42")
    attributes = {"source": "/shop", "subject": "42", "comment": "Größe €", "datacontenttype": media}
    assert found["metadata"] == {**attributes, **data}


@pytest.mark.parametrize("send", [http.to_structured_event, http.to_binary_event])
async def test_event_of_the_cloudevents_sdk_arrives_as_it_was_made(client: Any, send: Any) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    given = {**CLOUD, "time": at, "comment": "Größe 100 %", "datacontenttype": "application/json"}
    event = CloudEvent(given, {"total": 9})
    message = send(event)
    await post(client, message.body, **{name.replace("-", "_"): text for name, text in message.headers.items()})
    (found,) = (await events(client))["events"]
    assert (found["eventType"], found["userId"]) == (event.get_type(), event.get_subject())
    assert found["timestamp"] == "2026-01-02T03:04:05.000Z"
    assert found["metadata"] == {
        "source": event.get_source(), "subject": "42", "comment": "Größe 100 %", "data": event.get_data(),
        "datacontenttype": "application/json",
    }  # fmt: skip


async def test_batch_of_cloud_events_is_stored_by_their_own_ids(client: Any) -> None:
    media = {"Content_Type": "application/cloudevents-batch+json"}
    batch = [CLOUD, {**CLOUD, "id": "A-2"}, {**CLOUD, "source": "/other"}, CLOUD, {"id": 7}]
    data = (await post(client, batch, **media))["data"]
    assert (data["accepted"], data["duplicates"]) == (3, 1)
    assert [row["field"] for row in data["rejected"][0]["errors"]] == ["specversion", "id", "source", "type"]
    assert (await post(client, CLOUD, Content_Type="application/cloudevents+json"))["data"]["eventId"] in data[
        "eventIds"
    ]
    assert (await post(client, [], **media))["data"] | {"receivedAt": ""} == {
        "accepted": 0, "duplicates": 0, "eventIds": [], "receivedAt": "", "rejected": [],
    }  # fmt: skip
    bodies: tuple[object, ...] = ({}, "[", 7)
    for body in bodies:
        assert (await post(client, body, 400, **media))["success"] is False


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id"),
        ({"source": None}, "source"),
        ({"source": "a\n", "subject": None}, "source"),
        ({"type": "x" * 129}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"data": {"a": "x" * 17_000}}, "data"),
    ],
)
async def test_cloud_event_that_is_wrong_is_400(client: Any, change: dict[str, Any], field: str) -> None:
    answer = await post(client, {**CLOUD, **change}, 400, Content_Type="application/cloudevents+json")
    assert [row["field"] for row in answer["errors"]] == [field]


STORAGE = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop/providers/Microsoft.Storage/pictures"


@pytest.mark.parametrize(
    ("change", "user"),
    [
        ({"data": {"userId": 17}}, "17"),
        ({"data": {"userId": 17.5}}, "17.5"),
        ({"data": {"userId": True}, "userid": "u1"}, "u1"),
        ({"data": {"userId": {"id": 1}}}, "42"),
        ({"data": {"userId": ""}, "userid": " "}, "42"),
        ({"data": {"userId": "y" * 101}}, "42"),
        ({"subject": "a\u2028b", "userid": " "}, "/shop"),
        ({"subject": "s" * 101}, "/shop"),
        ({"subject": None, "source": STORAGE}, STORAGE[:100]),
    ],
)
async def test_user_is_the_first_that_can_be_one(client: Any, change: dict[str, Any], user: str) -> None:
    """Azure Event Grid's sources are longer than 100 characters, and it sends no subject for some."""
    await post(client, {**CLOUD, **change}, Content_Type="application/cloudevents+json")
    (found,) = (await events(client))["events"]
    assert found["userId"] == user
    assert found["metadata"]["source"] == change.get("source", "/shop")


async def test_missing_attribute_is_required_and_a_wrong_one_invalid(client: Any) -> None:
    wrong = {"specversion": "0.3", "source": "", "type": None}
    answer = await post(client, wrong, 400, Content_Type="application/cloudevents+json")
    assert {row["field"]: (row["type"], row["message"].partition(" ")[0]) for row in answer["errors"]} == {
        "specversion": ("any.invalid", "specversion"), "id": ("any.required", "id"),
        "source": ("any.invalid", "source"), "type": ("any.required", "type"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"ce-comment: \xff", "comment"),
        (b"ce-comment: %FF", "comment"),
        (b"ce-comment: caf\xe9", "comment"),
        (b"Content-Type: text/\xe9", "datacontenttype"),
    ],
)
async def test_attribute_in_a_header_that_is_no_text_is_400(client: Any, line: bytes, name: str) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    attributes = "".join(f"ce-{name}: {text}\r\n" for name, text in CLOUD.items()).encode()
    writer.write(b"POST /webhook HTTP/1.0\r\nContent-Length: 0\r\n" + attributes + line + b"\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.split()[1] == b"400", head
    assert [(row["field"], row["type"]) for row in json.loads(body)["errors"]] == [(name, "string.base")]
