"""Pages in a real Chromium that are watched: whatever a page complains about fails the test."""

from __future__ import annotations

import os
import re
import shutil
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Request, expect
from waiting import PATIENCE_SECONDS, missing

NAMES = ("chromium", "chromium-browser", "google-chrome")
# It opens nothing but our own pages, and as root or in a container its sandbox does not start.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 1_000 * PATIENCE_SECONDS
OVERTAKEN = re.compile("WebSocket is closed before the connection is established|net::ERR_ABORTED")
"""What is said where a clock that was moved on ends the page's wait for what is under way."""
AWAY = r"net::ERR_|WebSocket connection to"
"""What the browser says about a server that is not there."""

expect.set_options(timeout=PATIENCE_MS)


def chromium() -> str:
    """Return where Chromium is; without one the tests are skipped, but never on CI."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return found or missing("there is no Chromium: `apt-get install chromium`, or set CHROMIUM to the path of one")


class Visits:
    """Opens pages of a server and keeps what they complain about."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.pages: list[Page] = []
        self.complaints: list[str] = []
        self.expected: str | None = None
        """A pattern of complaints that are the test's own doing."""

    async def __call__(self, address: object, *, path: str = "/", clock: bool = False, **context: Any) -> Page:
        """Open a page of the server at `address` in a context of its own; with `clock` its time can be moved on."""
        page = await (await self._browser.new_context(base_url=str(address), **context)).new_page()
        self._watch(page, str(address), clock)
        self.pages.append(page)
        if clock:
            await page.clock.install()
        await page.goto(path)
        return page

    def _watch(self, page: Page, address: str, clock: bool) -> None:
        def complain(sentence: str) -> None:
            if not (clock and OVERTAKEN.search(sentence)):
                self._complain(sentence)

        visited: dict[Request, int] = {}  # how many pages had been asked for when a request began
        navigations = 0

        def fail(request: Request) -> None:
            was_left = navigations > visited.get(request, 0)  # the next page was asked for while it came
            is_icon = request.url.endswith("/favicon.svg")
            if not (request.failure == "net::ERR_ABORTED" and (was_left or is_icon)):
                complain(f"{request.url} failed: {request.failure}")

        def hear(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                complain(message.text)

        def see(request: Request) -> None:
            nonlocal navigations
            navigations += request.is_navigation_request()
            visited[request] = navigations
            if not request.url.startswith((address, "blob:")):
                self._complain(request.url)

        page.on("console", hear)
        page.on("pageerror", lambda error: self._complain(f"uncaught: {error}"))
        page.on("requestfailed", fail)
        page.on("request", see)

        async def refuse(dialog: Any) -> None:
            self._complain(f"a dialog: {dialog.message}")
            await dialog.dismiss()

        page.on("dialog", refuse)

    def _complain(self, sentence: str) -> None:
        if not (self.expected and re.search(self.expected, sentence)):
            self.complaints.append(sentence)
