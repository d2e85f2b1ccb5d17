"""Fixtures: a real Chromium, and the pages in it."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright
from visits import ARGUMENTS, Visits, chromium


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = chromium()
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        await opened.close()


@pytest.fixture
async def visit(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Visits]:
    """Visit a server; afterwards no page may have complained. STATSD_PICTURES names a folder for their last looks."""
    visits = Visits(browser)
    yield visits
    if folder := os.environ.get("STATSD_PICTURES"):
        name = re.sub(r"\W+", "_", request.node.name)
        for number, page in enumerate(visits.pages, 1):
            await page.screenshot(path=Path(folder) / f"{name}_{number}.png", full_page=True)
    assert not visits.complaints
