"""Files of exports that psql reads back to the same rows: hostile texts, missing and empty values, times, JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from files import exported
from outside import Outside, postgres

from statsd.database.migrations import migrate

Start = Callable[..., Awaitable[Any]]

HOSTILE = [
    *("=1", "'=1", "''=1", "+358401234567", "-5", "@x", "\tx", "\rx", "\nx", "\uff1d1", "'", "''", "it's", "'tis"),
    *('"', '""', 'say "hi", you', "a,b", "a;b", "a\nb", "a\r\nb", "a\rb", "a\tb", "\\", "\\N", "\\.", "a\\", "\\n"),
    *("NULL", "null", "NA", "N/A", "nan", "None", "#N/A", "true", "inf", "007", "1e5", "1.0", "0x1f", "1" * 20),
    *(" x", "x ", " ", "\u00a0x", "ünï✓", "工具", "\U0001f600", "e\u0301", "\u202ex", "\ufeffx", "x" * 99),
]
"""What a file might change. Some of these only another program stores: the ways in refuse control characters."""

ROWS = {
    "webhooks": """
        insert into webhook_events (event_type, user_id, "timestamp", metadata, received_at)
        select left(text, 50), text, '1971-01-01 00:00:00.123+00',
            case when number % 2 = 0 then jsonb_build_object(text, text, 'n', 0.12345678901234567890, 'e', '') end,
            now() - interval '1 second' * number
        from unnest($1::text[]) with ordinality as texts (text, number)
    """,
    "usage": """
        insert into feature_clicks (feature_name, user_id, "timestamp", age, gender)
        select left(text, 50), nullif(number, 2), '2099-12-31 23:59:59.999999+00', nullif(number, 3),
            case when number > 4 then 'Other' end
        from unnest($1::text[]) with ordinality as texts (text, number)
    """,
    "pageviews": """
        insert into page_events (site_id, event_type, path, user_id, "timestamp")
        select text, text, text, case when number % 2 = 0 then text end, '2026-01-01'
        from unnest($1::text[]) with ordinality as texts (text, number)
    """,
}
COLUMNS = {
    "webhooks": (
        "webhook_events",
        "id uuid, event_type text, user_id text, timestamp timestamptz, metadata jsonb, received_at timestamptz",
    ),
    "usage": (
        "feature_clicks",
        "id uuid, user_id integer, feature_name text, timestamp timestamptz, age integer, gender text",
    ),
    "pageviews": (
        "page_events",
        "id uuid, site_id text, event_type text, path text, user_id text, timestamp timestamptz,"
        " created_at timestamptz",
    ),
}
"""The raw table, and the columns of the stream's file in their order."""
HTTP = "event_type text, user_id text, timestamp timestamptz, metadata jsonb, received_at timestamptz"


@pytest.fixture
async def connection(outside: Outside) -> AsyncIterator[Any]:
    opened = await outside.ready()
    await migrate(outside.dsn)
    yield opened
    await opened.close()


async def differences(connection: Any, outside: Outside, table: str, columns: str, file: Path, *, guard: bool) -> int:
    """Copy a file into a new table with psql; return how many rows the tables do not share."""
    await connection.execute(f"drop table if exists copied; create table copied ({columns})")
    command: list[str | Path] = [postgres("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", outside.dsn]
    copy = f"\\copy copied from '{file}' (format csv, header)"
    psql = await asyncio.create_subprocess_exec(*command, "-c", copy)
    assert await psql.wait() == 0
    stored, read = [], []
    for name, kind in (column.split() for column in columns.split(", ")):
        is_rounded = columns == HTTP and kind == "timestamptz"
        stored.append(f"date_trunc('milliseconds', {name}) as {name}" if is_rounded else name)
        read.append(f"regexp_replace({name}, '^''', '') as {name}" if guard and kind == "text" else name)
    # Rows are compared as they are written: as jsonb, 1.0 and 1.00 are one value.
    number: int = await connection.fetchval(f"""
        with stored as (select {", ".join(stored)} from {table}), read as (select {", ".join(read)} from copied)
        select count(*)
        from (
            (select stored::text from stored except all select read::text from read)
            union all
            (select read::text from read except all select stored::text from stored)
        ) as only_one_has
    """)
    return number


@pytest.mark.parametrize("guard", [True, False])
async def test_psql_copies_the_rows_of_every_export(
    start: Start, outside: Outside, connection: Any, folder: Path, *, guard: bool
) -> None:
    file = folder / "rows.csv"
    for stream, rows in ROWS.items():
        await connection.execute(rows, HOSTILE)
        table, columns = COLUMNS[stream]
        file.write_bytes(await exported(outside.dsn, stream, "csv", guard=guard))
        assert await differences(connection, outside, table, columns, file, guard=guard) == 0, stream
    client = await start(database_url=outside.dsn)
    answer = await client.get("/export/csv", params={"filter": "day", "guard": "on" if guard else "off"})
    file.write_bytes(await answer.read())
    assert await differences(connection, outside, "webhook_events", HTTP, file, guard=guard) == 0
    assert await connection.fetchval("select count(*) from copied where metadata is null") == (len(HOSTILE) + 1) // 2
    assert await connection.fetchval("select count(*) from copied") == len(HOSTILE)
