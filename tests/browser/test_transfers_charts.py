"""The statistics of the transfers panel: real Chromium, the real program, a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from playwright.async_api import Locator, expect
from transfers_panel import Start, a_bike, draws, exported, move, opened, post, shows
from visits import Visits
from waiting import until

from statsd.ingest import aggregate
from statsd.live import places

STEPS = {
    "year": "1 year",
    "quarter": "3 months",
    "month": "1 month",
    "week": "7 days",
    "day": "1 day",
    "hour": "1 hour",
    "minute": "1 minute",
    "second": "1 second",
}


async def test_unit_changes_both_charts_and_survives_a_reload(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    item, ada, _ = await a_bike(page)
    await move(page, item, ada)
    panel = await opened(page)
    await shows_unit(panel, "hour")
    assert page.url.endswith("#transfers/hour")
    await panel.locator("[data-switch] label", has_text="Month").click()
    await shows_unit(panel, "month")
    await panel.get_by_role("radio", name="Month").press("ArrowRight")
    await shows_unit(panel, "week")
    assert page.url.endswith("#transfers/week")
    await page.reload()
    await shows_unit(panel, "week")
    await page.go_back()
    await shows_unit(panel, "month")
    await page.goto("/#transfers/fortnight")
    await shows_unit(panel, "month")
    assert page.url.endswith("#transfers/month")


async def shows_unit(panel: Locator, unit: str) -> None:
    await expect(panel.locator("[data-switch] :checked")).to_have_value(unit)
    for card in ("creations", "moves"):
        await draws(panel, card, f"per {unit}: 1 in the last")
    await expect(panel.locator("[data-tile=moved]")).to_contain_text(f"this {unit}")


async def test_bins_of_every_unit_are_those_of_the_database(
    start: Start, visit: Visits, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """Newest first and without a gap; a bin holds what PostgreSQL has in it, and is empty where it has none."""
    page = await visit((await start()).make_url("/"))
    base = await post(page, "/base-items", description="a bike")
    ago = [timedelta(seconds=7 * n) for n in range(9)] + [timedelta(hours=5 * n * n) for n in range(90)]
    now = datetime.now(UTC)
    await pool.executemany(
        "insert into items (base_item_id, created_at) values ($1, $2)", [(base, now - each) for each in ago]
    )
    while await aggregate.sweep(pool, "items"):
        pass
    panel = await opened(page)
    for unit in (*STEPS, "millisecond"):
        await panel.locator(f"[data-switch] input[value={unit}]").evaluate("input => input.click()")
        await draws(panel, "creations", f"per {unit}:")
        _, *lines = await exported(page, "creations")
        counts = {datetime.fromisoformat(at): int(count) for at, count in lines}
        assert list(counts) == sorted(counts, reverse=True), unit
        found = await pool.fetch(RECOUNT, unit, min(counts))
        assert {at: count for at, count in counts.items() if count} == {row["bin"]: row["count"] for row in found}, unit
        if unit in STEPS:
            steps = await pool.fetch(WITHOUT_GAPS, min(counts), max(counts), STEPS[unit])
            assert [at for (at,) in steps] == sorted(counts), unit


RECOUNT = """
    select date_trunc($1, created_at, 'UTC') as bin, count(*)
    from items
    where date_trunc($1, created_at, 'UTC') >= $2
    group by bin
"""
WITHOUT_GAPS = """
    select generate_series($1::timestamptz, $2::timestamptz, $3::text::interval, 'UTC')
"""


async def test_what_is_called_this_second_is_over_after_it(start: Start, visit: Visits) -> None:
    """Though nothing more is heard from the server."""
    page = await visit((await start()).make_url("/"), path="/#transfers/second", clock=True)
    item, ada, _ = await a_bike(page)
    panel = page.locator("[data-panel=transfers]")
    await move(page, item, ada)
    await draws(panel, "moves", "1 in the last 60 seconds")
    await page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=10))
    moved = panel.locator("[data-tile=moved] [data-value]")

    async def is_over() -> bool:
        # Second after second: a frame that was still under way counts from when it arrives.
        await page.clock.run_for(1_000)
        return await moved.get_attribute("data-value") == "0"

    await until(is_over)
    await draws(panel, "moves", "1 in the last 60 seconds")
    await page.clock.resume()


async def test_chart_without_anything_in_it_says_what_the_newest_was(
    start: Start, visit: Visits, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    page = await visit((await start()).make_url("/"))
    base = await post(page, "/base-items", description="a bike")
    await pool.execute("insert into items (base_item_id, created_at) values ($1, '2026-01-05T10:20:30Z')", base)
    await aggregate.sweep(pool, "items")
    await page.goto("/#transfers/minute")
    card = page.locator("[data-panel=transfers] [data-card=creations]")
    await expect(card).to_contain_text("Per minute, the last 60 minutes, UTC: none; the newest: Jan 5, 10:20 UTC")
    await draws(page.locator("[data-panel=transfers]"), "creations", "0 in the last 60 minutes")


async def test_page_polls_statistics_where_no_socket_can_be_had(
    start: Start, visit: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MOST", 0)
    visit.expected = "WebSocket connection to .* 503"
    page = await visit((await start()).make_url("/"), clock=True)
    item, *owners = await a_bike(page)
    panel = await opened(page)
    for number, owner in enumerate(owners, 1):
        await move(page, item, owner)
        await page.clock.fast_forward(5_000)
        await shows(panel, "transfers", number)
        await draws(panel, "moves", f"{number} in the last 24 hours")
    await expect(page.locator("header[data-connection]")).to_have_attribute("data-connection", "polling")
