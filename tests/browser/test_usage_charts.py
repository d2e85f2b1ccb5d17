"""The charts of the usage panel: real Chromium, the real program, a real database."""

from __future__ import annotations

import csv
import json
import re
from datetime import date, timedelta
from pathlib import Path

from playwright.async_api import WebSocketRoute, expect
from screen import WIDTHS
from usage_panel import (
    ANNA,
    BOB,
    CUT_OFF,
    GRIN,
    Pool,
    Start,
    bars,
    chips,
    draws,
    enter,
    field,
    handles,
    hold,
    pick,
    shows,
    state_is,
    store,
    table,
    today,
    tracked,
)
from visits import Visits
from waiting import until


async def test_totals_are_all_that_is_wanted_of_the_topic(start: Start, visit: Visits, pool: Pool) -> None:
    """Names and days come from the analytics alone, which are for people who are logged in."""
    await store(pool, *[("some", today(), 20, "Male")] * 3, ("other", today() - timedelta(days=1), 50, "Female"))
    page = await visit((await start()).make_url("/"))

    def thinned(said: str | bytes) -> str:
        frame = json.loads(said)
        if frame.get("topic") == "usage":
            kept = {key: frame["payload"][key] for key in ("totalClicks", "featureCount", "generatedAt")}
            today = {key: frame["payload"]["today"][key] for key in ("date", "totalClicks")}
            frame["payload"] = {**kept, "today": today}
        return json.dumps(frame)

    def pass_on(page_side: WebSocketRoute) -> None:
        page_side.connect_to_server().on_message(lambda said: page_side.send(thinned(said)))

    await page.route_web_socket(re.compile("/ws$"), pass_on)
    visit.expected = CUT_OFF
    await page.reload()
    panel = await enter(page)
    await field(panel, "gender").select_option("Male")
    await shows(panel, "clicks", 3)
    await pick(panel, "some")
    for tile, number in {"clicks": 3, "today": 5, "features": 1, "top": 100, "picked": 3, "busiest": 3}.items():
        await shows(panel, tile, number)
    await expect(panel.locator("[data-tile=clicks]")).to_contain_text("of 6 in total")
    await expect(panel.locator("[data-tile=features]")).to_contain_text("of 4 in total")
    await draws(panel, "some 3.")
    assert (await page.request.post("/track", data={"feature_name": "third"})).ok
    await shows(panel, "today", 6)


async def test_charts_stay_while_the_next_numbers_are_on_their_way(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", today(), 20, "Male"), ("some", today(), 50, "Female"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await shows(panel, "clicks", 2)
    await bars(panel).evaluate("(e) => { window.before = e }")
    released = await hold(page, "**/analytics?*")
    await field(panel, "gender").select_option("Male")
    await expect(panel).to_have_attribute("aria-busy", "true")
    await shows(panel, "clicks", 2)
    await expect(bars(panel)).to_be_visible()
    await state_is(panel, "ready")
    released.set()
    await expect(panel).to_have_attribute("aria-busy", "false")
    await expect(panel.locator("[data-card=features] .hint")).to_have_text("Male")
    assert await bars(panel).evaluate("(e) => window.before === e")


async def test_numbers_of_other_filters_go_when_those_asked_for_cannot_be_had(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, ("some", today(), 20, "Male"))
    visit.expected = "ERR_FAILED"
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await shows(panel, "clicks", 1)
    await page.route("**/analytics?*", lambda route: route.abort())
    await field(panel, "gender").select_option("Male")
    await state_is(panel, "loading")
    await page.unroute("**/analytics?*")
    await panel.locator("[data-refresh]").click()
    await shows(panel, "clicks", 1)
    await state_is(panel, "ready")


async def test_bar_is_picked_by_keyboard_and_found_again_by_its_address(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, *[("some", today(), 20, "Male")] * 3, *[("other", today(), 20, "Male")] * 2)
    visit.expected = CUT_OFF
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await expect(panel.locator("[data-card=trend] [data-bare]")).to_have_attribute(
        "data-bare", "Pick a bar to see its days"
    )
    await expect(handles(panel)).to_have_text(["some, 3", "other, 2"])
    await panel.locator("[data-card=features] [data-export]").focus()
    await page.keyboard.press("Tab")
    await expect(handles(panel).first).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(handles(panel).nth(1)).to_be_focused()
    tooltip = "(e) => Chart.getChart(e).tooltip.body[0].lines[0].trim()"
    assert await bars(panel).evaluate(tooltip) == "2 clicks"
    await page.keyboard.press("Enter")
    heading = panel.locator("[data-card=trend] h2")
    await expect(heading).to_have_text("Time trend - other")
    await expect(panel.locator("[data-values] [aria-pressed=true]")).to_have_text("other, 2")
    await tracked(pool, "bar_chart_zoom")
    assert page.url.endswith("#usage/trend/other")
    await page.reload()
    await expect(heading).to_have_text("Time trend - other")
    await page.go_back()
    await expect(heading).to_have_text("Time trend")


async def test_picked_bar_stands_out_and_says_how_many_clicks(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, *[("some", today(), 20, "Male")] * 3, ("other", today(), 20, "Male"))
    page = await visit((await start()).make_url("/"), reduced_motion="reduce")
    panel = await enter(page)
    await pick(panel, "some")
    colours = await bars(panel).evaluate("(e) => Chart.getChart(e).data.datasets[0].colours")
    assert colours[:2] == ["--accent", "--accent-light"]
    middle = await bars(panel).evaluate("(e) => Chart.getChart(e).scales.y.getPixelForValue(1)")
    await bars(panel).hover(position={"x": 150, "y": middle})
    tooltip = "(e) => Chart.getChart(e).tooltip.body?.[0]?.lines[0]?.trim()"

    async def hovered() -> bool:
        return bool(await bars(panel).evaluate(tooltip) == "1 click")

    await until(hovered)


async def test_feature_beyond_the_largest_is_drawn_when_it_is_picked(start: Start, visit: Visits, pool: Pool) -> None:
    many = [(f"feature_{at:02}", today(), 20, "Male") for at in range(15) for _ in range(20 - at)]
    await store(pool, *many)
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await expect(handles(panel)).to_have_count(12)
    await table(panel, "features")
    await panel.locator("[data-pick]", has_text="feature_14").click()
    await panel.locator("[data-card=features] [data-toggle]").click()
    await expect(handles(panel).last).to_contain_text("feature_14")
    await expect(panel.locator("[data-card=trend] h2")).to_have_text("Time trend - feature_14")
    await expect(panel.locator("[data-card=features] .hint")).to_contain_text("the 12 most used of 17")


async def test_days_without_clicks_are_zero_and_a_single_day_has_one_on_both_sides(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, ("gaps", date(2026, 3, 1), 20, "Male"), ("gaps", date(2026, 3, 4), 20, "Male"),
                ("alone", date(2026, 3, 2), 20, "Male"))  # fmt: skip
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "startDate").fill("2026-03-01")
    await field(panel, "endDate").fill("2026-03-05")
    await chips(panel, "From Mar 1, 2026", "Until Mar 5, 2026")
    await pick(panel, "gaps")
    assert [number for _, number in await table(panel, "trend")] == ["1", "0", "0", "1", "0"]
    await field(panel, "startDate").fill("2026-03-02")
    await field(panel, "endDate").fill("2026-03-02")
    await draws(panel, ": alone 1.")
    await pick(panel, "alone")
    assert await table(panel, "trend") == [["Mar 1", "0"], ["Mar 2", "1"], ["Mar 3", "0"]]


async def test_line_of_a_span_ends_today_even_where_all_clicks_are_of_today(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, *[("some", today(), 20, "Male")] * 2)
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "startDate").fill(f"{today() - timedelta(days=2)}")
    await draws(panel, "some 2, date_filter 1")
    await pick(panel, "some")
    assert [clicks for _, clicks in await table(panel, "trend")] == ["0", "0", "2"]


SPANS = [
    ([], {}, []),
    (["2026-03-02"], {"today": "2026-03-02"}, ["2026-03-01", "2026-03-02", "2026-03-03"]),
    (["2026-03-02"], {"from": "2026-03-01", "today": "2026-03-02"}, ["2026-03-01", "2026-03-02"]),
    (["2026-03-02"], {"today": "2026-03-03"}, ["2026-03-02", "2026-03-03"]),
    (["2026-03-02"], {"from": "2026-03-02", "until": "2026-03-02", "today": "2026-03-09"},
     ["2026-03-01", "2026-03-02", "2026-03-03"]),
    (["2026-02-27", "2026-03-01"], {"today": "2026-03-02"}, ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]),
    (["2026-03-02", "2026-03-03"], {"from": "2026-03-01", "until": "2026-03-04", "today": "2026-03-03"},
     ["2026-03-01", "2026-03-02", "2026-03-03"]),
    (["2026-03-02", "2026-03-03"], {"today": "2026-03-01"}, ["2026-03-02", "2026-03-03"]),
]  # fmt: skip


async def test_line_covers_its_span_and_never_a_whole_life(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    every_day = """async ([dates, span]) => {
        const { everyDay } = await import("/assets/figures/days.js");
        return everyDay(dates.map((date) => ({ date, count: 1 })), span).map(({ date }) => date);
    }"""
    for dates, span, expected in SPANS:
        whole = {"from": "", "until": "", "today": "2026-03-01", **span}
        assert await page.evaluate(every_day, [dates, whole]) == expected
    ages = {"from": "1970-01-01", "until": "", "today": "2026-03-01"}
    assert len(await page.evaluate(every_day, [["2026-03-01", "2026-03-02"], ages])) == 368


FLAG, FAMILY = "\U0001f1ea\U0001f1ea", "\U0001f468\u200d\U0001f469\u200d\U0001f467"
ACCENT = "e\u0301"


async def test_names_on_charts_are_cut_between_characters(start: Start, visit: Visits, pool: Pool) -> None:
    """Neither half of an emoji, nor a family without its mother, nor the flags of other countries."""
    names = (GRIN * 64, FLAG * 32, FAMILY * 12)
    await store(pool, *[(name, today(), 20, "Male") for at, name in enumerate(names) for _ in range(9 - at)])
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await expect(handles(panel)).to_have_count(3)
    ticks = await bars(panel).evaluate("(e) => Chart.getChart(e).scales.y.ticks.map(({ label }) => label)")
    left = [tick.replace(character, "") for tick, character in zip(ticks, (GRIN, FLAG, FAMILY), strict=True)]
    assert all(ticks) and left == ["…", "…", ""]  # how many of a character fit depends on the machine's fonts
    labels = await bars(panel).evaluate("(e) => Chart.getChart(e).data.labels")
    assert labels == [f"{GRIN * 30}…{GRIN * 29}", FLAG * 32, FAMILY * 12]
    for name in names:
        await pick(panel, name)
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        await until(lambda: bars(panel).evaluate(NAMES_HAVE_ROOM))


NAMES_HAVE_ROOM = """(canvas) => {
    const { width, ctx, scales: { y } } = Chart.getChart(canvas);
    const isInside = ({ label }) => ctx.measureText(label).width < y.width;
    return width === canvas.parentElement.clientWidth && y.ticks.every(isInside);
}"""
CUTS = [
    ("shorten", "abcdefgh", 5, "ab…gh"),
    ("shorten", f"a{GRIN * 6}z", 5, f"a{GRIN}…{GRIN}z"),
    ("shorten", FAMILY * 5, 5, FAMILY * 5),
    ("shorten", FLAG * 6, 5, f"{FLAG * 2}…{FLAG * 2}"),
    ("shorten", ACCENT * 6, 5, f"{ACCENT * 2}…{ACCENT * 2}"),
    ("shorten", GRIN * 100_000, 5, f"{GRIN * 2}…{GRIN * 2}"),
    ("shorten", "e" + "\u0301" * 100_000, 3, "e…\u0301"),
    ("cut", "abcdef", 5, "abcd…"),
    ("cut", GRIN * 6, 5, f"{GRIN * 4}…"),
    ("cut", FAMILY * 5, 5, FAMILY * 5),
    ("cut", "e" + "\u0301" * 100_000, 3, "e\u0301…"),
]


async def test_text_is_cut_between_characters_and_never_longer_than_it_may_be(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    call = "async ([name, ...given]) => (await import('/assets/figures/format.js'))[name](...given)"
    for name, words, longest, expected in CUTS:
        assert await page.evaluate(call, [name, words, longest]) == expected
    await page.add_init_script("delete Intl.Segmenter")  # browsers of before 2024: not half of an emoji, all the same
    await page.reload()
    for name, words, longest, expected in (CUTS[1], CUTS[8]):
        assert await page.evaluate(call, [name, words, longest]) == expected


async def test_export_holds_what_is_on_screen(start: Start, visit: Visits, pool: Pool) -> None:
    yesterday = today() - timedelta(days=1)
    formula, other = ("=1+1", today(), 20, "Female"), ("x", today(), 20, "Male")
    await store(pool, *[("=1+1", yesterday, 20, "Female")] * 2, formula, other)
    page = await visit((await start()).make_url("/"))
    panel = await enter(page, BOB)
    await field(panel, "gender").select_option("Female")
    await shows(panel, "clicks", 3)
    await pick(panel, "=1+1")
    async with page.expect_download() as downloading:
        await panel.locator("[data-filters] [data-export]").click()
    download = await downloading.value
    assert re.fullmatch(r"usage-\d{4}-\d\d-\d\dT[\d-]+Z\.csv", download.suggested_filename)
    rows = list(csv.reader(Path(await download.path()).read_text().splitlines(), strict=True))
    assert rows == [
        ["Chart", "Feature", "Day (UTC)", "Clicks"],
        ["Feature usage", "'=1+1", "", "3"],
        ["Time trend", "'=1+1", f"{yesterday}", "2"],
        ["Time trend", "'=1+1", f"{today()}", "1"],
    ]


async def test_hostile_names_are_text_and_nothing_else(start: Start, visit: Visits) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    visit.expected = CUT_OFF
    page = await visit((await start()).make_url("/"))
    panel = await enter(page, {**ANNA, "username": hostile})
    for name in (hostile, "__proto__", "a/b#c%25"):
        assert (await page.request.post("/track", data={"feature_name": name})).status == 201
    await shows(panel, "clicks", 3)
    for name in (hostile, "__proto__", "a/b#c%25"):
        await pick(panel, name)
        await page.reload()
        await expect(panel.locator("[data-card=trend] h2")).to_have_text(f"Time trend - {name}")
    assert {row[0] for row in await table(panel, "features")} >= {hostile, "__proto__", "a/b#c%25"}
    assert await page.locator('img[src="x"]').count() == 0


async def test_feature_of_an_address_that_can_be_none_is_not_asked_for(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", today(), 20, "Male"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    for address in (f"trend/{'x' * 65}", "trend/%00", "trend/%E0%A4%A", "nowhere", "trend"):
        await page.goto(f"/#usage/{address}")
        await shows(panel, "clicks", 1)
        await expect(panel.locator("[data-card=trend] h2")).to_have_text("Time trend")
