"""Exports: any size, every character, constant memory, and never half a file that looks whole."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientPayloadError
from waiting import PATIENCE_SECONDS, until

from statsd.database.pool import connect
from statsd.ingest import aggregate
from statsd.streams import files
from statsd.streams.webhooks import export
from statsd.streams.webhooks.export import EXPORTS
from statsd.streams.webhooks.read import END, QUERIES

HEADER = ["Event Type", "User ID", "Timestamp", "Metadata", "Received At"]
EVENT = {"eventType": "page_view", "userId": "1", "timestamp": "2024-01-01T12:00:00Z"}
KINDS = ("csv", "json", "ndjson")
FILL_ROWS = 20_000

Start = Callable[..., Awaitable[Any]]


async def post(client: Any, *events: dict[str, Any]) -> None:
    response = await client.post("/webhook", json=list(events))
    assert response.status == 200, await response.text()


async def fill(pool: Any, number: int, ago: str = "0 seconds") -> None:
    """Insert as another program would, in steps that a busy machine takes within a statement's time."""
    for first in range(1, number + 1, FILL_ROWS):
        await pool.execute(f"""
            insert into webhook_events (event_type, user_id, metadata, received_at)
            select 'page_view', n::text, '{{"page": "home"}}', now() - interval '{ago}'
            from generate_series({first}, {min(number, first + FILL_ROWS - 1)}) as n
        """)
    await aggregate.sweep(pool, "webhooks")


async def test_headers_are_those_of_the_contract(client: Any) -> None:
    await post(client, EVENT)
    media = {"csv": "text/csv", "json": "application/json", "ndjson": "application/x-ndjson"}
    for kind in KINDS:
        response = await client.get(f"/export/{kind}?filter=week")
        assert response.status == 200
        assert response.content_type == media[kind]
        name = f"events-week-{datetime.now(UTC).date()}.{kind}"
        assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        head = await client.head(f"/export/{kind}?filter=week")
        assert (head.status, await head.read()) == (200, b"")


async def test_csv_survives_every_character_and_calculates_nothing(client: Any) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1+1", "\uff20SUM(A1)"]
    hostile += ['say "hi", you', "ünï✓", "'=1", "'", "''=1"]
    await post(client, *({**EVENT, "userId": text, "metadata": {"a": f"{text}\n"}} for text in hostile))
    text = await (await client.get("/export/csv")).text()
    assert text.startswith(",".join(HEADER) + "\n")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == HEADER
    assert sorted(row[1] for row in rows) == sorted(
        f"'{one}" if one[0] in "'=+-@\uff1d\uff20" else one for one in hostile
    )
    assert all(json.loads(row[3])["a"].removesuffix("\n") in hostile for row in rows)
    assert all(row[2] == "2024-01-01T12:00:00.000Z" and row[0] == "page_view" for row in rows)


async def test_guard_may_be_left_out(client: Any) -> None:
    hostile = ["=1", "'=1", "''=1", "+358401234567", "-5", "@x", "x"]
    await post(client, *({**EVENT, "userId": text} for text in hostile))
    for guard, mark in (("on", "'"), ("off", "")):
        text = await (await client.get(f"/export/csv?guard={guard}")).text()
        found = [row["User ID"] for row in csv.DictReader(io.StringIO(text, newline=""))]
        assert sorted(found) == sorted(one if one == "x" else f"{mark}{one}" for one in hostile)
    response = await client.get("/export/csv?guard=maybe")
    assert (response.status, (await response.json())["error"]) == (400, 'guard must be "on" or "off"')


async def test_json_and_lines_hold_the_events_as_they_are_read(client: Any) -> None:
    await post(client, {**EVENT, "metadata": {"a": [1, {"b": None}]}}, EVENT)
    events = (await (await client.get("/events")).json())["data"]["events"]
    document = await (await client.get("/export/json")).json()
    assert document["success"] is True
    assert document["data"].pop("exportedAt")
    assert document["data"] == {"events": events, "filter": "hour", "totalCount": 2}
    lines = (await (await client.get("/export/ndjson")).text()).splitlines()
    assert [json.loads(line) for line in lines] == events


async def test_window_without_events_is_a_whole_file(client: Any) -> None:
    assert await (await client.get("/export/csv")).text() == ",".join(HEADER) + "\n"
    assert (await (await client.get("/export/json")).json())["data"]["events"] == []
    assert await (await client.get("/export/ndjson")).text() == ""


@pytest.mark.parametrize("number", [files.STEP_ROWS - 1, files.STEP_ROWS, files.STEP_ROWS + 1, 3_333])
async def test_every_row_comes_once_over_the_steps_of_the_cursor(client: Any, pool: Any, number: int) -> None:
    await fill(pool, number)
    document = await (await client.get("/export/json?filter=day")).json()
    assert document["data"]["totalCount"] == number
    assert {int(one["userId"]) for one in document["data"]["events"]} == set(range(1, number + 1))


async def test_filter_is_the_one_that_was_asked_for(client: Any, pool: Any) -> None:
    await fill(pool, 3, "3 hours")
    await fill(pool, 2, "2 days")
    await post(client, EVENT)
    for kind, rest in (("csv", 1), ("ndjson", 0)):
        counts = [
            len((await (await client.get(f"/export/{kind}?filter={name}")).text()).splitlines()) - rest
            for name in ("hour", "day", "week")
        ]
        assert counts == [1, 4, 6]


async def test_slow_reader_holds_up_nobody_and_costs_no_memory(client: Any, pool: Any) -> None:
    """A client that takes nothing: the export waits for it, and everybody else is served."""
    await fill(pool, 100_000)
    stalled = socket.create_connection((client.host, client.port))
    stalled.sendall(b"GET /export/json?filter=day HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: client.app[EXPORTS].running == 1)
    await post(client, EVENT)
    document = await (await client.get("/export/json?filter=day")).json()
    assert document["data"]["totalCount"] == 100_001
    assert client.app[EXPORTS].running == 1
    stalled.close()
    await until(lambda: client.app[EXPORTS].running == 0)


async def fill_long(pool: Any, number: int) -> None:
    """Insert events with as much metadata as one may have."""
    await pool.execute(
        """
        insert into webhook_events (event_type, user_id, metadata)
        select 'page_view', n::text, jsonb_build_object('text', repeat('x', 15 * 1024))
        from generate_series(1, $1::integer) as n
        """,
        number,
    )


async def test_long_rows_are_read_a_few_at_a_time(pool: Any, database_url: str) -> None:
    """Short ones came before them, so that nothing but the limit of a step tells what is coming."""
    await fill_long(pool, 300)
    await fill(pool, 300)
    connection = await connect(database_url)
    sizes = []
    arguments = (datetime(2020, 1, 1, tzinfo=UTC), *END, None)
    async with aclosing(files.steps(connection, QUERIES["page"], arguments)) as steps:
        async for rows in steps:
            sizes.append((len(rows), sum(len(row["metadata"]) for row in rows)))
        prepared = await connection.fetchval("select count(*) from pg_prepared_statements where not from_sql")
    await connection.close()
    assert sum(rows for rows, _ in sizes) == 600
    assert max(rows for rows, _ in sizes) == files.STEP_ROWS
    first, *others = [characters for rows, characters in sizes if characters > 15 * 1024]
    assert first <= 4 * 1024 * 1024
    assert max(others) <= 256 * 1024
    assert prepared <= 1  # the question itself: a pooler would have no statement of ours left


async def test_slow_reader_that_goes_on_taking_gets_it_all(
    client: Any, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a little between the requests of others; none of what it takes lasts as long as the patience does."""
    monkeypatch.setattr(export, "STALL_SECONDS", 3.0)
    await fill_long(pool, 1_000)
    loop = asyncio.get_running_loop()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, export.SLICE_BYTES)
        slow.setblocking(False)
        await loop.sock_connect(slow, (client.host, client.port))
        await loop.sock_sendall(slow, b"GET /export/ndjson HTTP/1.0\r\nHost: localhost\r\n\r\n")
        lines = 0
        while some := await loop.sock_recv(slow, export.SLICE_BYTES):
            lines += some.count(b'"eventId"')
            for _ in range(40):
                await client.get("/livez")
    assert lines == 1_000


async def test_too_many_at_once_are_told_to_come_again(client: Any, pool: Any) -> None:
    await fill(pool, 100_000)
    stalled = [socket.create_connection((client.host, client.port)) for _ in range(export.MOST_EXPORTS)]
    for one in stalled:
        one.sendall(b"GET /export/csv?filter=day HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: client.app[EXPORTS].running == export.MOST_EXPORTS)
    response = await client.get("/export/csv")
    assert (response.status, response.headers["Retry-After"]) == (503, "10")
    for one in stalled:
        one.close()
    await until(lambda: client.app[EXPORTS].running == 0)
    assert (await client.get("/export/csv")).status == 200


async def test_file_that_cannot_be_finished_does_not_look_whole(client: Any, pool: Any) -> None:
    """The connection of the cursor dies in the middle: the client sees a broken transfer."""
    await fill(pool, 150_000)
    response = await client.get("/export/json?filter=day")
    assert response.status == 200
    await response.content.readany()
    killed = await pool.fetchval("""
        select count(pg_terminate_backend(pid))
        from pg_stat_activity
        where datname = current_database() and query like '%from webhook_events%' and pid <> pg_backend_pid()
    """)
    assert killed
    with pytest.raises((ClientPayloadError, ConnectionResetError)):
        await asyncio.wait_for(response.read(), PATIENCE_SECONDS)
    await until(lambda: client.app[EXPORTS].running == 0)


async def test_export_without_a_database_is_503(start: Start, outside: Any) -> None:
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn)
    outside.stop()
    for kind in KINDS:
        response = await client.get(f"/export/{kind}")
        assert (response.status, (await response.json())["success"]) == (503, False)
