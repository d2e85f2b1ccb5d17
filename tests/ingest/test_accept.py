"""Keys: what may be one, and that every row of a batch is told what became of its own event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from statsd.database import sql
from statsd.database.pool import POOL
from statsd.ingest.ids import id_of
from statsd.stream import Stream
from statsd.streams import pageviews, usage, webhooks

ID = "00000000-0000-4000-8000-000000000000"
VIEW = {"site_id": "shop", "event_type": "page_view", "path": "/", "timestamp": "2025-11-14T10:30:00Z"}
BODIES: dict[str, dict[str, Any]] = {
    "POST /logins": {
        "user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera",
    },
    "POST /webhook": {"eventType": "page_view", "userId": "123"},
    "POST /event": VIEW,
    "POST /items": {"base_item_id": ID},
    f"PUT /items/{ID}/ownership": {"to": ID},
    "POST /owners": {"name": "Ada"},
    "POST /base-items": {"description": "a bike"},
}  # fmt: skip
PERSON = {"username": "anna", "password": "correct horse", "age": 34, "gender": "Female"}


async def sent(client: Any, request: str, header: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the answer to a request with a header of any bytes, which no client library would send."""
    body = msgspec.json.encode(BODIES[request])
    lines = [
        f"{request} HTTP/1.1".encode(),
        b"Host: localhost",
        b"Connection: close",
        b"Content-Type: application/json",
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"\r\n".join([*lines, b"Content-Length: %d" % len(body), header, b"", body]))
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), msgspec.json.decode(answer)


@pytest.mark.parametrize("request_", BODIES)
@pytest.mark.parametrize("key", [b"caf\xe9", "café".encode(), b"a\tb", b"k" * 256])
async def test_key_in_a_header_is_printable_ascii(client: Any, request_: str, key: bytes) -> None:
    for name in ("Idempotency-Key", *["webhook-id"] * (request_ == "POST /webhook")):
        status, answer = await sent(client, request_, name.encode() + b": " + key)
        assert (status, answer["error"]) == (400, f"{name}: must have 1 to 255 printable ASCII characters")


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "extra"])
async def test_attribute_in_a_header_is_utf8(client: Any, name: str) -> None:
    event = {"specversion": b"1.0", "id": b"1", "source": b"/here", "type": b"view", name: b"caf\xe9"}
    headers = b"\r\n".join(b"ce-%s: %s" % (attribute.encode(), value) for attribute, value in event.items())
    status, answer = await sent(client, "POST /webhook", headers)
    assert (status, answer["errors"][0]["field"]) == (400, name)


async def test_every_printable_character_may_be_in_a_key(client: Any) -> None:
    key = bytes(range(0x21, 0x7F)) + b" ~"
    assert (await sent(client, "POST /logins", b"Idempotency-Key: " + key))[0] == 201
    assert (await sent(client, "POST /logins", b"Idempotency-Key: " + key))[0] == 200


def test_every_key_has_an_id_even_what_is_no_utf8() -> None:
    assert len({id_of("webhooks", key) for key in ("caf\udce9", "caf\udce8", "café", "caf")}) == 4
    assert str(id_of("webhooks", "café")) == "3aac4bc8-ebe0-5597-ae15-c60411c69cb5"  # as it has always been


@pytest.mark.parametrize("stream", [webhooks.STREAM, pageviews.STREAM, usage.STREAM], ids=lambda stream: stream.name)
@pytest.mark.parametrize("is_stored", [True, False])
async def test_rows_with_one_key_in_a_batch_are_judged_one_by_one(client: Any, stream: Stream, is_stored: bool) -> None:
    """Neither is another event lost as if it were a repeat, nor a repeat refused because of the other one."""
    token = (await (await client.post("/register", json=PERSON)).json())["token"]

    async def refused(*kinds: str) -> list[int]:
        path, media, events, rejected = BATCHES[stream.name]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": media}
        answer = await client.post(path, data=msgspec.json.encode([events(kind) for kind in kinds]), headers=headers)
        return rejected(await answer.json())

    if is_stored:
        assert await refused("first") == []
    assert await refused("first", "other", "first") == [1]
    assert await refused("other", "first") == [0]
    assert await refused("other", "first", "other", "third", "first") == [0, 2, 3]
    assert await client.app[POOL].fetchval(f"select count(*) from {sql.table(stream.name)}") == 1


def indices(answer: dict[str, Any]) -> list[int]:
    return [one["index"] for one in answer["rejected"]]


BATCHES: dict[str, tuple[str, str, Callable[[str], object], Callable[[Any], list[int]]]] = {
    "webhooks": (
        "/webhook",
        "application/cloudevents-batch+json",
        lambda kind: {"specversion": "1.0", "id": "z1", "source": "/here", "type": kind},
        lambda answer: indices(answer["data"]),
    ),
    "pageviews": ("/event", "application/json", lambda kind: {**VIEW, "event_id": "z1", "path": kind}, indices),
    "usage": (
        "/track",
        "application/json",
        lambda kind: {"feature_name": kind, "event_id": "z1"},
        lambda answer: [index for index, one in enumerate(answer) if "another event" in one.get("error", "")],
    ),
}
"""Where batches go whose events have keys: path, media type, an event of one key, and the places that were refused."""
