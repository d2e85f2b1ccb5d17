"""Server-sent events: the first at once, one per change, none twice, and no client at the cost of another."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import struct
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest
from events import Events
from items import ADA, BIKE, GRACE, ITEM, post, put
from waiting import until

from statsd.database import sql
from statsd.ingest import aggregate
from statsd.live import client as live_client
from statsd.live import places, sse
from statsd.live.client import Snapshot
from statsd.live.sse import CONNECTIONS
from statsd.live.topics import HUB, Topic
from statsd.streams.transfers.series import UNITS, Slice, _bins
from statsd.web.times import iso

Start = Callable[..., Awaitable[Any]]
TRANSFERS = "/statistics/transfers/minute"
CREATIONS = "/statistics/item-creation/minute"


@pytest.fixture
async def pool(pool: Any) -> Any:
    """The database of the test, with the well-known rows."""
    await pool.execute(sql.load("transfers")["seed"])
    return pool


def listeners(client: Any) -> int:
    return len(client.app[CONNECTIONS].open)


@pytest.mark.parametrize("unit", [*UNITS, "milliseconds"])
async def test_first_event_comes_at_once_and_one_more_per_change(client: Any, pool: Any, unit: str) -> None:
    async with (
        client.get(f"/statistics/transfers/{unit}") as moves,
        client.get(f"/statistics/item-creation/{unit}") as creations,
    ):
        transfers, items = Events(moves), Events(creations)
        assert (await transfers.next(), await items.next()) == ([], [])
        await put(client, ITEM, ADA, 204)
        (bin,) = await transfers.next()
        assert bin["count"] == 1
        assert datetime.fromisoformat(bin["time"]) <= datetime.now(UTC)
        assert bin["time"].endswith("Z")
        await post(client, "/items", {"base_item_id": BIKE}, 201)
        assert sum(bin["count"] for bin in await items.next()) == 1  # and nothing came for the transfer
        await put(client, ITEM, GRACE, 204)
        assert sum(bin["count"] for bin in await transfers.next()) == 2  # nor for the item


async def test_answer_has_the_headers_that_keep_it_flowing(client: Any) -> None:
    async with client.get(TRANSFERS, headers={"Accept-Encoding": "gzip"}) as response:
        events = Events(response)
        await events.next()
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in response.headers
        assert events.retry == 3000
        assert events.id


@pytest.mark.parametrize("place", ["headers", "params"])
async def test_who_comes_back_with_the_latest_id_is_sent_what_changed_and_nothing_else(
    start: Start, pool: Any, place: str
) -> None:
    """Also where it comes back to another server, or to one that was started anew.

    A script that stands in for EventSource cannot send the header: it adds `lastEventId` to the address.
    """
    one = await start()
    await put(one, ITEM, ADA, 204)
    async with one.get(TRANSFERS) as response:
        events = Events(response)
        assert len(await events.next()) == 1
    other = await start()
    known: dict[str, Any] = {place: {"Last-Event-ID" if place == "headers" else "lastEventId": events.id}}
    async with other.get(TRANSFERS, **known) as response:
        again = Events(response)
        await until(lambda: listeners(other))
        await put(other, ITEM, GRACE, 204)
        assert sum(bin["count"] for bin in await again.next()) == 2
    async with other.get(TRANSFERS, **known) as response:
        assert sum(bin["count"] for bin in await Events(response).next()) == 2


@pytest.mark.parametrize("id", ["9" * 23, "zzz-5", "1: x", "é", "", " ", "x" * 4000, "0123456789abcdef"])
async def test_unknown_id_is_sent_everything(client: Any, id: str) -> None:
    async with client.get(TRANSFERS, headers={"Last-Event-ID": id}) as response:
        assert await Events(response).next() == []


async def test_round_of_the_aggregation_that_changes_nothing_sends_nothing(start: Start, pool: Any) -> None:
    client = await start(aggregate_seconds=0.1)
    async with client.get(TRANSFERS) as response, client.ws_connect("/ws") as ws:
        events = Events(response)
        assert await events.next() == []
        for _ in range(3):
            assert (await ws.receive_json())["type"] == "stats_update"  # a round is done
        await put(client, ITEM, ADA, 204)
        assert sum(bin["count"] for bin in await events.next()) == 1


async def test_row_of_another_program_reaches_the_streams(start: Start, pool: Any) -> None:
    client = await start(aggregate_seconds=0.1)
    async with client.get(TRANSFERS) as response:
        events = Events(response)
        await pool.execute("insert into transfers (item_id, owner_id) values ($1, $2)", ITEM, ADA)
        await events.total(1)


async def test_silence_is_broken_by_comments(client: Any, monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.05)
    client = await start()
    async with client.get(TRANSFERS) as response:
        events = Events(response)
        await events.next()
        reading = asyncio.create_task(events.next())
        await until(lambda: events.comments > 3)
        reading.cancel()


async def test_since_and_limit_bound_what_is_sent(client: Any, pool: Any) -> None:
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=2)
    await pool.executemany(
        "insert into bins values ('transfers', 'minute', $1, 1)", [(start + timedelta(minutes=n),) for n in range(1500)]
    )

    async def first(query: str) -> list[str]:
        async with client.get(f"{TRANSFERS}?{query}") as response:
            return [bin["time"] for bin in await Events(response).next()]

    everything = await first("")
    assert len(everything) == 1000
    assert everything == sorted(everything, reverse=True)
    assert await first("limit=3") == everything[:3]
    assert await first(f"since={everything[9]}") == everything[:10]
    assert await first(f"since={everything[9]}&limit=4") == everything[:4]
    assert await first("since=2099-01-01") == []


@pytest.mark.parametrize("unit", ["minute", "second"])
async def test_what_is_dated_in_the_future_hides_nothing_that_happens(client: Any, pool: Any, unit: str) -> None:
    """The total of all has it; the stream, which has a thousand bins, has it when its time has come."""
    for table, column in (("transfers", "timestamp"), ("items", "created_at")):
        others = {"transfers": ("owner_id, item_id", f"'{ADA}', '{ITEM}'"), "items": ("base_item_id", f"'{BIKE}'")}
        names, values = others[table]
        await pool.execute(f"""
            insert into {table} ({column}, {names})
            select '2031-01-01'::timestamptz + n * interval '1 minute', {values}
            from generate_series(1, 1000) as n
        """)
        assert await aggregate.sweep(pool, table) >= 1000
    async with (
        client.get(f"/statistics/transfers/{unit}") as moves,
        client.get(f"/statistics/item-creation/{unit}") as creations,
    ):
        transfers, items = Events(moves), Events(creations)
        assert await transfers.next() == []
        before = sum(bin["count"] for bin in await items.next())
        item = await post(client, "/items", {"base_item_id": BIKE}, 201)
        await items.total(before + 1)
        await put(client, item["id"], GRACE, 204)
        await transfers.total(1)
    async with client.get("/transfers") as response:
        assert (await response.json())["transferCount"] == 1001


async def test_who_accepts_json_alone_is_answered_once(client: Any, pool: Any) -> None:
    await post(client, "/items", {"base_item_id": BIKE}, 201)
    creations = "/statistics/item-creation/year"
    response = await client.get(creations, headers={"Accept": "application/json"})
    assert (response.content_type, response.headers["Vary"]) == ("application/json", "Accept")
    (bin,) = await response.json()
    assert bin["count"] >= 1
    for accept, kind in [
        ("APPLICATION/JSON", "application/json"),
        ("application/json; q=0.5, */*", "application/json"),
        ("application/json;q=0", "text/event-stream"),
        ("application/json;q=0.000, */*", "text/event-stream"),
        ("application/json, Text/Event-Stream", "text/event-stream"),
        ("*/*", "text/event-stream"),
    ]:
        async with client.get(creations, headers={"Accept": accept}) as response:
            assert response.content_type == kind, accept
    narrowed = await client.get(f"{creations}?since=2099-01-01", headers={"Accept": "application/json"})
    assert await narrowed.json() == []


@pytest.mark.parametrize(
    "path",
    [
        "/statistics/transfers/foo", "/statistics/transfers/MINUTE", "/statistics/transfers/century",
        "/statistics/transfers/minute'%3B--", "/statistics/transfers/%00", "/statistics/item-creation/{day}",
        "/statistics/transfers/minutes", f"/statistics/transfers/{'x' * 3000}",
        f"{TRANSFERS}?limit=0", f"{TRANSFERS}?limit=1001", f"{TRANSFERS}?limit=1&limit=2", f"{TRANSFERS}?limit=%D9%A1",
        f"{TRANSFERS}?since=yesterday", f"{TRANSFERS}?since=2025-02-30", f"{TRANSFERS}?since=1969-12-31",
        f"{TRANSFERS}?since=2025-02-03T10:00:00+02:00",
    ],
)  # fmt: skip
async def test_what_cannot_be_streamed_is_400_in_json(client: Any, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 400
        answer = await response.json()
        assert answer["details"] == [answer["error"]]
        if "since" in path:
            assert "from 1970 to 2099" in answer["error"] and "%2B" in answer["error"]
    assert (await client.get("/health")).status == 200


async def test_head_is_answered_and_ends(client: Any) -> None:
    async with client.head(TRANSFERS) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert await response.read() == b""


async def test_a_hundred_streams_of_a_unit_share_a_query_and_cold_units_cost_none(
    client: Any, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    snapshot = Topic.snapshot

    async def counted(topic: Topic) -> Snapshot:
        asked.append(topic.name)
        return await snapshot(topic)

    responses = [await client.get(TRANSFERS) for _ in range(100)]
    streams = [Events(response) for response in responses]
    await asyncio.gather(*(events.next() for events in streams))
    monkeypatch.setattr(Topic, "snapshot", counted)
    await put(client, ITEM, ADA, 204)
    await asyncio.gather(*(events.next() for events in streams))
    assert asked == ["transfers/minute"]
    for response in responses:
        response.close()


def test_thousand_slices_are_read_off_one_payload_and_leave_nothing_behind() -> None:
    """Those of many clients share a frame, as what all are sent."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [iso(start + timedelta(minutes=n)) for n in reversed(range(1000))]
    bins = [{"time": time, "count": n} for n, time in enumerate(times)]
    snapshot = Snapshot(msgspec.json.encode(bins))
    shared = snapshot.frame(sse.event)
    assert snapshot.frame(Slice(10)) is snapshot.frame(Slice(10))
    missed = _bins.cache_info().misses
    tracemalloc.start()
    for n, time in enumerate(times, 1):
        frame = snapshot.frame(Slice(1000, time))
        assert frame == sse.event(msgspec.json.encode(bins[:n]))
        assert snapshot.frame(sse.event) is shared
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000  # bytes; all of the frames are 24 million
    assert _bins.cache_info().misses == missed


async def test_stream_that_takes_nothing_is_dropped_and_delays_no_one(
    start: Start, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_client, "STALL_SECONDS", 4.0)  # none of the others takes so long, also on a busy machine
    client = await start()
    stalled = await deaf(client)
    responses = [await client.get(TRANSFERS) for _ in range(50)]
    streams = [Events(response) for response in responses]
    await asyncio.gather(*(events.next() for events in streams))
    await until(lambda: listeners(client) == 51)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    topic = client.app[HUB].topics["transfers/minute"]
    for number in range(100):  # 10 MB: more than the kernel buffers for one who does not read
        long = json.dumps([{"time": "x" * 100_000, "count": number}]).encode()
        await topic.broadcast(Snapshot(long))
        await asyncio.gather(*(events.next() for events in streams))
    await until(lambda: listeners(client) == 50)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 100_000  # KiB
    await put(client, ITEM, ADA, 204)
    await asyncio.gather(*(events.total(1) for events in streams))
    for response in responses:
        response.close()
    stalled.close()


async def test_peer_that_vanished_is_forgotten(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.05)
    client = await start()
    raw = await deaf(client)
    topic = client.app[HUB].topics["transfers/minute"]
    await until(lambda: listeners(client) == len(topic.clients) == 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()
    await until(lambda: listeners(client) == len(topic.clients) == 0)


async def test_stop_ends_every_stream_where_it_is_complete_even_if_one_is_stalled(start: Start, pool: Any) -> None:
    client = await start()
    stalled = await deaf(client)
    responses = [await client.get(TRANSFERS) for _ in range(20)]
    streams = [Events(response) for response in responses]
    await asyncio.gather(*(events.next() for events in streams))
    await until(lambda: listeners(client) == 21)
    began = asyncio.get_running_loop().time()
    await client.server.close()
    assert asyncio.get_running_loop().time() - began < 8
    for events in streams:
        with pytest.raises(EOFError):
            await events.next()
    stalled.close()


@pytest.mark.parametrize("most", ["MOST", "MOST_PER_ADDRESS"])
async def test_more_streams_than_can_be_served_are_told_to_come_later(
    client: Any, monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    monkeypatch.setattr(places, most, 2)
    open_ones = [await client.get(TRANSFERS) for _ in range(2)]
    async with client.get(TRANSFERS) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert "2 streams" in (await response.json())["error"]
    async with client.get(TRANSFERS, headers={"Accept": "text/event-stream"}) as response:  # as a browser's EventSource
        refused = Events(response)
        with pytest.raises(EOFError):
            await refused.next()
        assert refused.retry == 15_000
    open_ones.pop().close()
    await until(lambda: listeners(client) == 1)
    async with client.get(TRANSFERS) as response:
        assert await Events(response).next() == []
    for response in open_ones:
        response.close()


async def test_one_address_leaves_room_for_others(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address is that of a client behind a trusted proxy; whoever is exempt opens as many as there are."""
    monkeypatch.setattr(places, "MOST_PER_ADDRESS", 1)
    proxies, exempt = ip_network("127.0.0.0/8"), ip_network("198.51.100.0/24")
    client = await start(trusted_proxies=(proxies,), throttle_exempt=(exempt,))
    responses: list[Any] = []  # what nobody holds is closed at some time
    for address, statuses in [
        ("203.0.113.1", [200, 503, 503]),
        ("203.0.113.2", [200, 503]),
        ("2001:db8::1", [200]),
        ("2001:db8::2", [503]),  # of the same network, which one client has
        ("198.51.100.7", [200, 200, 200]),
    ]:
        asked = [await client.get(TRANSFERS, headers={"X-Forwarded-For": address}) for _ in statuses]
        assert [response.status for response in asked] == statuses, address
        responses += asked
    assert listeners(client) == 6
    for response in responses:
        response.close()


async def test_pages_of_this_machine_may_listen_and_named_ones_with_credentials(start: Start) -> None:
    named = "https://stats.example.org"
    client = await start(cors_origins=(named,))
    for origin, granted in {
        named: named,
        **dict.fromkeys(["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"], "*"),
        **dict.fromkeys(["https://any.example", "http://localhost.evil.example", "null", "http://localhost:x"], None),
    }.items():
        async with client.get(TRANSFERS, headers={"Origin": origin}) as response:
            assert response.headers.get("Access-Control-Allow-Origin") == granted, origin
            assert ("Access-Control-Allow-Credentials" in response.headers) == (origin == named)


async def deaf(client: Any) -> socket.socket:
    """A connection that asked for a stream with a small receive buffer, and reads nothing."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.to_thread(raw.connect, ("127.0.0.1", client.port))
    raw.sendall(f"GET {TRANSFERS} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode())
    return raw
