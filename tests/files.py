"""Exports and imports as tests make them, without a program of their own."""

from __future__ import annotations

import io
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from statsd.database.pool import open_pool
from statsd.exchange import exporting, forms, reading
from statsd.exchange.importing import Import, Outcome
from statsd.exchange.reading import Line
from statsd.settings import Settings

ALWAYS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
STREAMS = ("logins", "webhooks", "usage", "transfers", "pageviews")
TABLES = {
    "logins": ("user_logins",),
    "webhooks": ("webhook_events",),
    "usage": ("feature_clicks",),
    "transfers": ("base_items", "owners", "items", "transfers"),
    "pageviews": ("page_events",),
}
"""The raw tables of a stream."""


async def exported(
    url: str, stream: str, form: str = "ndjson", span: tuple[datetime, datetime] = ALWAYS, *, guard: bool = True
) -> bytes:
    """Return the file of an export."""
    file = io.BytesIO()
    async with aclosing(exporting.export(url, stream, form, span, file.write, guard=guard)) as counts:
        async for _ in counts:
            pass
    return file.getvalue()


async def imported(
    url: str, stream: str, file: Path, settings: Settings | None = None, *, guard: bool = True
) -> tuple[Outcome, list[tuple[int, str]]]:
    """Import a file; return what became of its records, and the refused lines with their faults."""
    refused: list[tuple[int, str]] = []
    raws = forms.raws_of(stream)
    async with await open_pool(url) as pool:

        def refuse(line: Line, why: str) -> None:
            refused.append((line.number, why))

        work = Import(pool, raws, settings or Settings(), lambda name: None, refuse)
        with reading.opened(file) as opened:
            await work.run(reading.lines_of(opened, None, raws, guard=guard).records, lambda count: None)
    return work.outcome, refused


async def rows_of(pool: Any, stream: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return all raw rows of a stream, by table."""
    return {table: sorted(map(tuple, await pool.fetch(f"select * from {table}")), key=repr) for table in TABLES[stream]}
