"""The usage panel, and the login before it: real Chromium, the real program, a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from playwright.async_api import expect
from screen import fits_every_screen, is_readable, tab_to
from usage_panel import (
    ANNA,
    BOB,
    CUT_OFF,
    PASSWORD,
    Pool,
    Start,
    chips,
    cookies,
    enter,
    field,
    form,
    pick,
    shows,
    state_is,
    store,
    table,
    today,
    tracked,
)
from visits import Visits

# Filters


async def test_filters_are_found_again_for_a_week_by_their_user_alone(start: Start, visit: Visits, pool: Pool) -> None:
    old = today() - timedelta(days=40)
    await store(pool, ("some", today(), 20, "Male"), ("some", today(), 50, "Male"), ("some", old, 50, "Male"))
    visit.expected = CUT_OFF
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "startDate").fill(f"{today() - timedelta(days=3)}")
    await field(panel, "ageGroup").select_option(">40")
    await shows(panel, "clicks", 1)
    kept = next(cookie for name, cookie in (await cookies(page)).items() if name.startswith("vigility_filters_"))
    user = json.loads(unquote((await cookies(page))["user_data"]["value"]))
    assert kept["name"] == f"vigility_filters_{user['id']}"
    assert json.loads(unquote(kept["value"])) == {
        "startDate": f"{today() - timedelta(days=3)}", "endDate": "", "ageGroup": ">40", "gender": "All",
    }  # fmt: skip
    assert kept["path"] == "/"
    assert abs(kept["expires"] - datetime.now(UTC).timestamp() - 7 * 86_400) < 60
    await page.reload()
    await shows(panel, "clicks", 1)
    await expect(field(panel, "ageGroup")).to_have_value(">40")
    await expect(field(panel, "startDate")).to_have_value(f"{today() - timedelta(days=3)}")
    await enter(page, BOB)
    await expect(panel.locator("[data-chips]")).to_be_hidden()
    await shows(panel, "clicks", 5)


async def test_kept_filters_that_are_none_are_ignored(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", today(), 20, "Male"))
    visit.expected = CUT_OFF
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    user = json.loads(unquote((await cookies(page))["user_data"]["value"]))
    odd = '{"startDate": "2026-02-30", "endDate": "<b>", "ageGroup": "__proto__", "gender": 7}'
    for value in (odd, "[1]", "{", "%"):
        await page.evaluate("([name, value]) => { document.cookie = `${name}=${value}; path=/` }",
                            [f"vigility_filters_{user['id']}", value.replace("<b>", "%3Cb%3E")])  # fmt: skip
        await page.reload()
        await shows(panel, "clicks", 1)
        await expect(panel.locator("[data-chips]")).to_be_hidden()


async def test_end_before_the_beginning_is_not_taken_and_a_later_beginning_opens_the_end(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, ("some", today(), 20, "Male"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    start_date, end_date = field(panel, "startDate"), field(panel, "endDate")
    await start_date.fill("2026-03-10")
    await expect(end_date).to_have_attribute("min", "2026-03-10")
    await end_date.fill("2026-03-09")
    await end_date.blur()
    await expect(end_date).to_have_value("")
    await end_date.fill("2026-03-12")
    await chips(panel, "From Mar 10, 2026", "Until Mar 12, 2026")
    await start_date.fill("2026-04-01")
    await chips(panel, "From Apr 1, 2026")
    await expect(end_date).to_have_value("")
    await tracked(pool, "date_filter", "date_filter", "date_filter")


async def test_chip_takes_its_filter_away(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", today(), 20, "Male"), ("some", today(), 50, "Female"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "ageGroup").select_option("18-40")
    await field(panel, "gender").select_option("Male")
    await chips(panel, "18-40", "Male")
    await shows(panel, "clicks", 1)
    await panel.get_by_role("button", name="Remove the filter: 18-40").click()
    await chips(panel, "Male")
    await expect(panel.get_by_role("button", name="Remove the filter: Male")).to_be_focused()
    await expect(field(panel, "ageGroup")).to_have_value("All")
    await panel.get_by_role("button", name="Reset all").click()
    await expect(panel.locator("[data-chips]")).to_be_hidden()
    await expect(field(panel, "startDate")).to_be_focused()
    await shows(panel, "clicks", 5)


async def test_filters_that_leave_nothing_say_so(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", today(), 20, "Male"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "gender").select_option("Other")
    await shows(panel, "clicks", 0)
    await expect(panel.locator("[data-card=features] [data-bare]")).to_have_attribute(
        "data-bare", "No clicks match these filters"
    )
    await state_is(panel, "ready")


# Beginning, screens


async def test_empty_panel_says_how_to_begin_and_the_first_click_fills_it(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await state_is(panel, "empty")
    await expect(panel.locator("[data-guide]")).to_contain_text("seed --usage")
    await field(panel, "gender").select_option("Female")
    await shows(panel, "clicks", 1)
    await expect(panel.locator("[data-guide]")).to_be_hidden()


async def test_keyboard_alone_logs_in_and_reaches_every_control(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", today(), 20, "Male"))
    page = await visit((await start()).make_url("/"))
    await page.request.post("/register", data=ANNA)
    await page.request.post("/logout")
    await page.goto("/login")
    await expect(form(page, "login").locator("[name=username]")).to_be_focused()
    await page.keyboard.type("anna")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    panel = page.locator("[data-panel=usage]")
    await shows(panel, "clicks", 1)
    controls = ("[data-logout]", "[data-filter=startDate]", "[data-filter=endDate]", "[data-filter=ageGroup]")
    for control in (*controls, "[data-filter=gender]", "[data-refresh]", "[data-filters] [data-export]"):
        await tab_to(page, panel.locator(control))


async def test_nothing_is_wider_than_the_screen_and_all_is_readable(start: Start, visit: Visits, pool: Pool) -> None:
    visit.expected = CUT_OFF
    page = await visit((await start()).make_url("/"), path="/login")
    for view in ("login", "register"):
        await page.goto(f"/#usage/{view}")
        await expect(form(page, view)).to_be_visible()
        await fits_every_screen(page)
        await is_readable(page)
    panel = await enter(page, {**ANNA, "username": "W" * 64})
    await store(pool, *[("W" * 64, today(), 20, "Male")] * 2, ("some", today(), 20, "Male"))
    await page.reload()
    await field(panel, "startDate").fill("2026-01-01")
    await field(panel, "endDate").fill(f"{today()}")
    await field(panel, "ageGroup").select_option("18-40")
    await pick(panel, "W" * 64)
    await fits_every_screen(page)
    await is_readable(page)
    for card in ("features", "trend"):
        await table(panel, card)
    await fits_every_screen(page)
