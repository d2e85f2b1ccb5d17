"""The lean front answers and stores as aiohttp does: the same requests go through both doors of one application."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from doors import ITEM, TABLES, TOKEN, Connection, Doors, differences, whole
from items import ADA, BIKE, NOBODY
from waiting import PATIENCE_SECONDS, until

from statsd.database import sql
from statsd.errors import Overloaded
from statsd.ingest import lean, outage, writer
from statsd.ingest.lean import Front
from statsd.web import asked

Start = Callable[..., Awaitable[TestClient[web.Request, web.Application]]]

VIEW = {"site_id": "shop", "event_type": "page_view", "path": "/", "user_id": "u", "timestamp": "2026-11-21T10:30:00Z"}
HOOK = {"eventType": "page_view", "userId": "123", "metadata": {"page": "home"}}
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "Estonia", "device_type": "Mobile", "browser": "Firefox"}
EVENTS: dict[str, dict[str, Any]] = {
    "POST /event": VIEW,
    "POST /webhook": HOOK,
    "POST /logins": LOGIN,
    "POST /items": {"base_item_id": BIKE},
    f"PUT /items/{ITEM}/ownership": {"to": ADA},
    "POST /track": {"feature_name": "age filter"},
}
ANNA = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}


def request(way: str = "POST /event", body: object = None, *lines: str, version: str = "HTTP/1.1") -> bytes:
    """A request with a length; `lines` are further headers, and replace those of the same name."""
    body = EVENTS.get(way, VIEW) if body is None else body
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Host": "stats.example", "Content-Type": "application/json", "Content-Length": str(len(encoded))}
    if way.endswith("/track"):
        headers["Authorization"] = f"Bearer {TOKEN}"
    replaced = {line.partition(":")[0].lower() for line in lines}
    kept = [f"{name}: {value}" for name, value in headers.items() if name.lower() not in replaced]
    head = "\r\n".join([f"{way} {version}", *kept, *filter(None, lines)])
    return head.encode("latin-1") + b"\r\n\r\n" + encoded


def view(*lines: str) -> bytes:
    """A page view with further headers."""
    return request("POST /event", VIEW, *lines)


def without(name: str) -> bytes:
    """A request without a header."""
    return re.sub(rb"%b: [^\r]*\r\n" % name.encode(), b"", request())


PLAIN = [request(way) for way in EVENTS]
WELL_FORMED = [
    *PLAIN,
    *(request(way, None, "User-Agent: curl/8", "Accept: */*", "X-Forwarded-For: 203.0.113.9") for way in EVENTS),
    *(request(way, None, "Content-Type: application/json; charset=utf-8") for way in EVENTS),
    *(request(way, None, "Content-Type: text/plain") for way in EVENTS),
    *(request(way, None, "content-type: Application/JSON") for way in EVENTS),
    *(request(way, None, "Origin: https://other.example") for way in EVENTS),
    *(request(way, None, "X-Request-Id: r-1") for way in EVENTS),
    *(request(way, None, "Connection: keep-alive") for way in EVENTS),
    *(request(way, None, "Connection: close") for way in EVENTS),
    *(request(way, None, "Content-Type: application/x-ndjson") for way in EVENTS),
    *(request(way, [EVENTS[way]]) for way in EVENTS),
    *(request(way.replace(" /", " /nowhere/")) for way in EVENTS),
    *(request(way + "?a=b") for way in EVENTS),
    *(request(way, None, version="HTTP/1.0") for way in EVENTS),
    *(request(way.replace("POST", "DELETE").replace("PUT", "GET")) for way in EVENTS),
    request(body=VIEW | {"path": "/é\N{SNOWMAN}"}),
    request("POST /webhook", HOOK, "Content-Type: application/cloudevents+json"),
    request("POST /webhook", HOOK, "ce-id: 1", "ce-type: t", "ce-source: s", "ce-specversion: 1.0"),
    request("POST /track", None, "Cookie: a=b"),
    request("POST /track", None, "Authorization: bearer  token"),
    request("POST /track", {"featureName": "age filter"}),
    request("POST /track", {"feature_name": "new"}),
    request("GET /livez", b""),
    request("GET /", b""),
    request("OPTIONS /event", b""),
    request("HEAD /event", b""),
    request("POST http://stats.example/event"),
    request("POST /%65vent"),
    request(f"PUT /items/{NOBODY}/ownership"),
    request(f"PUT /items/{ITEM.upper()}/ownership"),
    request("PUT /items/7/ownership"),
    without("Content-Type"),
    PLAIN[0] + PLAIN[0],
    PLAIN[0] + PLAIN[1] + PLAIN[2],
    b"\r\n" + PLAIN[0],
    view("Expect: 100-continue"),
]
MALFORMED = [
    *(request(way, b"{}") for way in EVENTS),
    *(request(way, b"") for way in EVENTS),
    *(request(way, b"null") for way in EVENTS),
    *(request(way, b"[]") for way in EVENTS),
    *(request(way, b'{"a":') for way in EVENTS),
    *(request(way, b"\xff\xfe") for way in EVENTS),
    *(request(way, EVENTS[way] | {"user_id": None, "userId": 5, "to": 1, "base_item_id": "x"}) for way in EVENTS),
    *(request(way, None, "Content-Type: image/png") for way in EVENTS),
    *(request(way, None, "Content-Encoding: gzip") for way in EVENTS),
    *(request(way, None, "Content-Encoding: br") for way in EVENTS),
    request("POST /track", None, "Authorization:"),
    request("POST /track", None, "Authorization: Bearer"),
    request("POST /track", None, "Authorization: Basic token"),
    request("POST /track", None, "Authorization: Bearer a.b.c"),
    request("POST /track", None, f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"),
    request("POST /items", {"base_item_id": NOBODY}),
    request(f"PUT /items/{ITEM}/ownership", {"to": NOBODY}),
    request("POST /webhook", HOOK | {"metadata": {"a": "\0"}}),
    request("POST /webhook", b'{"eventType":"a","userId":"b","metadata":' + b'{"a":' * 9000 + b"1" + b"}" * 9001),
    *(request(way, b"[" * 60_000) for way in EVENTS),
    *(request(way, b'{"path":"\\ud800","feature_name":"\\ud800","region":"\\ud800"}') for way in EVENTS),
    request(body=VIEW | {"path": "/\ud800"}),
    request("POST /webhook", HOOK | {"userId": "\ud800"}),
    request("POST /webhook", HOOK | {"metadata": {"a": 1e308}}),
    request("POST /logins", LOGIN | {"region": "\ud800"}),
    request("POST /logins", LOGIN | {"user_id": 2**63}),
    request("POST /track", {"feature_name": "\ud800"}),
    request(body=VIEW | {"path": "/" + "x" * 70_000}),
    request(body=VIEW | {"timestamp": "2126-11-21T10:30:00Z"}),
    without("Host"),
    without("Content-Length"),
    view("Content-Length: 5", "Content-Length: 5"),
    view("Content-Length: 5", "Content-Length: 6"),
    view("Content-Length: 0x10"),
    view("Content-Length: +5"),
    view("Content-Length: -5"),
    view("Content-Length: 5, 5"),
    view("Content-Length : 5"),
    view("Transfer-Encoding: chunked"),
    view("Transfer-Encoding: chunked", "Content-Length: 5"),
    view("Transfer-Encoding: identity", "Content-Length: 5"),
    request("POST /event", b"5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length:"),
    view("Host: a", "Host: b"),
    view("Content-Type: application/json", "Content-Type: text/plain"),
    view("X: \0"),
    view("X: a\r\n b"),
    view("X: a\n Y: b"),
    view("X: \xe9"),
    view("X: " + "x" * 9000),
    view(*(f"X-{number}: x" for number in range(140))),
    view("Upgrade: websocket", "Connection: Upgrade"),
    view("Upgrade: h2c"),
    view("Connection: Upgrade"),
    request("CONNECT /event"),
    request("post /event"),
    request("POST  /event"),
    request("POST /event", VIEW, version="HTTP/2.0"),
    request("POST /event", VIEW, version="HTTP/1.1 "),
    request().replace(b"\r\n", b"\n"),
    request().replace(b"\r\n\r\n", b"\n\n", 1),
    request().replace(b"\r\n\r\n", b"\r\n\n", 1),
    request(body=VIEW).replace(b"Host: stats.example\r\n", b"Host: stats.example\r"),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def damaged(rng: random.Random) -> bytes:
    """A request with some bytes changed, doubled, added or left out."""
    data = bytearray(rng.choice(WELL_FORMED))
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        start = rng.randrange(len(data))
        end = min(len(data), start + rng.choice((1, 1, 1, 2, 8)))
        piece = rng.choice((b"", bytes([rng.randrange(256)]), b"\r\n", b"\n", b":", b" ", b"0", data[start:end] * 2))
        data[start:end] = piece
    return bytes(data)


Open = Callable[..., Awaitable[Doors]]


@pytest.fixture
async def doors_with(start: Start, pool: asyncpg.Pool[asyncpg.Record], monkeypatch: pytest.MonkeyPatch) -> Open:
    """Starts the application with the given settings, a user and the well-known items, and opens both doors."""
    monkeypatch.setattr(asked, "BODY_SECONDS", PATIENCE_SECONDS)  # bodies of many connections arrive byte by byte

    async def begin(**settings: Any) -> Doors:
        client = await start(**{"allowed_hosts": ("stats.example",), **settings})
        answer = await (await client.post("/register", json=ANNA)).json()
        headers = {"Authorization": f"Bearer {answer['token']}"}
        for _ in range(2):  # the second click knows the feature
            await client.post("/track", json=EVENTS["POST /track"], headers=headers)
        await pool.execute(sql.load("transfers")["seed"])
        await pool.execute(f"truncate {', '.join(TABLES)} cascade")
        return Doors(client, pool, answer["token"])

    return begin


@pytest.fixture
async def doors(doors_with: Open) -> Doors:
    return await doors_with()


def bytewise(_: int, data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


@pytest.mark.parametrize("corpus", ["well formed", "malformed", "damaged"])
async def test_both_doors_give_the_same_answers_and_store_the_same_rows(doors: Doors, corpus: str) -> None:
    rng = random.Random(11)
    known = {"well formed": WELL_FORMED, "malformed": MALFORMED}
    requests = known[corpus] if corpus in known else [damaged(rng) for _ in range(1000)]
    chains = [[data] for data in requests]
    for cut in (whole, whole, bytewise):  # new heads, known heads, heads in pieces
        answers, rows = await doors.ask(doors.plain, chains, cut), await doors.rows()
        assert differences(requests, answers, await doors.ask(doors.lean, chains, cut)) == []
        assert await doors.rows() == rows


@pytest.mark.parametrize("data", PLAIN, ids=list(EVENTS))
async def test_a_request_may_be_cut_anywhere(doors: Doors, data: bytes) -> None:
    (answer,), rows = await doors.ask(doors.plain, [[data]]), await doors.rows()
    chains = [[data] for _ in range(1, len(data))]
    answers = await doors.ask(doors.lean, chains, lambda number, data: [data[: number + 1], data[number + 1 :]])
    assert set(answers) == {answer}
    assert await doors.rows() == {row: count * len(chains) for row, count in rows.items()}


async def test_requests_follow_each_other_on_a_connection(doors: Doors) -> None:
    requests = [*WELL_FORMED, *MALFORMED]
    chains = [[PLAIN[0], PLAIN[1], data, PLAIN[2], PLAIN[0]] for data in requests]
    answers, rows = await doors.ask(doors.plain, chains), await doors.rows()
    assert differences(requests, answers, await doors.ask(doors.lean, chains)) == []
    assert await doors.rows() == rows


async def test_requests_may_come_before_the_answers(doors: Doors) -> None:
    data = b"".join(PLAIN * 3)
    (answer,), rows = await doors.ask(doors.plain, [[data]]), await doors.rows()
    chains = [[data] for _ in range(1, len(data), 7)]
    answers = await doors.ask(doors.lean, chains, lambda number, data: [data[: number * 7], data[number * 7 :]])
    assert set(answers) == {answer}
    assert await doors.rows() == {row: count * len(chains) for row, count in rows.items()}


@pytest.mark.parametrize(
    "settings",
    [
        {"cors_origins": ("https://other.example",)},
        {"frontend_url": "https://other.example"},
        {"allowed_hosts": ("elsewhere.example",)},
        {"allowed_hosts": ()},
        {"allowed_hosts": (), "host": "0.0.0.0"},
        {"allowed_hosts": (), "public_url": "https://stats.example"},
        {"public_url": "http://stats.example", "trusted_proxies": (ip_network("203.0.113.0/24"),)},
        {"trusted_proxies": (ip_network("203.0.113.0/24"),)},
        {"trusted_proxies": (ip_network("10.0.0.0/8"),)},
        {"webhook_api_key": "key"},
        {"webhook_secrets": (b"s" * 32,)},
        {"webhook_event_types": ("other",), "webhook_strict": True},
    ],
    ids="-".join,
)
async def test_both_doors_keep_to_the_settings(doors_with: Open, settings: dict[str, Any]) -> None:
    doors = await doors_with(**settings)
    proxied = [view(f"X-Forwarded-Proto: {protocol}") for protocol in ("https", "HTTPS, http", "http", "")]
    proxied += [
        view(f"Forwarded: for=203.0.113.9;proto={protocol}") for protocol in ("https", '"HTTPS", proto=http', "")
    ]
    chains = [[data, data] for data in (*PLAIN, *proxied, *WELL_FORMED[-30:])]
    answers, rows = await doors.ask(doors.plain, chains), await doors.rows()
    assert await doors.ask(doors.lean, chains) == answers
    assert await doors.rows() == rows


async def test_both_doors_refuse_when_the_queue_is_full(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "QUEUE_ROWS", 0)
    chains = [[data] for data in PLAIN]
    answers = await doors.ask(doors.plain, chains)
    assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers)
    assert await doors.ask(doors.lean, chains) == answers


async def test_event_that_may_be_stored_late_is_not_stored_again(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its statement waits behind a lock, and the spool is full: a second attempt would make it two events."""
    monkeypatch.setattr(writer, "AWAY_SECONDS", 0.1)
    monkeypatch.setattr(outage.Outage, "spool_rows", refuse)
    lock = "lock table page_days, webhook_count, login_days"
    count = " + ".join(f"(select count(*) from {table})" for table in TABLES[:3])
    async with doors.pool.acquire() as admin:
        async with admin.transaction():
            await admin.execute(lock)
            answers = await doors.ask(doors.lean, [[data] for data in PLAIN[:3]])
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 503"] * 3
        await until(lambda: admin.fetchval(f"select {count} >= 3"))
        async with admin.transaction():
            await admin.execute(lock)  # granted once every statement before it has ended
            assert await admin.fetchval(f"select {count}") == 3


async def refuse(*_: object) -> None:
    raise Overloaded("the spool is full")


async def test_plain_requests_never_come_to_aiohttp(doors: Doors) -> None:
    before = doors.lean.requests_count
    await doors.ask(doors.lean, [[data] for data in PLAIN])
    assert doors.lean.requests_count == before
    await doors.ask(doors.lean, [[view("X-Unknown: 1")]])
    assert doors.lean.requests_count == before + 1


async def test_lean_front_can_be_switched_off(doors_with: Open) -> None:
    doors = await doors_with(lean=False)
    assert not isinstance(doors.lean(), Front)
    assert (await doors.ask(doors.lean, [[PLAIN[0]]]))[0].startswith(b"HTTP/1.1 202")


async def test_memory_of_heads_is_bounded(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "MEMORY_BYTES", 4096)
    await doors.ask(doors.lean, [[view(f"User-Agent: {number} {'x' * 400}")] for number in range(100)])
    heads = doors.lean._heads
    assert sum(map(len, heads._plans)) == heads._bytes <= 4096


async def test_connection_whose_heads_always_change_is_left_to_aiohttp(doors: Doors) -> None:
    heads = doors.lean._heads
    await doors.ask(doors.lean, [[view(f"X-Trace: {number}") for number in range(100)]])
    assert sum(b"X-Trace" in head for head in heads._plans) == lean.MISSES


async def test_client_that_takes_no_answers_is_left_to_aiohttp(doors: Doors) -> None:
    connection, before = Connection(doors.lean()), doors.lean.requests_count
    connection.protocol.pause_writing()
    connection.protocol.data_received(PLAIN[0])
    connection.protocol.data_received(PLAIN[0])
    await until(lambda: doors.lean.requests_count > before)  # aiohttp waits until its first answer was taken
    connection.protocol.resume_writing()
    await connection.settle()
    assert doors.lean.requests_count == before + 2
    connection.close()


async def test_connection_is_idle_only_after_its_answer(doors: Doors) -> None:
    connection = Connection(doors.lean())
    connection.protocol.data_received(PLAIN[0])
    connection.protocol._next_keepalive_close_time = 0.0
    connection.protocol._process_keepalive()
    assert not connection.peer.is_closed
    await connection.settle()
    assert connection.peer.written.startswith(b"HTTP/1.1 202")
    connection.protocol._next_keepalive_close_time = 0.0
    connection.protocol._process_keepalive()
    assert connection.peer.is_closed


async def test_stop_waits_for_the_answer(doors: Doors) -> None:
    connection = Connection(doors.lean())
    connection.protocol.data_received(PLAIN[0])
    await connection.protocol.shutdown(PATIENCE_SECONDS)
    assert connection.peer.written.startswith(b"HTTP/1.1 202")
    assert connection.peer.is_closed
