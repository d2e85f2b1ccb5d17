"""The webhooks panel: real Chromium, the real program, a real database."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Locator, Page, expect
from screen import fits_every_screen, is_readable
from visits import Visits

from statsd.ingest import aggregate

Start = Callable[..., Awaitable[Any]]


def event(**changes: Any) -> dict[str, Any]:
    return {"eventType": "page_view", "userId": "123", "metadata": {"page": "home"}, **changes}


async def post(page: Page, *events: dict[str, Any], status: int = 200) -> None:
    answer = await page.request.post("/webhook", data=list(events))
    assert answer.status == status, await answer.text()


async def store_earlier(pool: asyncpg.Pool[asyncpg.Record], **ago: timedelta) -> None:
    """Store an event of each of these types, received so long ago."""
    rows = [(name, datetime.now(UTC) - since) for name, since in ago.items()]
    await pool.executemany(
        "insert into webhook_events (event_type, user_id, received_at) values ($1, 'earlier', $2)", rows
    )
    await aggregate.sweep(pool, "webhooks")


async def opened(page: Page) -> Locator:
    """The panel, after its tab was chosen by keyboard."""
    await page.locator("[data-tab]").first.focus()
    await page.keyboard.press("ArrowRight")
    panel = page.locator("[data-panel=webhooks]")
    await expect(panel).to_be_visible()
    return panel


async def shows(panel: Locator, tile: str, number: int) -> None:
    await expect(panel.locator(f"[data-tile={tile}] [data-value]")).to_have_attribute("data-value", str(number))


def newest(panel: Locator) -> Locator:
    return panel.locator("[data-card=newest] tbody tr")


async def lists(panel: Locator, *types: str) -> None:
    """Wait until the list of the newest events has these types, in this order."""
    await expect(newest(panel).locator("th")).to_have_text(list(types))


async def cells(panel: Locator, card: str) -> list[list[str]]:
    texts = "all => all.map((tr) => [...tr.cells].map((cell) => cell.innerText))"
    found: list[list[str]] = await panel.locator(f"[data-card={card}] tbody tr").evaluate_all(texts)
    return found


def chart(panel: Locator) -> Locator:
    return panel.locator("[data-card=events] canvas")


async def draws(panel: Locator, words: str) -> None:
    """Wait until the chart says this about itself."""
    await expect(chart(panel)).to_have_attribute("aria-label", re.compile(re.escape(words)))


# Numbers


async def test_numbers_move_while_one_looks_and_after_the_last_event_of_a_burst(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await opened(page)
    await expect(panel).to_have_attribute("data-state", "empty")
    await post(page, event())
    await shows(panel, "total", 1)
    await lists(panel, "page_view")
    await asyncio.gather(*(post(page, event(userId=str(number))) for number in range(40)))
    await post(page, event(eventType="the_last"))
    for tile in ("total", "window"):
        await shows(panel, tile, 42)
    await draws(panel, "42 in the last hour")
    await expect(newest(panel).first).to_contain_text("the_last")
    assert len(await cells(panel, "newest")) == 20


async def test_refused_events_are_counted_and_seen_even_where_nothing_is_stored(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await opened(page)
    await post(page, event(eventType=""), status=400)
    await shows(panel, "invalid", 1)
    await shows(panel, "total", 0)
    await expect(panel.locator("[data-remark]")).to_contain_text("Nothing is stored yet")


COUNTS = [(1,), (1, 1, 1), (1,) * 7, (997, 1, 1, 1), (500, 250, 125, 63, 31, 16, 8, 4, 2), (1, 1, 1, 1, 1, 1)]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
async def test_shares_add_up_to_exactly_100_with_the_others_and_the_total(
    start: Start, visit: Visits, counts: Sequence[int]
) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, *(event(eventType=f"type_{at}") for at, count in enumerate(counts) for _ in range(count)))
    panel = await opened(page)
    await shows(panel, "window", sum(counts))
    *rows, total = [(name, int(n.replace(",", "")), Decimal(p[:-1])) for name, n, p in await cells(panel, "types")]
    named = [(f"type_{at}", count) for at, count in enumerate(counts[:5])]
    others = [("(other types)", sum(counts[5:]))] if counts[5:] else []
    assert [(name, number) for name, number, _ in rows] == named + others
    assert total == ("(all types)", sum(counts), Decimal("100.0"))
    assert sum(share for _, _, share in rows) == Decimal("100.0")
    exact = [abs(float(share) - 100 * number / sum(counts)) for _, number, share in rows]
    assert max(exact) < 0.1


async def test_shares_of_any_numbers_add_up(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    wrong = """async () => {
        const { shares } = await import("/assets/figures/shares.js");
        let seed = 1;  // the same numbers in every run
        const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
        const some = (most) => Math.floor(random() * most);
        const values = () => Array.from({ length: 1 + some(6) }, () => some(10 ** some(13)));
        const lists = Array.from({ length: 5_000 }, values);
        return lists.filter((values) => values.some(Boolean)).filter((values) => {
            const tenths = shares(values).map((share) => Math.round(share * 10));
            return tenths.reduce((sum, one) => sum + one, 0) !== 1_000 || tenths.some((one) => one < 0);
        });
    }"""
    assert await page.evaluate(wrong) == []


# The window


async def test_switch_changes_chart_list_and_exports_and_survives_a_reload(
    start: Start, visit: Visits, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await store_earlier(pool, hours_ago=timedelta(hours=3), days_ago=timedelta(days=3), long_ago=timedelta(days=30))
    page = await visit((await start()).make_url("/"))
    await post(page, event())
    panel = await opened(page)
    await shows_window(panel, "hour", "the last hour", "page_view")
    assert page.url.endswith("#webhooks/hour")
    await panel.locator("[data-switch] label", has_text="Last 24 hours").click()
    await shows_window(panel, "day", "the last 24 hours", "page_view", "hours_ago")
    assert page.url.endswith("#webhooks/day")
    await panel.get_by_role("radio", name="Last 24 hours").press("ArrowRight")
    await shows_window(panel, "week", "the last 7 days", "page_view", "hours_ago", "days_ago")
    await shows(panel, "total", 4)
    await page.reload()
    await shows_window(panel, "week", "the last 7 days", "page_view", "hours_ago", "days_ago")
    await page.go_back()
    await shows_window(panel, "day", "the last 24 hours", "page_view", "hours_ago")


async def shows_window(panel: Locator, window: str, words: str, *types: str) -> None:
    """Everything is of this window: the switch, the tile, the chart, the shares, the list, and what is exported."""
    await expect(panel.locator("[data-switch] :checked")).to_have_value(window)
    await shows(panel, "window", len(types))
    await draws(panel, f"{len(types)} in {words}")
    await lists(panel, *types)
    assert [name for name, *_ in await cells(panel, "types")] == [*sorted(types), "(all types)"]
    links = await panel.locator("[data-menu] a").evaluate_all("all => all.map((a) => a.getAttribute('href'))")
    assert links == [f"/export/{kind}?filter={window}" for kind in ("csv", "json", "ndjson")]
    toggle = panel.locator("[data-card=events] [data-toggle]")
    await toggle.click()
    bins = [number for _, number in await cells(panel, "events")]
    await toggle.click()
    assert len(bins) == {"hour": 60, "day": 24, "week": 7}[window]
    assert sum(map(int, bins)) == len(types)


async def test_unknown_window_in_the_address_is_the_last_hour(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, event())
    await page.goto("/#webhooks/month")
    panel = page.locator("[data-panel=webhooks]")
    await shows(panel, "window", 1)
    await expect(panel.get_by_role("radio", name="Last hour")).to_be_checked()
    assert page.url.endswith("#webhooks/hour")


async def test_window_without_events_has_zeros_and_says_so(
    start: Start, visit: Visits, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await store_earlier(pool, hours_ago=timedelta(hours=3))
    page = await visit((await start()).make_url("/"))
    panel = await opened(page)
    await shows(panel, "window", 0)
    await shows(panel, "total", 1)
    await expect(panel.locator("[data-remark]")).to_contain_text("No events in the last hour")
    await expect(panel.locator("[data-card=newest] [data-bare]")).to_have_attribute(
        "data-bare", "No events in the last hour"
    )


# The list and the exports


async def test_hostile_event_is_text_and_nothing_else(start: Start, visit: Visits) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    page = await visit((await start()).make_url("/"))
    await post(page, event(eventType=hostile, userId=hostile, metadata={hostile: [hostile, "</script>", "'\"&lt;"]}))
    panel = await opened(page)
    await lists(panel, hostile)
    [[_, user, received, timestamp, metadata]] = await cells(panel, "newest")
    assert user == hostile
    assert json.loads(metadata) == {hostile: [hostile, "</script>", "'\"&lt;"]}
    assert received == timestamp
    assert (await cells(panel, "types"))[0][0] == hostile
    assert await page.locator('img[src="x"]').count() == 0


async def test_list_tells_when_an_event_happened_and_when_it_was_received(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, event(timestamp="2024-01-01T13:00:00+01:00", metadata=None), event(metadata={"long": "x" * 9_000}))
    panel = await opened(page)
    await expect(newest(panel)).to_have_count(2)
    by_time = {row[3]: row for row in await cells(panel, "newest")}
    happened = by_time.pop("2024-01-01 12:00:00")
    assert happened[4] == "–"  # noqa: RUF001 - what stands for nothing
    assert happened[2].startswith(f"{datetime.now(UTC):%Y-}")
    [other] = by_time.values()
    assert len(other[4]) == 200


async def test_list_that_cannot_be_had_says_why_and_the_other_numbers_stay(
    start: Start, visit: Visits, database_url: str
) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, event())
    visit.expected = "ERR_ABORTED|503"
    blocker = await asyncpg.connect(database_url)
    held = blocker.transaction()
    await held.start()
    await blocker.execute("lock table webhook_events in access exclusive mode")
    panel = await opened(page)
    await shows(panel, "window", 1)
    bare = panel.locator("[data-card=newest] [data-bare]")
    await expect(bare).to_have_attribute("data-bare", re.compile("It (does not answer|answers with status 503)"))
    await expect(panel).to_have_attribute("data-state", "ready")
    await held.rollback()
    await blocker.close()
    await post(page, event(eventType="after"))
    await lists(panel, "after", "page_view")


async def test_exports_hold_what_is_on_screen(start: Start, visit: Visits, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    await store_earlier(pool, hours_ago=timedelta(hours=3), days_ago=timedelta(days=3))
    page = await visit((await start()).make_url("/"))
    await post(page, event(), event(eventType='=1+"1"'))
    await page.goto("/#webhooks/day")
    panel = page.locator("[data-panel=webhooks]")
    await expect(newest(panel)).to_have_count(3)
    types = [row[0] for row in await cells(panel, "newest")]
    assert await exported(page, "CSV") == [name.replace("=", "'=") for name in types]
    assert await exported(page, "JSON") == types
    assert await exported(page, "NDJSON") == types
    await expect(panel.locator("[data-menu]")).not_to_have_attribute("open", "")


async def exported(page: Page, name: str) -> list[str]:
    """Download a file out of the menu; return the types of its events."""
    await page.locator("[data-menu] summary").click()
    async with page.expect_download() as downloading:
        await page.locator("[data-menu] a").get_by_text(name, exact=True).click()
    download = await downloading.value
    assert re.fullmatch(rf"events-day-\d{{4}}-\d\d-\d\d\.{name.lower()}", download.suggested_filename)
    content = Path(await download.path()).read_text()
    if name == "CSV":
        return [row["Event Type"] for row in csv.DictReader(content.splitlines(), strict=True)]
    events = json.loads(content)["data"]["events"] if name == "JSON" else map(json.loads, content.splitlines())
    return [one["eventType"] for one in events]


# Beginning, keyboard, screens


async def test_copied_command_of_the_guide_stores_an_event(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), permissions=["clipboard-read", "clipboard-write"])
    panel = await opened(page)
    await expect(panel.locator("[data-guide]")).to_contain_text("--stream webhooks")
    copy = panel.get_by_role("button", name="Copy: One of your own")
    await copy.click()
    await expect(copy).to_have_text("Copied")
    command = await page.evaluate("() => navigator.clipboard.readText()")
    done = await asyncio.to_thread(subprocess.run, ["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    await shows(panel, "total", 1)
    await lists(panel, "page_view")
    await expect(panel.locator("[data-guide]")).to_be_hidden()


async def test_export_menu_opens_and_closes_by_keyboard(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, event())
    panel = await opened(page)
    await shows(panel, "total", 1)
    await panel.get_by_role("radio", name="Last hour").focus()
    await page.keyboard.press("Tab")
    button, first = panel.locator("[data-menu] summary"), panel.locator("[data-menu] a").first
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(first).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(first).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(first).to_be_hidden()
    await expect(button).to_be_focused()
    await page.keyboard.press("Space")
    await expect(first).to_be_visible()
    for _ in range(4):
        await page.keyboard.press("Tab")
    await expect(first).to_be_hidden()


async def test_screen_reader_hears_the_window_in_a_sentence(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), clock=True)
    await post(page, event(), event(), event(eventType="log"))
    panel = await opened(page)
    await shows(panel, "total", 3)
    await page.clock.fast_forward(15_000)
    said = re.compile(r"^3 events in the last hour, most of type page_view; \d this minute\.$")
    await expect(page.locator("[data-announcer]")).to_have_text(said)


async def test_nothing_is_wider_than_the_screen_and_all_is_readable(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await opened(page)
    await expect(panel).to_have_attribute("data-state", "empty")
    await fits_every_screen(page)
    await post(page, event(eventType="W" * 128, userId="W" * 100, metadata={"W" * 99: "W" * 999}), event())
    await expect(newest(panel)).to_have_count(2)
    await panel.locator("[data-menu] summary").click()
    await fits_every_screen(page)
    await is_readable(page)


async def test_on_a_phone_no_row_hides_another_and_metadata_keeps_to_its_line(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), viewport={"width": 375, "height": 800})
    kinds = [f"{letter * 40}.{letter * 9}" for letter in "abcdefg"]
    await post(page, *(event(eventType=kind, userId="1", metadata={"text": "x" * 400}) for kind in kinds))
    await page.goto("/#webhooks/hour")
    panel = page.locator("[data-panel=webhooks]")
    await expect(newest(panel)).to_have_count(7)
    tops = await panel.locator("[data-card=types] tbody tr").evaluate_all(
        "all => all.map((tr) => [tr.getBoundingClientRect().top, tr.getBoundingClientRect().bottom])"
    )
    assert len(tops) == 7
    assert all(upper[1] <= lower[0] + 1 for upper, lower in pairwise(tops))
    lines = await panel.locator("[data-card=newest] td[data-kind=json]").evaluate_all(
        "all => all.map((td) => { const range = document.createRange(); range.selectNodeContents(td);"
        " return new Set([...range.getClientRects()].map((one) => one.top)).size; })"
    )
    assert lines == [1] * 7


async def test_type_that_is_called_as_a_sum_is_told_from_it(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    kinds = ["Other", "Total", "Other", "Total", *"abcde"]
    await post(page, *(event(eventType=kind) for kind in kinds))
    panel = await opened(page)
    await shows(panel, "total", 9)
    names = [row[0] for row in await cells(panel, "types")]
    assert names == ["Other", "Total", "a", "b", "c", "(other types)", "(all types)"]
    made = panel.locator("[data-card=types] tr[data-composed] th")
    await expect(made).to_have_text(["(other types)", "(all types)"])
    assert await made.first.evaluate("th => getComputedStyle(th).fontStyle") == "italic"
