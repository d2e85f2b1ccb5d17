"""The page views panel and the tracker: real Chromium, the real program, a real database."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from databases import make_read_only
from playwright.async_api import Locator, Page, expect
from visits import Visits
from waiting import until

Start = Callable[..., Awaitable[Any]]


def event(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"site_id": "shop", "event_type": "page_view", "path": "/", "user_id": "u1", "timestamp": now, **changes}


async def post(page: Page, *events: dict[str, Any]) -> None:
    answer = await page.request.post("/event", data=list(events))
    assert answer.status == 202, await answer.text()


async def opened(page: Page) -> Locator:
    """The panel, after its tab was chosen by keyboard, from the one before it."""
    await page.locator("[data-tab]:has(+ [data-tab=pageviews])").focus()
    await page.keyboard.press("ArrowRight")
    panel = page.locator("[data-panel=pageviews]")
    await expect(panel).to_be_visible()
    return panel


async def shows(panel: Locator, tile: str, number: int) -> None:
    await expect(panel.locator(f"[data-tile={tile}] [data-value]")).to_have_attribute("data-value", str(number))


async def draws(page: Page, path: str) -> None:
    """Wait until the chart of paths says that it draws this one."""
    chart = page.locator("[data-panel=pageviews] [data-card=paths] canvas")
    await expect(chart).to_have_attribute("aria-label", re.compile(re.escape(path)))


async def test_numbers_of_a_site_move_while_one_looks(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await opened(page)
    await expect(panel).to_have_attribute("data-state", "empty")
    await post(page, event(), event(path="/cart"), event(user_id="u2"))
    await shows(panel, "views", 3)
    await shows(panel, "users", 2)
    await post(page, event(user_id="u3"))
    await shows(panel, "views", 4)
    await expect(panel.locator("[data-card=storage]")).to_contain_text("Every accepted event is stored")
    await expect(panel.locator("[data-card=tracker]")).to_contain_text('t.js" data-site="shop"')


async def test_card_of_storage_says_why_events_wait(start: Start, visit: Visits, pool: Any) -> None:
    client = await start(spool_min_free=0)
    page = await visit(client.make_url("/"))
    await post(page, event())
    card = (await opened(page)).locator("[data-card=storage]")
    await expect(card).to_contain_text("Every accepted event is stored")
    await make_read_only(pool)
    await post(page, event())
    await expect(card).to_contain_text("Events wait on disk: the database is read-only")
    await expect(card).to_contain_text("1 accepted event waits on disk")


async def test_another_site_and_another_day_can_be_picked_and_shared(start: Start, visit: Visits) -> None:
    client = await start()
    page = await visit(client.make_url("/"))
    await post(
        page, event(), event(site_id="blog"), event(site_id="blog", timestamp="2026-01-05T10:00:00Z", path="/old")
    )
    panel = await opened(page)
    await panel.locator("[data-pick]", has_text="blog").click()
    await shows(panel, "views", 1)
    await panel.locator("input[data-day]").fill("2026-01-05")
    await draws(page, "/old 1.")
    assert page.url.endswith("#pageviews/blog/2026-01-05")
    await page.reload()
    await draws(page, "/old 1.")


async def test_site_without_events_on_a_day_has_zeros_and_says_so(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, event())
    panel = await opened(page)
    await shows(panel, "views", 1)
    await panel.locator("input[data-day]").fill("2026-01-05")
    await shows(panel, "views", 0)
    await expect(panel.locator("[data-remark]")).to_contain_text("No events on this day")


async def test_hostile_path_is_text_and_nothing_else(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    hostile = "/<img src=x onerror=alert(1)>"
    await post(page, event(path=hostile))
    panel = await opened(page)
    await panel.locator("[data-card=paths] [data-toggle]").click()
    await expect(panel.locator("[data-card=paths] table")).to_contain_text(hostile)
    assert await page.locator('img[src="x"]').count() == 0


PATHS = {
    "/%E5%B7%A5%E5%85%B7": "/工具",
    "/caf%c3%a9": "/café",
    "/%FF/%C3%A9": "/%FF/é",  # the byte is not UTF-8
    "/a%2Fb%20c": "/a%2Fb%20c",
    "/%E2%80%AEgpj.exe": "/%E2%80%AEgpj.exe",  # it would read /exe.jpg
    "/ad%E2%80%8Dmin": "/ad%E2%80%8Dmin",
    "/%E3%85%A4": "/%E3%85%A4",  # it would be blank
    "/%F0%9F%91%A8%E2%80%8D%F0%9F%91%A9": "/\U0001f468\u200d\U0001f469",
    "/%D9%85%DB%8C%E2%80%8C%D8%AE": "/\u0645\u06cc\u200c\u062e",
}


async def test_path_is_shown_as_people_read_it(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    long = "/" + "%E5%B7%A5" * 200
    await post(page, *(event(path=path) for path in (*PATHS, long, "/工具", "/%e5%b7%a5%e5%85%b7")))
    panel = await opened(page)
    await shows(panel, "views", len(PATHS) + 3)
    await draws(page, "/工具 3")
    await expect(panel.locator("[data-tile=top]")).to_contain_text("/工具")
    await panel.locator("[data-card=paths] [data-toggle]").click()
    cells = panel.locator("[data-card=paths] tbody th")
    await expect(cells).to_have_count(len(PATHS) + 1)
    assert {*await cells.all_text_contents()} >= {*PATHS.values()}
    assert await cells.evaluate_all("cells => cells.map(({ title }) => title).filter(Boolean)") == ["/" + "工" * 200]


async def test_site_shows_what_could_not_be_seen_and_can_be_picked(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await post(page, event(), event(), event(site_id="shop\u202egpj", path="/hidden"))
    panel = await opened(page)
    await panel.locator("[data-pick]", has_text="shop%E2%80%AEgpj").click()
    await draws(page, "/hidden 1.")
    await expect(panel.locator("[data-card=paths]")).to_contain_text("shop%E2%80%AEgpj, ")


async def test_tracker_counts_a_visit_to_a_page_of_another_origin(start: Start, visit: Visits) -> None:
    """One script tag: the first page, two navigations of a single-page site, and an event of the site's own."""
    client = await start()

    async def shop(_: web.Request) -> web.Response:
        # With an icon of its own: Chromium would ask for one at a moment of its choice, also of a server that is gone.
        icon = '<!doctype html><link rel="icon" href="data:,">'
        tag = f'<script src="{client.make_url("/t.js")}" data-site="shop"></script>'
        return web.Response(text=icon + tag, content_type="text/html")

    site = web.Application()
    site.router.add_get("/{path:.*}", shop)
    async with TestServer(site) as server:
        visit.expected = r"^http://127\.0\.0\.1"  # the tracker is of another origin, and that is its point
        page = await visit(server.make_url("/"))
        await page.evaluate("() => { history.pushState({}, '', '/cart'); history.pushState({}, '', '/cart') }")
        await page.evaluate("() => { history.pushState({}, '', '/pay'); statsd('signup') }")

        async def report() -> dict[str, Any]:
            return await (await client.get("/stats?site_id=shop")).json()

        async def counted() -> bool:
            return (await report())["total_views"] == 3

        await until(counted)
    found = await report()
    assert [row["path"] for row in found["top_paths"]] == ["/", "/cart", "/pay"]
    assert found["unique_users"] == 1
