"""Large batches: decoded in slices, between which others are served, and not at all where the queue is full."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from waiting import until

from statsd.database.pool import POOL
from statsd.ingest import writer
from statsd.ingest.ids import id_of
from statsd.ingest.writer import WRITERS
from statsd.streams import logins, pageviews, usage, webhooks
from statsd.web.decode import SLICE_EVENTS, Decoder

EVENTS: dict[str, dict[str, Any]] = {
    "/event": {"site_id": "shop", "event_type": "page_view", "path": "/", "timestamp": "2025-11-14T10:30:00Z"},
    "/webhook": {"eventType": "page_view", "userId": "123"},
    "/track": {"feature_name": "filter"},
    "/logins": {
        "user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera",
    },
}  # fmt: skip
PERSON = {"username": "anna", "password": "correct horse", "age": 34, "gender": "Female"}
TYPES = {"array": "application/json", "lines": "application/x-ndjson"}


def encoded(events: list[Any], form: str = "array") -> bytes:
    return msgspec.json.encode(events) if form == "array" else b"\n".join(map(msgspec.json.encode, events))


@asynccontextmanager
async def turns_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counter[str]]:
    """Count the events that are decoded, and those that are made rows, at most in one turn of the event loop."""
    most: Counter[str] = Counter()
    now: Counter[str] = Counter()
    checked = Decoder._checked

    def check(decoder: Any, event: Any) -> Any:
        now["decoded"] += 1
        return checked(decoder, event)

    def make_id(*arguments: Any) -> Any:
        now["rows"] += 1
        return id_of(*arguments)

    monkeypatch.setattr(Decoder, "_checked", check)
    for stream in (logins, pageviews, usage, webhooks):
        monkeypatch.setattr(stream.post, "id_of", make_id)

    async def watch() -> None:
        while True:
            await asyncio.sleep(0)
            most.update({name: max(0, count - most[name]) for name, count in now.items()})
            now.clear()

    watching = asyncio.create_task(watch())
    yield most
    watching.cancel()


@pytest.mark.parametrize("form", TYPES)
@pytest.mark.parametrize("path", EVENTS)
@pytest.mark.parametrize("is_wrong", [False, True])
async def test_batch_is_decoded_in_slices(
    client: Any, path: str, form: str, is_wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await (await client.post("/register", json=PERSON)).json())["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": TYPES[form]}
    events: list[Any] = [EVENTS[path]] * (4 * SLICE_EVENTS + 100)
    if is_wrong:
        events[17] = events[-1] = {}
    async with turns_of_the_loop(monkeypatch) as most:
        answer = await client.post(path, data=encoded(events, form), headers=headers)
        assert answer.status in (200, 201, 202)
    assert most == {"decoded": SLICE_EVENTS, "rows": SLICE_EVENTS}


@pytest.mark.parametrize("tail", [b'[{"path":"\xff"}]', b'[{"more":' + b"9" * 5_000 + b"}]", b'[{"path"}]'])
async def test_array_that_is_no_json_at_its_end_is_refused_whole(client: Any, tail: bytes) -> None:
    body = encoded([EVENTS["/event"]] * (2 * SLICE_EVENTS))
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/event", data=body[:-1] + b"," + tail[1:], headers=headers)
    assert answer.status == 400
    assert (await answer.json())["details"][0].startswith("the body must")
    assert await client.app[POOL].fetchval("select count(*) from page_events") == 0


async def test_verdicts_of_a_large_batch_are_in_order(client: Any) -> None:
    events = [{**EVENTS["/event"], "site_id": f"site-{n % 9}", "event_id": str(n)} for n in range(6_000)]
    events[3_000]["path"] = events[5_999]["path"] = ""
    answer = await (await client.post("/event", json=events)).json()
    assert (answer["accepted"], [one["index"] for one in answer["rejected"]]) == (5_998, [3_000, 5_999])
    good = [event for event in events if event["path"]]
    assert answer["jobIds"] == [str(id_of("pageviews", f"{one['site_id']}\n{one['event_id']}")) for one in good]


async def test_full_queue_refuses_before_the_body_is_there(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "QUEUE_ROWS", 0)
    reader, peer = await asyncio.open_connection("127.0.0.1", client.port)
    peer.write(b"POST /event HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
    peer.write(b"Content-Length: 8000000\r\n\r\n[")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in head
    peer.close()
    await peer.wait_closed()


async def test_large_batch_that_finds_the_queue_full_is_not_decoded(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for its turn while another one is decoded, which takes the last room."""
    turn = client.app[WRITERS]["pageviews"].turn
    async with turns_of_the_loop(monkeypatch) as most:
        async with turn:
            posting = asyncio.create_task(client.post("/event", json=[EVENTS["/event"]] * 2 * SLICE_EVENTS))
            await until(lambda: turn._waiters)
            monkeypatch.setattr(writer, "QUEUE_ROWS", 2 * SLICE_EVENTS - 1)
        assert (await posting).status == 503
    assert not most
