"""The transfers panel, as the tests of it use it."""

from __future__ import annotations

import csv
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

Start = Callable[..., Awaitable[Any]]


async def post(page: Page, path: str, **body: Any) -> str:
    """Store something past the browser, as any other program would; return its id."""
    answer = await page.request.post(path, data=body)
    assert answer.status == 201, await answer.text()
    return str((await answer.json())["id"])


async def move(page: Page, item: str, to: str) -> None:
    answer = await page.request.put(f"/items/{item}/ownership", data={"to": to})
    assert answer.status == 204, await answer.text()


async def a_bike(page: Page) -> tuple[str, str, str]:
    """An item and two owners, Ada and Grace; nobody has it yet."""
    base = await post(page, "/base-items", description="a bike")
    ada, grace = [await post(page, "/owners", name=name) for name in ("Ada", "Grace")]
    return await post(page, "/items", base_item_id=base), ada, grace


async def opened(page: Page) -> Locator:
    """The panel, after its tab was chosen by keyboard, from the one before it."""
    await page.locator("[data-tab]:has(+ [data-tab=transfers])").focus()
    await page.keyboard.press("ArrowRight")
    panel = page.locator("[data-panel=transfers]")
    await expect(panel).to_be_visible()
    return panel


async def shows(panel: Locator, tile: str, number: int) -> None:
    await expect(panel.locator(f"[data-tile={tile}] [data-value]")).to_have_attribute("data-value", str(number))


async def draws(panel: Locator, card: str, words: str) -> None:
    """Wait until a chart says this about itself."""
    chart = panel.locator(f"[data-card={card}] canvas")
    await expect(chart).to_have_attribute("aria-label", re.compile(re.escape(words)))


def rows(panel: Locator, card: str) -> Locator:
    return panel.locator(f"[data-card={card}] tbody tr")


async def look_at(panel: Locator, number: int = 0) -> Locator:
    """Pick an item of the list; return its card."""
    await rows(panel, "items").nth(number).locator("[data-pick]").click()
    card = panel.locator("[data-card=item]")
    await expect(card.locator("[data-form=transfer]")).to_be_visible()
    return card


async def offered(card: Locator) -> list[str]:
    """The names of the owners one can transfer to."""
    names = await card.locator("[data-select=owner] option:not([value=''])").all_inner_texts()
    return [name.split(" · ")[0] for name in names]


async def choose(form: Locator, select: str, words: str) -> None:
    option = form.locator(f"[data-select={select}] option", has_text=re.compile(f"^{words}"))
    await form.locator(f"[data-select={select}]").select_option(await option.get_attribute("value"))


async def said(form: Locator, words: str) -> None:
    await expect(form.locator("[data-result]")).to_contain_text(words)


async def exported(page: Page, card: str, name: str = "") -> list[list[str]]:
    async with page.expect_download() as downloading:
        await page.locator(f"[data-panel=transfers] [data-card={card}] [data-export]").click()
    download = await downloading.value
    assert re.fullmatch(rf"transfers-{name or card}-\d{{4}}-[-\dT]+Z\.csv", download.suggested_filename)
    return list(csv.reader(Path(await download.path()).read_text().splitlines(), strict=True))
