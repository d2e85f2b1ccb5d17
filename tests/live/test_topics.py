"""Fan-out: one query for all, the latest wins, the last is never dropped, nobody waits for the slowest."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import WSMsgType
from sockets import stalled_socket
from waiting import until

from statsd.database.pool import POOL
from statsd.live import client as live_client
from statsd.live import topics
from statsd.live.client import Snapshot
from statsd.live.topics import HUB, Topic
from statsd.stream import View

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
LISTENS = "datname = current_database() and query like 'LISTEN%'"


async def test_frame_is_made_once_for_all_clients() -> None:
    made = []

    def framing(payload: bytes) -> bytes:
        made.append(payload)
        return payload

    snapshot = Snapshot(b"{}")
    frames = {id(snapshot.frame(framing)) for _ in range(50)}
    assert (len(made), len(frames)) == (1, 1)


async def test_client_is_offered_only_what_it_listens_to(client: Any) -> None:
    topics = client.app[HUB].topics
    async with client.ws_connect("/ws") as ws:
        await until(lambda: topics["logins"].clients)
        await topics["webhooks"].broadcast(Snapshot(b'"other"'))
        await topics["logins"].broadcast(Snapshot(b'"mine"'))
        assert (await ws.receive_json())["payload"] == "mine"


async def test_a_hundred_askers_share_two_queries_and_see_what_was_stored_before(pool: Any) -> None:
    """One query runs when the others ask; they share the next, which began after their asking."""
    topic = Topic("logins", pool, View("logins"))
    before = await pool.fetchval("select count(*) from pg_stat_activity")  # the pool is connected
    assert before
    first = asyncio.create_task(topic.snapshot())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = await asyncio.gather(*(topic.snapshot() for _ in range(100)))
    assert len({id(snapshot) for snapshot in rest}) == 1
    assert (await first) is not None


async def test_snapshot_contains_everything_committed_before_the_call(start: Callable[..., Awaitable[Any]]) -> None:
    client = await start()

    async def post_and_ask(number: int) -> None:
        await client.post("/logins", json={**LOGIN, "user_id": number})
        payload = await (await client.get("/logins/stats")).json()
        seen.append((number, payload["totalSessions"]))

    seen: list[tuple[int, int]] = []
    for number in range(1, 31):
        await post_and_ask(number)
    assert seen == [(number, number) for number in range(1, 31)]


async def test_change_reaches_the_clients_of_every_server(start: Callable[..., Awaitable[Any]]) -> None:
    """Two servers on one database: a login posted to one is pushed by the other."""
    one, two = await start(), await start()
    async with two.ws_connect("/ws") as socket_of_two:
        await until(lambda: two.app[HUB].topics["logins"].clients)
        await one.post("/logins", json=LOGIN)
        frame = await wait_for_total(socket_of_two, 1)
    assert frame["type"] == "stats_update"


async def test_killed_listen_connection_comes_back_and_misses_nothing(start: Callable[..., Awaitable[Any]]) -> None:
    client = await start()
    async with client.ws_connect("/ws") as listening:
        pool = client.app[POOL]
        listener = f"select pg_terminate_backend(pid) from pg_stat_activity where {LISTENS}"
        await until(lambda: pool.fetchval(listener))
        await client.post("/logins", json=LOGIN)
        await wait_for_total(listening, 1)
        await until(lambda: pool.fetchval(f"select pid from pg_stat_activity where {LISTENS}"))
        await client.post("/logins", json=LOGIN)
        await wait_for_total(listening, 2)


async def test_aggregation_pushes_to_all_though_nothing_changed(start: Callable[..., Awaitable[Any]]) -> None:
    client = await start(aggregate_seconds=0.1)
    async with client.ws_connect("/ws") as one, client.ws_connect("/ws") as two:
        for ws in (one, two):
            assert [(await ws.receive_json())["type"] for _ in range(2)] == ["stats_update"] * 2


async def test_stream_that_cannot_be_swept_keeps_no_other_from_it(
    start: Callable[..., Awaitable[Any]], pool: Any
) -> None:
    await pool.execute("alter table user_logins rename column folded to broken")
    client = await start(aggregate_seconds=0.1)
    await pool.execute(
        "insert into page_events (site_id, event_type, path, timestamp) values ('s', 'page_view', '/', now())"
    )

    async def counted() -> bool:
        async with client.get("/stats?site_id=s") as response:
            return (await response.json())["total_views"] == 1

    await until(counted)


async def test_burst_is_pushed_at_a_pace_and_its_last_change_is_pushed(start: Callable[..., Awaitable[Any]]) -> None:
    client = await start()
    async with client.ws_connect("/ws") as listening:
        began = time.monotonic()
        await asyncio.gather(*(client.post("/logins", json={**LOGIN, "user_id": n}) for n in range(60)))
        frames = 1
        while (await listening.receive_json())["payload"]["totalSessions"] < 60:
            frames += 1
        assert frames <= 2 + (time.monotonic() - began) / topics.PACE_SECONDS
        assert frames < 60


async def test_pace_is_a_setting(start: Callable[..., Awaitable[Any]]) -> None:
    client = await start(pace_ms=1_000)
    async with client.ws_connect("/ws") as listening:
        began = time.monotonic()
        stored = 0
        while time.monotonic() - began < 1.5:  # in which the usual pace makes six frames
            stored += 1
            await client.post("/logins", json={**LOGIN, "user_id": stored})
        frames = 1
        while (await listening.receive_json())["payload"]["totalSessions"] < stored:
            frames += 1
        assert frames <= 2 + (time.monotonic() - began)


async def test_client_that_takes_nothing_delays_no_one_and_costs_no_memory(
    start: Callable[..., Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 sockets, one of which never reads. The others get every push; the stalled one is cut off."""
    monkeypatch.setattr(live_client, "STALL_SECONDS", 4.0)  # none of the others takes so long, also on a busy machine
    client = await start(throttle_exempt=(ip_network("127.0.0.0/8"),))
    stalled = await stalled_socket(client)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sockets = [await client.ws_connect("/ws") for _ in range(199)]
    hub = client.app[HUB]
    await until(lambda: len(hub.sockets) == 200)
    topic = hub.topics["logins"]
    for _ in range(20):  # 8 MB: more than the kernel buffers for one who does not read
        await topic.broadcast(Snapshot(b'{"totalSessions":0,"x":"' + b"x" * 400_000 + b'"}'))
        await asyncio.gather(*(ws.receive() for ws in sockets))
    await until(lambda: len(hub.sockets) == 199)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 150_000  # KiB, of 1.6 GB that were sent
    await client.post("/logins", json=LOGIN)
    await asyncio.gather(*(wait_for_total(ws, 1) for ws in sockets))
    await asyncio.gather(*(ws.close() for ws in sockets))
    stalled.close()


async def test_vanished_peer_is_forgotten(start: Callable[..., Awaitable[Any]]) -> None:
    """A connection that is reset (no close frame) leaves no socket, client or task behind."""
    client = await start()
    raw = await stalled_socket(client)
    hub = client.app[HUB]
    await until(lambda: len(hub.sockets) == 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()
    await until(lambda: not hub.sockets and not hub.topics["logins"].clients)


async def wait_for_total(ws: Any, total: int) -> dict[str, Any]:
    """Read frames until one says that there are `total` logins."""
    while True:
        message = await ws.receive()
        assert message.type is WSMsgType.TEXT, message
        frame = message.json()
        if frame["payload"]["totalSessions"] == total:
            return frame
