"""What a page must keep on any screen: room, contrast, and the keyboard."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.async_api import Locator, Page
from waiting import until

WIDTHS = (1280, 768, 375, 320)
CUT = "all => all.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText)"
LEFT = "all => all.map((e) => e.getBoundingClientRect().left)"


async def fits_every_screen(page: Page) -> None:
    """Nothing is wider than the screen, no tile cuts what it says, and no open menu begins beyond the edge."""
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        await until(partial(page.evaluate, f"document.documentElement.scrollWidth <= {width}"))
        assert await page.locator("[data-tile]").evaluate_all(CUT) == [], width
        menus = page.locator("[data-menu][open] ul, [data-new][open] .menu-list")
        assert all(left >= 0 for left in await menus.evaluate_all(LEFT)), width
    await page.set_viewport_size({"width": 1280, "height": 800})


CONTRASTS = """() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = channels(colour).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (e) => {
        const colour = getComputedStyle(e).backgroundColor;
        return channels(colour)[3] === 0 ? behind(e.parentElement) : colour;
    };
    const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
    return [...document.body.querySelectorAll("*")].filter((e) => e.checkVisibility() && hasText(e)).map((e) => {
        const [dark, bright] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => a - b);
        return [(bright + 0.05) / (dark + 0.05), `${e.tagName} ${e.className}: ${e.textContent}`];
    });
}"""  # noqa: E501 - one formula a line


async def is_readable(page: Page) -> None:
    """Every visible text has a contrast of 4.5 (WCAG AA), in both colour schemes."""
    for scheme in ("dark", "light"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        contrasts = await page.evaluate(CONTRASTS)
        assert len(contrasts) > 10
        assert [text for ratio, text in contrasts if ratio < 4.5] == [], scheme


async def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(30):
        await page.keyboard.press("Tab")
        if await target.evaluate("e => e === document.activeElement"):
            assert await target.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
            return
    pytest.fail(f"the keyboard does not reach {target}")
