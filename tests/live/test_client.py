"""The way of a frame to a client: straight to the transport, or through the outbox, but never out of order."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sockets import read_frame, stalled_socket
from waiting import until

from statsd.live import client as live_client
from statsd.live import topics, websocket
from statsd.live.client import Snapshot
from statsd.live.topics import HUB, Topic

Start = Callable[..., Awaitable[Any]]
TEXT, CLOSE = 0x81, 0x88  # the first byte of a frame


def numbered(number: int, size: int = 0) -> Snapshot:
    return Snapshot(b'{"number":%d,"x":"%b"}' % (number, b"x" * size))


def number_of(frame: bytes) -> int:
    found = re.search(rb'"number":(\d+)', frame)
    assert found, frame[:100]
    return int(found[1])


def outboxes() -> int:
    """How many clients have something that waits."""
    return sum(task.get_name() == "outbox" for task in asyncio.all_tasks())


async def webhooks(client: Any, subscribers: int) -> Topic:
    """The topic of `/events/ws` once it has these subscribers."""
    topic: Topic = client.app[HUB].topics["webhooks"]
    await until(lambda: len(topic.clients) == subscribers)
    return topic


@pytest.mark.parametrize("size", [0, 1, 116, 117, 118, 65_526, 65_527, 65_528, 300_000])
async def test_frame_has_the_length_it_says_and_every_reader_gets_the_same(client: Any, size: int) -> None:
    """At each of the three forms of a length; the first frame is that of the connect."""
    raw = await stalled_socket(client, "/events/ws")
    async with client.ws_connect("/events/ws") as ws:
        await read_frame(raw)
        await ws.receive()
        topic = await webhooks(client, 2)
        await topic.broadcast(Snapshot(b"x" * size))
        expected = b'{"stats":' + b"x" * size + b"}"
        assert await read_frame(raw) == (TEXT, expected)
        assert (await ws.receive()).data.encode() == expected
    raw.close()


async def test_reader_that_keeps_up_gets_every_frame_and_the_stalled_one_the_latest_in_order(client: Any) -> None:
    stalled = await stalled_socket(client, "/events/ws")
    async with client.ws_connect("/events/ws") as ws:
        await ws.receive()
        await read_frame(stalled)
        topic = await webhooks(client, 2)
        assert outboxes() == 0
        for number in range(60):  # 12 MB: more than the kernel buffers for one who does not read
            await topic.broadcast(numbered(number, 200_000))
            assert number_of((await ws.receive()).data.encode()) == number
        assert outboxes() == 1
        numbers: list[int] = []
        while numbers[-1:] != [59]:
            numbers.append(number_of((await read_frame(stalled))[1]))
        assert numbers == sorted(set(numbers))
        assert len(numbers) < 60
        await until(lambda: outboxes() == 0)
        await topic.broadcast(numbered(60))
        assert number_of((await read_frame(stalled))[1]) == 60
    stalled.close()


async def test_client_that_saw_a_newer_snapshot_is_not_sent_the_older_one_of_a_running_broadcast(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "SLICE", 1)
    sockets = [await client.ws_connect("/events/ws") for _ in range(5)]
    for ws in sockets:
        await ws.receive()
    topic = await webhooks(client, 5)
    running = asyncio.create_task(topic.broadcast(numbered(1)))
    await asyncio.sleep(0)  # one of the five has it
    for one in list(topic.clients):
        topic.overtake(one, numbered(2))
    await running
    await topic.broadcast(numbered(3))
    seen = [[number_of((await ws.receive()).data.encode()) for _ in range(2)] for ws in sockets]
    assert sorted(seen) == [[1, 3], *[[2, 3]] * 4]
    for ws in sockets:
        await ws.close()


async def test_broadcast_lets_other_work_run_between_its_slices(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "SLICE", 2)
    sockets = [await client.ws_connect("/ws") for _ in range(10)]
    topic = client.app[HUB].topics["logins"]
    await until(lambda: len(topic.clients) == 10)
    running = asyncio.create_task(topic.broadcast(numbered(1)))
    turns = 0
    while not running.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 5
    for ws in sockets:
        await ws.close()


async def test_stalled_client_is_closed_with_1013_if_it_reads_again(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_client, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 30.0)
    client = await start()
    stalled = await stalled_socket(client, "/events/ws")
    topic = await webhooks(client, 1)
    await topic.broadcast(numbered(1, 8_000_000))  # one frame is enough, even if none follows
    await until(lambda: "took nothing" in caplog.text)
    first, frame = await read_frame(stalled)
    while first == TEXT:
        first, frame = await read_frame(stalled)
    assert (first, frame) == (CLOSE, (1013).to_bytes(2, "big") + b"too slow")
    stalled.close()
    await until(lambda: not topic.clients)


async def test_no_frame_follows_the_close_frame(client: Any) -> None:
    raw = await stalled_socket(client)
    hub = client.app[HUB]
    topic = hub.topics["logins"]
    await until(lambda: topic.clients)
    (one,) = topic.clients
    closing = asyncio.create_task(websocket.close_all(hub))
    await asyncio.sleep(0)
    await topic.broadcast(numbered(1))
    hub.subscribe(one, {"logins": bytes})  # as by a message that was still being answered
    await topic.broadcast(numbered(2))
    assert await read_frame(raw) == (CLOSE, (1001).to_bytes(2, "big") + b"server stops")
    assert await asyncio.to_thread(raw.recv, 100) == b""
    await closing
    raw.close()


async def test_stream_over_http_1_0_has_no_chunks(client: Any) -> None:
    """As a proxy asks that is left at its defaults."""
    raw = socket.create_connection(("127.0.0.1", client.port))
    raw.sendall(b"GET /statistics/transfers/day HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    topic = client.app[HUB].topics["transfers/day"]
    await until(lambda: topic.clients)
    await topic.broadcast(Snapshot(b'["end"]'))
    answer = b""
    while b'["end"]\n\n' not in answer:
        answer += await asyncio.to_thread(raw.recv, 10_000)
    events = answer.partition(b"\r\n\r\n")[2]
    assert re.fullmatch(rb"retry: 3000\n\n(id: [0-9a-f]{16}\ndata: \[.*\]\n\n)*", events), events
    raw.close()
