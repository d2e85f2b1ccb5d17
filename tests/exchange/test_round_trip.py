"""What is exported and imported again is the same, row by row and in the totals, however often."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from files import STREAMS, exported, imported, rows_of
from program import Program
from recounts import differences
from waiting import until

from statsd import streams
from statsd.database.pool import open_pool
from statsd.ingest import aggregate, generator, ids
from statsd.ingest.writer import Writer

Run = Callable[..., Program]
HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "'=1",
    "''x",
    "'",
    "\uff1d1",
    'say "hi", you',
    "ünï✓",
    "a;b,c",
    "\\N",
    "null",
]
OTHERS = {
    "logins": """
        insert into user_logins (user_id, login_time, ip_address, region, device_type, browser, created_at)
        select -5, '1999-12-31 23:59:59.999999+00', '::1', text, text, text, '2001-01-01'
        from unnest($1::text[]) as text
    """,
    "webhooks": """
        insert into webhook_events (event_type, user_id, "timestamp", metadata, received_at)
        select text, text, '1971-01-01', jsonb_build_object(text, 0.1234567890123456789012::numeric, 'n', e'a\\nb'),
            '2020-02-29 23:59:59.999999+00'
        from unnest($1::text[]) as text
    """,
    "usage": """
        insert into feature_clicks (feature_name, user_id, "timestamp", age, gender)
        select text, 2147483647, '1970-01-01', nullif(number, 1), case when number > 2 then 'Other' end
        from unnest($1::text[]) with ordinality as texts (text, number)
    """,
    "transfers": """
        with bases as (insert into base_items (description) select text from unnest($1::text[]) as text returning id),
        people as (insert into owners (name) select nullif(text, 'null') from unnest($1::text[]) as text returning id)
        select from bases, people
    """,
    "pageviews": """
        insert into page_events (site_id, event_type, path, user_id, "timestamp", created_at)
        select text, text, text, nullif(text, 'null'), '2099-12-31 23:59:59.999999+00', '2026-01-01'
        from unnest($1::text[]) as text
    """,
}
"""Rows of another program, with every text that a file might change, at the edges of what is allowed."""


async def fill(pool: Any, stream: str, number: int = 400) -> None:
    """Store samples, and rows of another program that are folded."""
    rng = random.Random(1)
    for part in [one for one in streams.STREAMS if stream in (one.name, one.part_of)]:
        await generator.store_fixtures(pool, part)
        writer = Writer(part, pool)
        task = asyncio.create_task(writer.run())
        await writer.store([part.row(part.sample(rng), ids.new_id()) for _ in range(number)])
        writer.stop()
        await task
    await pool.execute(OTHERS[stream], HOSTILE)
    for name in _parts(stream):
        await aggregate.sweep(pool, name)


@pytest.mark.parametrize("form", ["ndjson", "csv"])
@pytest.mark.parametrize("stream", STREAMS)
async def test_every_row_comes_back_as_it_was_and_counts_once(
    pool: Any, empty_url: str, folder: Path, stream: str, *, database_url: str, form: str
) -> None:
    await fill(pool, stream)
    file = folder / "rows"
    file.write_bytes(await exported(database_url, stream, form))
    before = await rows_of(pool, stream)
    number = sum(map(len, before.values()))
    async with await open_pool(empty_url) as empty:
        for stored in (number, 0):
            outcome, refused = await imported(empty_url, stream, file)
            assert (outcome.stored, outcome.known, refused) == (stored, number - stored, [])
            assert await rows_of(empty, stream) == before
            assert await differences(empty, *_parts(stream)) == []
    assert await exported(empty_url, stream, form) == file.read_bytes()


async def test_file_without_guards_is_read_without_them(
    pool: Any, empty_url: str, folder: Path, *, database_url: str
) -> None:
    await fill(pool, "webhooks", 0)
    file = folder / "rows.csv"
    file.write_bytes(await exported(database_url, "webhooks", "csv", guard=False))
    async with await open_pool(empty_url) as empty:
        assert (await imported(empty_url, "webhooks", file, guard=False))[1] == []
        assert await rows_of(empty, "webhooks") == await rows_of(pool, "webhooks")


def _parts(stream: str) -> list[str]:
    return [one.name for one in streams.STREAMS if stream in (one.name, one.part_of)]


@pytest.mark.parametrize("stream", STREAMS)
async def test_import_that_is_killed_is_run_again(
    run: Run, pool: Any, database_url: str, folder: Path, stream: str
) -> None:
    file = folder / "rows.ndjson.gz"
    await fill(pool, stream, 20)
    lines = (await exported(database_url, stream)).splitlines()
    copies = [_copy(line, number) for number in range(150) for line in lines if _may_be_copied(line)]
    file.write_bytes(gzip.compress(b"\n".join([*lines, *copies]) + b"\n", 1))
    program = run("import", stream, str(file), DATABASE_URL=database_url)
    raw = f"select count(*) from {list(await rows_of(pool, stream))[-1]}"
    began = await pool.fetchval(raw)
    await until(lambda: _grown(pool, raw, began))
    program.process.send_signal(signal.SIGKILL)
    await program.ended()
    program = run("import", stream, str(file), "--json", DATABASE_URL=database_url)
    assert await program.ended() == 0, program.stderr
    result = json.loads(program.output())
    assert (result["stored"] + result["known"], result["refused"]) == (len(lines) + len(copies), 0)
    assert result["stored"] < len(copies)
    assert sum(map(len, (await rows_of(pool, stream)).values())) == len(lines) + len(copies)
    assert await differences(pool, *_parts(stream)) == []


async def _grown(pool: Any, query: str, began: int) -> bool:
    return bool(await pool.fetchval(query) > began)


def _may_be_copied(line: bytes) -> bool:
    return json.loads(line).get("kind") not in ("base_item", "owner")


def _copy(line: bytes, number: int) -> bytes:
    record = json.loads(line)
    name = "eventId" if "eventId" in record else "id"
    return json.dumps({**record, name: str(ids.id_of("copy", f"{number} {record[name]}"))}).encode()


async def test_events_without_ids_are_taken_as_clients_send_them(pool: Any, database_url: str, folder: Path) -> None:
    """Equal lines are as many events; the same file again is none."""
    event = {"site_id": "shop", "event_type": "page_view", "path": "/", "timestamp": "2026-01-01T00:00:00Z"}
    keyed = {**event, "event_id": "order-7"}
    file = folder / "events.ndjson"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in (event, event, keyed, keyed)))
    outcome, _ = await imported(database_url, "pageviews", file)
    assert (outcome.stored, outcome.known) == (3, 1)
    outcome, _ = await imported(database_url, "pageviews", file)
    assert (outcome.stored, outcome.known) == (0, 4)
    key = await pool.fetchval("select count(*) from page_events where id = $1", ids.id_of("pageviews", "shop\norder-7"))
    assert (key, await pool.fetchval("select sum(views)::int from page_days")) == (1, 3)


async def test_file_of_the_http_export_is_read(client: Any, database_url: str, empty_url: str, folder: Path) -> None:
    await client.post("/webhook", json={"eventType": "a", "userId": "1", "metadata": {"b": [1.5, None]}})
    file = folder / "events.ndjson"
    file.write_bytes(await (await client.get("/export/ndjson")).read())
    outcome, refused = await imported(empty_url, "webhooks", file)
    assert (outcome.stored, refused) == (1, [])


async def test_span_of_time_has_what_its_rows_refer_to(
    pool: Any, database_url: str, empty_url: str, folder: Path
) -> None:
    await fill(pool, "transfers")
    middle = await pool.fetchval("select percentile_disc(0.5) within group (order by timestamp) from transfers")
    span = (middle, middle + timedelta(days=3))
    file = folder / "transfers.csv"
    file.write_bytes(await exported(database_url, "transfers", "csv", span))
    _, refused = await imported(empty_url, "transfers", file)
    within = "select count(*) from transfers where timestamp >= $1 and timestamp < $2"
    async with await open_pool(empty_url) as empty:
        assert 0 < await empty.fetchval("select count(*) from transfers") == await pool.fetchval(within, *span)
        assert await differences(empty, "items", "transfers") == []
    assert refused == []


async def test_export_is_one_moment(pool: Any, database_url: str) -> None:
    """What is stored while it runs is not in it, not even a transfer of an item that is."""
    await fill(pool, "transfers", 6_000)
    before = await exported(database_url, "transfers")
    task = asyncio.create_task(exported(database_url, "transfers"))
    await asyncio.gather(task, *(pool.execute("insert into owners (name) values ('late')") for _ in range(20)))
    lines = {line for line in task.result().splitlines() if b'"kind":"owner"' not in line}
    assert lines == {line for line in before.splitlines() if b'"kind":"owner"' not in line}


async def test_old_years_are_in_the_bins_that_stay(pool: Any, database_url: str, folder: Path) -> None:
    file = folder / "events.ndjson"
    when = [datetime(1970 + year, 6, 1, tzinfo=UTC).isoformat() for year in range(0, 130, 13)]
    events = [{"eventType": "old", "userId": "1", "timestamp": one, "receivedAt": one} for one in when]
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    assert (await imported(database_url, "webhooks", file))[0].stored == len(when)
    assert await pool.fetchval("select sum(count)::int from bins where unit = 'day'") == len(when)
    assert (
        await pool.fetchval("select count(*) from bins where unit = 'minute' and bin < now() - interval '1 day'") == 0
    )
    assert await differences(pool, "webhooks") == []
