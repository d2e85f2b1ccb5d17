"""A page that is still open while the server has become another version."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import WebSocketRoute, expect
from visits import Visits

Start = Callable[..., Awaitable[Any]]


async def test_page_that_cannot_show_a_payload_says_so(start: Start, visit: Visits) -> None:
    def rename(frame: str | bytes) -> str:
        return str(frame).replace("sessionSummary", "summary")

    def pass_on(page_side: WebSocketRoute) -> None:
        page_side.connect_to_server().on_message(lambda frame: page_side.send(rename(frame)))

    visit.expected = "uncaught: Cannot read properties of undefined"
    page = await visit((await start()).make_url("/"), path="/docs/streams.html")
    await page.route_web_socket(re.compile("/ws$"), pass_on)
    await page.goto("/")
    await expect(page.locator("[data-notice]")).to_contain_text("Reload it")
