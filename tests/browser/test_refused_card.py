"""The card of refused deliveries on the webhooks panel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import expect
from screen import fits_every_screen, is_readable
from visits import Visits

Start = Callable[..., Awaitable[Any]]
EVENT = {"eventType": "page_view", "userId": "123"}


async def test_refusal_appears_with_its_reason(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await page.request.post("/webhook", data=EVENT)
    await page.goto("/#webhooks/hour")
    card = page.locator("[data-panel=webhooks] [data-card=refused]")
    await expect(card.locator("[data-bare]")).to_have_attribute("data-bare", "Nothing was refused")
    await page.request.post("/webhook", data={"eventType": 7})
    await page.request.post("/webhook", data=[EVENT, {"userId": "1"}])
    rows = card.locator("tbody tr")
    await expect(rows).to_have_count(2)
    assert await rows.locator("td").all_inner_texts() == [
        *("event 1: eventType is required", "127.0.0.1", "/webhook", "200"),
        *("eventType must be a string; userId is required", "127.0.0.1", "/webhook", "400"),
    ]


async def test_sender_whose_deliveries_are_all_refused_is_seen(start: Start, visit: Visits) -> None:
    """In place of the guide for a new server, long before the first event is stored."""
    client = await start(webhook_api_key="the right key")
    page = await visit(client.make_url("/"))
    await page.goto("/#webhooks/hour")
    panel = page.locator("[data-panel=webhooks]")
    await expect(panel).to_have_attribute("data-state", "empty")
    await page.request.post("/webhook", data=EVENT)
    why = panel.locator("[data-card=refused] tbody td").first
    await expect(why).to_have_text("Invalid or missing API key")
    await fits_every_screen(page)
    await is_readable(page)


async def test_csv_of_a_card_tells_a_guard_from_an_apostrophe(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    for kind in ("=1", "'=1", "it's"):
        assert (await page.request.post("/webhook", data={"eventType": kind, "userId": "1"})).status == 200
    await page.goto("/#webhooks/hour")
    await expect(page.locator("[data-card=newest] tbody tr")).to_have_count(3)
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="CSV: download Newest events").click()
    lines = Path(await (await downloading.value).path()).read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["it's", "''=1", "'=1"]
    assert all(line.endswith(",") for line in lines[1:])  # no metadata: nothing behind the last comma


async def test_long_names_are_cut_and_whole_in_the_tooltip(start: Start, visit: Visits) -> None:
    kind = f"com.example.{'x' * 100}.created.for.all"
    agent = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {'x' * 400} FBOP/80"
    login = {"user_id": 7, "ip_address": "::1", "region": "UK", "device_type": "Mobile", "browser": agent}
    page = await visit((await start()).make_url("/"))
    assert (await page.request.post("/logins", data=login)).status == 201
    assert (await page.request.post("/webhook", data={"eventType": kind, "userId": "1"})).status == 200
    await page.get_by_role("button", name="Table: Browsers").click()
    for address, whole in (("/#logins", agent), ("/#webhooks/hour", kind)):
        await page.goto(address)
        name = page.locator("[data-panel]:visible tbody th[data-kind=name][title]").first
        await expect(name).to_have_attribute("title", whole)
        words = await name.inner_text()
        assert (len(words), words[:12], words[-4:]) == (72, whole[:12], whole[-4:])
        await fits_every_screen(page)
