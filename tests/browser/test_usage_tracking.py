"""What the page counts of its own use: real Chromium, the real program, a real database."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from playwright.async_api import Page, Request, expect
from usage_panel import (
    ANNA,
    BOB,
    PASSWORD,
    Pool,
    Start,
    bars,
    chips,
    draws,
    enter,
    field,
    fill,
    form,
    hold,
    pick,
    shows,
    state_is,
    store,
    today,
    tracked,
)
from visits import Visits


async def test_click_is_in_the_chart_of_every_open_browser(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("age_filter", today(), 20, "Male"))
    client = await start()
    one, two = await visit(client.make_url("/")), await visit(client.make_url("/"))
    anna, bob = await enter(one, ANNA), await enter(two, BOB)
    await pick(anna, "age_filter")
    for panel in (anna, bob):
        await shows(panel, "clicks", 2)
        await draws(panel, "age_filter 1, bar_chart_zoom 1")
    await field(bob, "gender").select_option("Female")
    await shows(bob, "clicks", 1)  # anna's pick; bob's own click is not by a woman
    await shows(anna, "clicks", 3)
    for number in range(2, 12):
        await bars(anna).click(position={"x": 200, "y": 20})
        await shows(bob, "clicks", number)
    await shows(anna, "clicks", 13)


async def test_own_click_reaches_the_server_before_the_numbers_are_asked_for(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, ("age_filter", today(), 20, "Male"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await shows(panel, "clicks", 1)
    happened: list[str] = []

    def note(kind: str, url: str) -> None:
        """Note what is of the two; a browser asks for icons by itself, and whenever it likes."""
        if (path := urlsplit(url).path) in ("/track", "/analytics"):
            happened.append(f"{kind} {path}")

    page.on("request", lambda request: note("asked for", request.url))
    page.on("response", lambda response: note("answer of", response.url))
    async with page.expect_response(re.compile("/analytics")) as answering:
        await field(panel, "gender").select_option("Female")
    answer = await (await answering.value).json()
    assert happened[:3] == ["asked for /track", "answer of /track", "asked for /analytics"]
    assert answer["barChartData"] == [{"feature": "gender_filter", "count": 1}]


async def test_every_interaction_of_the_contract_is_tracked_under_its_name(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, ("some", today(), 20, "Male"), ("other", today() - timedelta(days=2), 20, "Female"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "startDate").fill(f"{today() - timedelta(days=9)}")
    await field(panel, "endDate").fill(f"{today()}")
    await field(panel, "ageGroup").select_option("18-40")
    await field(panel, "gender").select_option("Male")
    await chips(panel, *[re.compile("From"), re.compile("Until"), "18-40", "Male"])  # type: ignore[arg-type]
    await panel.locator("[data-reset]").click()
    await expect(panel.locator("[data-chips]")).to_be_hidden()
    for words in ("date_filter 2, other 1, some 1", "age_filter 1", "gender_filter 1"):
        await draws(panel, words)  # from now on no bar moves
    await pick(panel, "some")
    trend = panel.locator("[data-card=trend] canvas")
    for _ in range(2):
        await trend.hover()
        await panel.locator("h1").hover()
    await pick(panel, "other")
    await trend.hover()
    async with page.expect_download():
        await panel.locator("[data-filters] [data-export]").click()
    await panel.locator("[data-refresh]").click()
    filters = ["date_filter", "date_filter", "age_filter", "gender_filter"]
    picks = ["bar_chart_zoom", "line_chart_hover", "bar_chart_zoom", "line_chart_hover"]
    await tracked(pool, *filters, *picks, "export_data", "refresh_data")


async def test_other_panels_are_tracked_while_somebody_is_logged_in(start: Start, visit: Visits, pool: Pool) -> None:
    page = await visit((await start()).make_url("/"))
    await page.locator("[data-tab=webhooks]").click()  # of nobody: not counted
    await page.request.post("/logins", data=LOGIN)
    await page.request.post("/event", data={**VISIT, "site_id": "shop"})
    await enter(page)
    await page.locator("[data-tab=logins]").click()
    card = page.locator("[data-card=trend]")
    await card.locator("[data-toggle]").click()
    async with page.expect_download():
        await card.locator("[data-export]").click()
    await page.keyboard.press("Tab")
    await page.locator("[data-tab=logins]").focus()
    await page.keyboard.press("End")
    views = page.locator("[data-panel=pageviews]")
    await expect(views.locator("[data-card=days]")).to_be_visible()
    await views.locator("[data-day-before]").click()
    await views.locator("input[data-site]").fill("blog")
    await page.keyboard.press("Enter")
    opened = ["panel_logins", "logins_table", "logins_export", "panel_pageviews"]
    await tracked(pool, *opened, "pageviews_day", "pageviews_site")


LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
VISIT = {"event_type": "page_view", "path": "/", "user_id": "u1", "timestamp": datetime.now(UTC).isoformat()}


async def test_window_of_the_webhooks_is_tracked(start: Start, visit: Visits, pool: Pool) -> None:
    page = await visit((await start()).make_url("/"))
    await page.request.post("/webhook", data={"eventType": "log", "userId": "1"})
    await enter(page)
    await page.locator("[data-tab=webhooks]").click()
    await page.locator("[data-panel=webhooks] label", has_text="Last 24 hours").click()
    await page.locator("[data-panel=webhooks] summary").click()
    async with page.expect_download():
        await page.locator("[data-panel=webhooks] [data-menu] a").first.click()
    await tracked(pool, "panel_webhooks", "webhooks_window", "webhooks_export")


async def test_items_and_transfers_are_tracked_but_not_what_was_picked_or_typed(
    start: Start, visit: Visits, pool: Pool
) -> None:
    page = await visit((await start()).make_url("/"), path="/login")
    told: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/track"):
            told.append(request.post_data or "")

    page.on("request", note)
    item = await many_items(page, pool)
    await page.request.post("/register", data=ANNA)
    await page.request.post("/logout")
    await fill(form(page, "login"), username="anna", password=PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-username]")).to_have_text("anna")
    await page.locator("[data-tab=transfers]").click()
    panel = page.locator("[data-panel=transfers]")
    await expect(panel.locator("[data-newer]")).to_have_attribute("aria-disabled", "true")
    await panel.locator("[data-newer]").dispatch_event("click")  # than the newest there are none
    await panel.locator("[data-older]").click()
    await expect(panel.locator("[data-card=items] .hint")).to_contain_text("page 2")
    await panel.locator("[data-newer]").click()
    await panel.locator(f"[data-card=newest] [data-pick='{item}']").first.click()
    card = panel.locator("[data-card=item]")
    await card.locator("[data-longer]").click()
    await card.get_by_role("button", name="Older: Transfer to").click()
    owner = card.locator("[data-select=owner]")
    await owner.select_option(index=1)
    released = await hold(page, "**/ownership")
    for _ in range(2):  # the second time, the first one is under way
        await card.locator("[data-form=transfer] [type=submit]").dispatch_event("click")
    released.set()
    await expect(card.locator("[data-result]")).to_contain_text("Transferred")
    await panel.locator("[data-new] summary").click()
    await panel.locator("[data-select=base-item]").select_option(index=1)
    await panel.locator("[data-form=item] [type=submit]").click()
    await panel.locator("[data-form=base-item] button").click()  # without a description it is not sent
    await panel.locator("[data-form=base-item] input").fill("a secret")
    await panel.locator("[data-form=base-item] button").click()
    await panel.locator("[data-form=owner] input").fill("a secret")
    await page.keyboard.press("Enter")
    await panel.locator("[data-new] summary").click()  # closes it
    await panel.locator("[data-switch] label", has_text="Day").click()
    features = ["page", "page", "pick", "longer", "owner_more", "owner_select", "transfer_form", "new",
                "base_item_select", "item_form", "base_item_form", "owner_form", "unit"]  # fmt: skip
    names = ["panel_transfers", *[f"transfers_{feature}" for feature in features]]
    await tracked(pool, *names)
    assert [json.loads(one) for one in told] == [{"feature_name": name} for name in names]


async def many_items(page: Page, pool: Pool) -> str:
    """More items, owners and transfers than are shown at once; return the id of the item that was transferred."""
    base = await (await page.request.post("/base-items", data={"description": "a bike"})).json()
    made = [await (await page.request.post("/items", data={"base_item_id": base["id"]})).json() for _ in range(51)]
    item = str(made[-1]["id"])
    await pool.execute("insert into owners (name) select 'Owner ' || n from generate_series(1, 150) as n")
    owners = [str(row["id"]) for row in await pool.fetch("select id from owners limit 2")]
    for number in range(25):
        await page.request.put(f"/items/{item}/ownership", data={"to": owners[number % 2]})
    return item


async def test_click_that_cannot_be_tracked_disturbs_nothing(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", today(), 20, "Male"), ("some", today(), 20, "Female"))
    visit.expected = "ERR_FAILED"
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await page.route("**/track", lambda route: route.abort())
    await shows(panel, "clicks", 2)
    await field(panel, "gender").select_option("Female")
    await shows(panel, "clicks", 1)
    await state_is(panel, "ready")
    await expect(panel.locator("[data-message]")).to_be_hidden()
