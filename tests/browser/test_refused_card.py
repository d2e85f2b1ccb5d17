"""The card of refused deliveries on the webhooks panel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
        *("127.0.0.1", "/webhook", "200", "event 1: eventType is required"),
        *("127.0.0.1", "/webhook", "400", "eventType must be a string; userId is required"),
    ]


async def test_sender_whose_deliveries_are_all_refused_is_seen(start: Start, visit: Visits) -> None:
    """In place of the guide for a new server, long before the first event is stored."""
    client = await start(webhook_api_key="the right key")
    page = await visit(client.make_url("/"))
    await page.goto("/#webhooks/hour")
    panel = page.locator("[data-panel=webhooks]")
    await expect(panel).to_have_attribute("data-state", "empty")
    await page.request.post("/webhook", data=EVENT)
    why = panel.locator("[data-card=refused] tbody td").last
    await expect(why).to_have_text("Invalid or missing API key")
    await fits_every_screen(page)
    await is_readable(page)
