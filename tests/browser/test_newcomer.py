"""A newcomer: an empty folder, the page of a new server, and nothing but what the page says."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from folders import ROOT
from playwright.async_api import Page, expect
from program import Program
from screen import fits_every_screen, is_readable
from usage_panel import Start, enter
from visits import Visits

SECONDS = 10  # from the command to the numbers
PANELS = ("logins", "webhooks", "usage", "transfers", "pageviews")


async def command_of(page: Page, panel: str) -> str:
    """The first command of the guide that needs nothing but the program, as it stands there."""
    code = page.locator(f"[data-panel={panel}] [data-guide] code", has_text="python -m statsd generate")
    await expect(code).to_be_visible()
    return await code.inner_text()


@asynccontextmanager
async def typed(command: str, folder: Path) -> AsyncIterator[None]:
    """A command in a shell whose `python` is that of the environment the program is installed in."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "PYTHONPATH": str(ROOT)}
    shell = await asyncio.create_subprocess_shell(
        f"exec {command}", cwd=folder, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield
    finally:
        if shell.returncode is None:
            shell.send_signal(signal.SIGINT)
        _, said = await shell.communicate()
        assert shell.returncode == 130, said.decode()


async def test_what_every_empty_panel_says_fills_it_within_ten_seconds(
    run: Callable[..., Program], visit: Visits, tmp_path: Path
) -> None:
    server = run("serve", "--port", "0")
    page = await visit(await server.address())
    for name in PANELS:
        if name == "usage":
            await enter(page)  # the panel is shown to people with an account
        await page.goto(f"/#{name}")
        panel = page.locator(f"[data-panel={name}]")
        await expect(panel).to_have_attribute("data-numbers", "empty")
        async with typed(await command_of(page, name), tmp_path):
            await expect(panel).to_have_attribute("data-numbers", "some", timeout=1_000 * SECONDS)
        await expect(panel.locator("[data-guide]")).to_be_hidden()
        assert not list(tmp_path.iterdir())


async def test_empty_panels_fit_every_screen_and_are_readable(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    for name in ("logins", "transfers", "pageviews"):
        await page.goto(f"/#{name}")
        await expect(page.locator(f"[data-panel={name}] [data-guide]")).to_be_visible()
        await fits_every_screen(page)
        await is_readable(page)
