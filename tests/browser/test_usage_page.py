"""The usage panel, and the login before it: real Chromium, the real program, a real database."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest
from conftest import until
from playwright.async_api import Locator, Page, Route, WebSocketRoute, expect

from browser.conftest import Visits
from browser.test_logins_page import AWAY, is_readable, tab_to
from statsd import aggregate

Start = Callable[..., Awaitable[Any]]
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

PASSWORD = "correct horse"
ANNA = {"username": "anna", "password": PASSWORD, "age": 34, "gender": "Female"}
BOB = {"username": "bob", "password": PASSWORD, "age": 16, "gender": "Male"}
REFUSED = r"status of 4\d\d"
"""What the browser says about a request that was refused."""
ENDED = "Your session has ended"
CUT_OFF = "ERR_ABORTED"
"""What it says about one that was under way when the page was left."""
WIDTHS = (1280, 768, 375, 320)
TODAY = datetime.now(UTC).date()


async def enter(page: Page, person: dict[str, Any] = ANNA) -> Locator:
    """Make an account past the page, and open the panel, which notices."""
    answer = await page.request.post("/register", data=person)
    assert answer.status == 201, await answer.text()
    await page.goto("/#logins")
    await expect(page.locator("[data-panel=logins]")).to_be_visible()
    await page.goto("/#usage")
    panel = page.locator("[data-panel=usage]")
    await expect(panel.locator("[data-username]")).to_have_text(person["username"])
    return panel


async def store(pool: Pool, *clicks: tuple[str, date, int, str]) -> None:
    """Store clicks of other people: feature, day, age, gender. They are the first of their day."""
    rows = [(name, datetime.combine(day, datetime.min.time(), UTC), age, sex) for name, day, age, sex in clicks]
    statement = 'insert into feature_clicks (feature_name, "timestamp", age, gender) values ($1, $2, $3, $4)'
    await pool.executemany(statement, rows)
    await aggregate.sweep(pool, "usage")


async def tracked(pool: Pool, *expected: str) -> None:
    """Wait until as many clicks of people with accounts are stored; they are these. Close ones may overtake."""
    query = "select feature_name from feature_clicks where user_id is not null order by feature_name"

    async def enough() -> list[str] | None:
        found = [row["feature_name"] for row in await pool.fetch(query)]
        return found if len(found) >= len(expected) else None

    assert await until(enough) == sorted(expected)


async def shows(panel: Locator, tile: str, number: int) -> None:
    await expect(panel.locator(f"[data-tile={tile}] [data-value]")).to_have_attribute("data-value", str(number))


async def state_is(panel: Locator, state: str) -> None:
    await expect(panel).to_have_attribute("data-state", state)


def bars(panel: Locator) -> Locator:
    return panel.locator("[data-card=features] canvas")


def handles(panel: Locator) -> Locator:
    return panel.locator("[data-card=features] [data-values] button")


async def draws(panel: Locator, words: str) -> None:
    """Wait until the bars say this about themselves."""
    await expect(bars(panel)).to_have_attribute("aria-label", re.compile(re.escape(words)))


async def pick(panel: Locator, feature: str) -> None:
    """Click the bar of a feature, in the middle of its row."""
    await expect(handles(panel).filter(has_text=re.compile(f"^{re.escape(feature)},"))).to_have_count(1)
    names = await handles(panel).all_inner_texts()
    at = next(number for number, name in enumerate(names) if name.startswith(f"{feature},"))
    middle = await bars(panel).evaluate("(e, at) => Chart.getChart(e).scales.y.getPixelForValue(at)", at)
    await bars(panel).click(position={"x": 200, "y": middle})
    await expect(panel.locator("[data-card=trend] h2")).to_have_text(f"Time trend - {feature}")


def field(panel: Locator, name: str) -> Locator:
    return panel.locator(f"[data-filter={name}]")


async def chips(panel: Locator, *words: str) -> None:
    await expect(panel.locator("[data-chips] li")).to_have_text(list(words))


async def table(panel: Locator, card: str) -> list[list[str]]:
    toggle = panel.locator(f"[data-card={card}] [data-toggle]")
    if await toggle.get_attribute("aria-pressed") == "false":
        await toggle.click()
    texts = "all => all.map((tr) => [...tr.cells].map((cell) => cell.innerText))"
    found: list[list[str]] = await panel.locator(f"[data-card={card}] tbody tr").evaluate_all(texts)
    return found


def form(page: Page, view: str) -> Locator:
    return page.locator(f"[data-view={view}]")


async def fill(view: Locator, **values: str) -> None:
    for name, value in values.items():
        entry = view.locator(f"[name={name}]")
        await (entry.select_option(value) if name == "gender" else entry.fill(value))


async def hold(page: Page, addresses: str) -> asyncio.Event:
    """Hold requests of the page back until the event that is returned is set."""
    released = asyncio.Event()

    async def wait(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await page.route(addresses, wait)
    return released


async def cookies(page: Page) -> dict[str, Any]:
    return {cookie["name"]: cookie for cookie in await page.context.cookies()}


# Logging in


async def test_who_registers_is_brought_to_what_they_wanted_to_see(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("age_filter", TODAY, 20, "Male"))
    page = await visit((await start()).make_url("/"), path="/#usage/trend/age_filter")
    await expect(form(page, "login")).to_be_visible()
    assert page.url.endswith("#usage/login")
    await page.get_by_role("link", name="Create one").click()
    view = form(page, "register")
    await expect(view.locator("[name=username]")).to_be_focused()
    assert page.url.endswith("#usage/register")
    await fill(view, username="anna", password=PASSWORD, age="34", gender="Female")
    await page.keyboard.press("Enter")
    panel = page.locator("[data-panel=usage]")
    await expect(panel.locator("[data-card=trend] h2")).to_have_text("Time trend - age_filter")
    await expect(panel.locator("[data-who]")).to_contain_text("anna Female, 34")
    assert page.url.endswith("#usage/trend/age_filter")
    await expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize(("path", "view"), [("/login", "login"), ("/register", "register")])
async def test_address_of_the_view_opens_it(start: Start, visit: Visits, path: str, view: str) -> None:
    page = await visit((await start()).make_url("/"), path=path)
    await expect(form(page, view).locator("[name=username]")).to_be_focused()
    assert page.url.endswith(f"/#usage/{view}")
    kinds = (
        await form(page, view)
        .locator("input, select")
        .evaluate_all("all => all.map((e) => [e.name, e.type, e.autocomplete, e.labels[0].innerText, e.required])")
    )
    secret = "current-password" if view == "login" else "new-password"
    assert kinds[:2] == [
        ["username", "text", "username", "Username", True],
        ["password", "password", secret, "Password", True],
    ]


async def test_session_cannot_be_read_by_scripts(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await enter(page)
    assert (await cookies(page))["auth_token"]["httpOnly"]
    readable = await page.evaluate("() => document.cookie + JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "eyJ" not in readable
    assert json.loads(unquote(readable.partition("user_data=")[2].partition("[")[0]))["username"] == "anna"


async def test_wrong_password_is_told_in_the_words_of_the_server(start: Start, visit: Visits) -> None:
    visit.expected = REFUSED
    page = await visit((await start()).make_url("/"), path="/login")
    await page.request.post("/register", data=ANNA)
    await page.request.post("/logout")
    view = form(page, "login")
    await fill(view, username="anna", password="wrong horse")
    await view.locator("[data-reveal]").click()
    await expect(view.locator("[name=password]")).to_have_attribute("type", "text")
    await view.locator("[data-submit]").click()
    await expect(view.locator("[data-fault]")).to_have_text("Invalid credentials")
    await expect(view.locator("[name=password]")).to_have_attribute("type", "password")
    await expect(view.locator("[name=username]")).to_have_value("anna")
    await fill(view, password=PASSWORD)
    await page.keyboard.press("Enter")
    await state_is(page.locator("[data-panel=usage]"), "empty")


async def test_who_tries_too_often_hears_when_to_come_again(start: Start, visit: Visits) -> None:
    visit.expected = REFUSED
    page = await visit((await start()).make_url("/"), path="/login")
    view = form(page, "login")
    for _ in range(6):
        await page.request.post("/login", data={"username": "nobody", "password": PASSWORD})
    await fill(view, username="nobody", password=PASSWORD)
    await page.keyboard.press("Enter")
    await expect(view.locator("[data-fault]")).to_have_text(re.compile(r"^Too many login attempts.*: in \d+ s\.$"))


async def test_what_is_wrong_stands_beside_its_field(start: Start, visit: Visits) -> None:
    visit.expected = REFUSED
    page = await visit((await start()).make_url("/"), path="/register")
    await page.request.post("/register", data=ANNA)
    await page.request.post("/logout")
    view = form(page, "register")
    await fill(view, username="Anna", password="short", age="34", gender="Female")
    await view.locator("[data-submit]").click()
    secret = view.locator("[name=password]")
    await expect(secret).to_be_focused()
    await expect(secret).to_have_attribute("aria-invalid", "true")
    await expect(secret).to_have_accessible_description(re.compile("8 to 1024 characters"))
    await fill(view, password=PASSWORD)
    await page.keyboard.press("Enter")
    name = view.locator("[name=username]")
    await expect(name).to_have_accessible_description("Username already exists")
    await expect(secret).to_have_attribute("aria-invalid", "false")


async def test_nothing_that_is_typed_is_cut_in_silence(start: Start, visit: Visits) -> None:
    """A character is one, whatever it takes in memory; of too many the server says so."""
    visit.expected = REFUSED
    page = await visit((await start()).make_url("/"), path="/register")
    view = form(page, "register")
    name, secret = GRIN * 64, GRIN * 1024
    for given, field_name, words in (
        ({"username": f"{name}x", "password": secret}, "username", "1 to 64 printable characters"),
        ({"username": name, "password": f"{secret}x"}, "password", "8 to 1024 characters"),
    ):
        await fill(view, **given, age="34", gender="Female")
        await page.keyboard.press("Enter")
        await expect(view.locator(f"#register-{field_name}-fault")).to_contain_text(words)
    await fill(view, password="x" * 70_000)
    await page.keyboard.press("Enter")
    await expect(view.locator("[data-fault]")).to_have_text("the body must not be larger than 65536 bytes")
    await fill(view, password=secret)
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-username]")).to_have_text(name)
    assert (await page.request.post("/login", data={"username": name, "password": secret})).ok


async def test_login_view_of_an_absent_server_says_so(start: Start, visit: Visits) -> None:
    client = await start()
    page = await visit(client.make_url("/"), path="/login")
    await expect(page.locator("header[data-connection=live]")).to_be_visible()
    visit.expected = AWAY
    await client.close()
    view = form(page, "login")
    await fill(view, username="anna", password=PASSWORD)
    await page.keyboard.press("Enter")
    await expect(view.locator("[data-fault]")).to_have_text("The server cannot be asked. It does not answer.")
    await expect(page.locator("[data-panel=usage] [data-message]")).to_contain_text("The server is away")


# The end of a session


async def test_logout_leaves_nothing_readable(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("age_filter", TODAY, 20, "Male"))
    visit.expected = REFUSED  # what was asked for right before the logout may come after it
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "gender").select_option("Male")
    await chips(panel, "Male")
    await page.evaluate("() => localStorage.setItem('pageviews site', 'shop')")
    token = (await cookies(page))["auth_token"]["value"]
    await panel.locator("[data-logout]").click()
    await expect(form(page, "login").locator("[name=username]")).to_be_focused()
    assert page.url.endswith("#usage/login")
    assert await cookies(page) == {}
    assert await page.evaluate("() => [document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
    assert "anna" not in await page.content()
    again = await page.request.get("/analytics", headers={"Authorization": f"Bearer {token}"})
    assert again.status == 401


async def test_revoked_session_brings_the_login_back_and_says_why(start: Start, visit: Visits, pool: Pool) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await state_is(panel, "empty")
    await pool.execute("update users set token_version = token_version + 1")
    visit.expected = REFUSED
    await panel.locator("[data-refresh]").click()
    await expect(form(page, "login")).to_contain_text(f"{ENDED} (the server says: Invalid or expired token)")
    assert "user_data" not in await cookies(page)
    await fill(form(page, "login"), username="anna", password=PASSWORD)
    await page.keyboard.press("Enter")
    await state_is(panel, "empty")


async def test_cookie_that_outlived_its_session_is_noticed(start: Start, visit: Visits) -> None:
    visit.expected = REFUSED
    client = await start()
    page = await visit(client.make_url("/"), path="/docs")
    stale = json.dumps({"id": 1, "username": "anna", "age": 34, "gender": "Female"})
    await page.evaluate("(stale) => { document.cookie = 'user_data=' + encodeURIComponent(stale) + '; path=/' }", stale)
    await page.goto("/#usage")
    await expect(form(page, "login")).to_contain_text("Your session has ended")
    assert await page.evaluate("() => document.cookie") == ""


async def test_cookie_with_an_endless_name_moves_nothing_off_the_screen(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    forged = {"id": 1, "username": "W" * 1_900, "age": 34, "gender": "W" * 1_900}
    await page.evaluate(
        "(one) => { document.cookie = `user_data=${encodeURIComponent(JSON.stringify(one))}; path=/` }", forged
    )
    await page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    await expect(panel.locator("[data-username]")).to_have_text("W" * 64)
    await fits_every_screen(page)
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        await expect(panel.locator("[data-filters]")).to_be_in_viewport(ratio=1)


async def test_another_tab_that_logs_out_is_followed(start: Start, visit: Visits) -> None:
    visit.expected = REFUSED  # what was asked for right before the logout may come after it
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await page.request.post("/logout")
    await page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    await state_is(panel, "closed")


CROWD = [(f"crowd_{number:03}", TODAY, 20, "Male") for number in range(100)]
"""As many features as the topic names: of one that is used less, only the analytics tell."""
RARE = "quokka"
ENDS = ("logout", "revoked", "somebody else")
BLANK = "(panel) => panel.querySelector('.numbers').outerHTML"


async def shows_what_is_rare(page: Page, pool: Pool) -> Locator:
    """Log in, filter, and pick the rare feature; its name never comes into the page but from the server."""
    await store(pool, *CROWD * 3, *[(RARE, TODAY, 50, "Other")] * 2)
    panel = await enter(page)
    await field(panel, "gender").select_option("Other")
    await expect(handles(panel)).to_have_count(1)
    await shows(panel, "clicks", 2)
    await handles(panel).evaluate_all("all => all[0].click()")
    await shows(panel, "picked", 2)
    return panel


async def end(page: Page, panel: Locator, how: str, pool: Pool) -> None:
    if how == "logout":
        await panel.locator("[data-logout]").click()
    elif how == "revoked":
        await pool.execute("update users set token_version = token_version + 1")
        await panel.locator("[data-refresh]").evaluate("button => button.click()")  # the page may know already
    else:
        assert (await page.request.post("/register", data=BOB)).ok
        await page.evaluate("() => window.dispatchEvent(new Event('focus'))")


@pytest.mark.parametrize("how", ENDS)
async def test_panel_is_as_it_was_before_anybody_came_when_the_session_ends(
    start: Start, visit: Visits, pool: Pool, how: str
) -> None:
    """Not hidden but gone: tiles, tables, charts, notes, and what is said to who cannot see them."""
    visit.expected = f"{REFUSED}|{CUT_OFF}"
    page = await visit((await start()).make_url("/"), path="/#usage", clock=True)
    panel = page.locator("[data-panel=usage]")
    await state_is(panel, "closed")
    before = await panel.evaluate(BLANK)
    await shows_what_is_rare(page, pool)
    await page.clock.fast_forward(15_000)
    await expect(page.locator("[data-announcer]")).to_contain_text(RARE)
    await table(panel, "features")
    await panel.locator("[data-card=trend] canvas").hover()
    released = await hold(page, "**/analytics*") if how == "somebody else" else None
    await end(page, panel, how, pool)
    await until(lambda: page.evaluate("() => !Object.keys(Chart.instances).length"))
    assert await panel.evaluate(BLANK) == before
    assert RARE not in await page.evaluate("() => document.documentElement.textContent")
    if released:
        released.set()
        await shows(panel, "features", 105)


async def test_files_hold_nothing_of_a_session_that_is_over(start: Start, visit: Visits, pool: Pool) -> None:
    visit.expected = REFUSED  # what was asked for right before the logout may come after it
    page = await visit((await start()).make_url("/"))
    panel = await shows_what_is_rare(page, pool)
    await end(page, panel, "logout", pool)
    await state_is(panel, "closed")
    for save in await panel.locator("[data-export]").all():
        async with page.expect_download() as downloading:
            await save.evaluate("button => button.click()")
        written = Path(await (await downloading.value).path()).read_text()
        assert len(written.splitlines()) == 1, written


async def test_memory_holds_nothing_of_a_session_that_is_over(start: Start, visit: Visits, pool: Pool) -> None:
    visit.expected = REFUSED  # what was asked for right before the logout may come after it
    page = await visit((await start()).make_url("/"))
    panel = await shows_what_is_rare(page, pool)
    assert not await has_forgotten(page, RARE)
    await end(page, panel, "logout", pool)
    await state_is(panel, "closed")
    await until(lambda: has_forgotten(page, RARE))  # not at once: an animation keeps its tile until it ends


async def has_forgotten(page: Page, words: str) -> bool:
    """Whether the words are in nothing that the page can still reach, as the browser's own tools see it."""
    tools = await page.context.new_cdp_session(page)
    pieces: list[str] = []
    tools.on("HeapProfiler.addHeapSnapshotChunk", lambda said: pieces.append(said["chunk"]))
    await tools.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
    await tools.detach()
    return words not in "".join(pieces)


async def test_who_logs_in_again_goes_on_where_they_were_and_somebody_else_does_not(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, ("some", TODAY, 20, "Male"))
    visit.expected = REFUSED
    page = await visit((await start()).make_url("/"))
    await enter(page, BOB)
    panel = await enter(page, ANNA)
    await pick(panel, "some")
    heading = panel.locator("[data-card=trend] h2")
    for person, how, words in ((ANNA, "revoked", "Time trend - some"), (BOB, "revoked", "Time trend")):
        await end(page, panel, how, pool)
        await fill(form(page, "login"), username=person["username"], password=PASSWORD)
        await page.keyboard.press("Enter")
        await expect(panel.locator("[data-username]")).to_have_text(person["username"])
        await shows(panel, "features", 2)
        await expect(heading).to_have_text(words)


async def test_first_hover_of_the_next_user_is_tracked_too(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", TODAY, 20, "Male"))
    visit.expected = REFUSED  # what was asked for right before the logout may come after it
    page = await visit((await start()).make_url("/"))
    for person in (ANNA, BOB):
        panel = await enter(page, person)
        await expect(panel.locator("[data-card=trend] h2")).to_have_text("Time trend")
        await pick(panel, "some")
        await panel.locator("[data-card=trend] canvas").hover()
        await panel.locator("h1").hover()
        await end(page, panel, "logout", pool)
        await state_is(panel, "closed")
    await tracked(pool, *["bar_chart_zoom", "line_chart_hover"] * 2)


# Clicks


async def test_click_is_in_the_chart_of_every_open_browser(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("age_filter", TODAY, 20, "Male"))
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
    await store(pool, ("age_filter", TODAY, 20, "Male"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await shows(panel, "clicks", 1)
    happened: list[str] = []
    page.on("response", lambda answer: happened.append(urlsplit(answer.url).path))
    page.on("request", lambda asked: happened.append(f"asked for {urlsplit(asked.url).path}"))
    async with page.expect_response(re.compile("/analytics")) as answering:
        await field(panel, "gender").select_option("Female")
    answer = await (await answering.value).json()
    assert happened[:3] == ["asked for /track", "/track", "asked for /analytics"]
    assert answer["barChartData"] == [{"feature": "gender_filter", "count": 1}]


async def test_every_interaction_of_the_contract_is_tracked_under_its_name(
    start: Start, visit: Visits, pool: Pool
) -> None:
    await store(pool, ("some", TODAY, 20, "Male"), ("other", TODAY - timedelta(days=2), 20, "Female"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "startDate").fill(f"{TODAY - timedelta(days=9)}")
    await field(panel, "endDate").fill(f"{TODAY}")
    await field(panel, "ageGroup").select_option("18-40")
    await field(panel, "gender").select_option("Male")
    await chips(panel, *[re.compile("From"), re.compile("Until"), "18-40", "Male"])  # type: ignore[arg-type]
    await panel.locator("[data-reset]").click()
    await expect(panel.locator("[data-chips]")).to_be_hidden()
    await draws(panel, "other 1")
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
    page.on("request", lambda asked: asked.url.endswith("/track") and told.append(asked.post_data or ""))
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
    await store(pool, ("some", TODAY, 20, "Male"), ("some", TODAY, 20, "Female"))
    visit.expected = "ERR_FAILED"
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await page.route("**/track", lambda route: route.abort())
    await shows(panel, "clicks", 2)
    await field(panel, "gender").select_option("Female")
    await shows(panel, "clicks", 1)
    await state_is(panel, "ready")
    await expect(panel.locator("[data-message]")).to_be_hidden()


# Filters


async def test_filters_are_found_again_for_a_week_by_their_user_alone(start: Start, visit: Visits, pool: Pool) -> None:
    old = TODAY - timedelta(days=40)
    await store(pool, ("some", TODAY, 20, "Male"), ("some", TODAY, 50, "Male"), ("some", old, 50, "Male"))
    visit.expected = CUT_OFF
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "startDate").fill(f"{TODAY - timedelta(days=3)}")
    await field(panel, "ageGroup").select_option(">40")
    await shows(panel, "clicks", 1)
    kept = next(cookie for name, cookie in (await cookies(page)).items() if name.startswith("vigility_filters_"))
    user = json.loads(unquote((await cookies(page))["user_data"]["value"]))
    assert kept["name"] == f"vigility_filters_{user['id']}"
    assert json.loads(unquote(kept["value"])) == {
        "startDate": f"{TODAY - timedelta(days=3)}", "endDate": "", "ageGroup": ">40", "gender": "All",
    }  # fmt: skip
    assert kept["path"] == "/"
    assert abs(kept["expires"] - datetime.now(UTC).timestamp() - 7 * 86_400) < 60
    await page.reload()
    await shows(panel, "clicks", 1)
    await expect(field(panel, "ageGroup")).to_have_value(">40")
    await expect(field(panel, "startDate")).to_have_value(f"{TODAY - timedelta(days=3)}")
    await enter(page, BOB)
    await expect(panel.locator("[data-chips]")).to_be_hidden()
    await shows(panel, "clicks", 5)


async def test_kept_filters_that_are_none_are_ignored(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", TODAY, 20, "Male"))
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
    await store(pool, ("some", TODAY, 20, "Male"))
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
    await store(pool, ("some", TODAY, 20, "Male"), ("some", TODAY, 50, "Female"))
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
    await store(pool, ("some", TODAY, 20, "Male"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "gender").select_option("Other")
    await shows(panel, "clicks", 0)
    await expect(panel.locator("[data-card=features] [data-bare]")).to_have_attribute(
        "data-bare", "No clicks match these filters"
    )
    await state_is(panel, "ready")


# Charts


async def test_totals_are_all_that_is_wanted_of_the_topic(start: Start, visit: Visits, pool: Pool) -> None:
    """Names and days come from the analytics alone, which are for people who are logged in."""
    await store(pool, *[("some", TODAY, 20, "Male")] * 3, ("other", TODAY - timedelta(days=1), 50, "Female"))
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
    await expect(panel.locator("[data-tile=clicks]")).to_contain_text("of 6 in all")
    await expect(panel.locator("[data-tile=features]")).to_contain_text("of 4 in all")
    await draws(panel, "some 3.")
    assert (await page.request.post("/track", data={"feature_name": "third"})).ok
    await shows(panel, "today", 6)


async def test_charts_stay_while_the_next_numbers_are_on_their_way(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("some", TODAY, 20, "Male"), ("some", TODAY, 50, "Female"))
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
    await store(pool, ("some", TODAY, 20, "Male"))
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
    await store(pool, *[("some", TODAY, 20, "Male")] * 3, *[("other", TODAY, 20, "Male")] * 2)
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
    await store(pool, *[("some", TODAY, 20, "Male")] * 3, ("other", TODAY, 20, "Male"))
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
    many = [(f"feature_{at:02}", TODAY, 20, "Male") for at in range(15) for _ in range(20 - at)]
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
    await store(pool, *[("some", TODAY, 20, "Male")] * 2)
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    await field(panel, "startDate").fill(f"{TODAY - timedelta(days=2)}")
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
        return everyDay(dates.map((date) => ({ date, clicks: 1 })), span).map(({ date }) => date);
    }"""
    for dates, span, expected in SPANS:
        whole = {"from": "", "until": "", "today": "2026-03-01", **span}
        assert await page.evaluate(every_day, [dates, whole]) == expected
    ages = {"from": "1970-01-01", "until": "", "today": "2026-03-01"}
    assert len(await page.evaluate(every_day, [["2026-03-01", "2026-03-02"], ages])) == 368


FLAG, FAMILY, GRIN = "\U0001f1ea\U0001f1ea", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f600"
ACCENT = "e\u0301"


async def test_names_on_charts_are_cut_between_characters(start: Start, visit: Visits, pool: Pool) -> None:
    """Neither half of an emoji, nor a family without its mother, nor the flags of other countries."""
    names = (GRIN * 64, FLAG * 32, FAMILY * 12)
    await store(pool, *[(name, TODAY, 20, "Male") for at, name in enumerate(names) for _ in range(9 - at)])
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
    yesterday = TODAY - timedelta(days=1)
    await store(pool, *[("=1+1", yesterday, 20, "Female")] * 2, ("=1+1", TODAY, 20, "Female"), ("x", TODAY, 20, "Male"))
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
        ["Time trend", "'=1+1", f"{TODAY}", "1"],
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
    await store(pool, ("some", TODAY, 20, "Male"))
    page = await visit((await start()).make_url("/"))
    panel = await enter(page)
    for address in (f"trend/{'x' * 65}", "trend/%00", "trend/%E0%A4%A", "nowhere", "trend"):
        await page.goto(f"/#usage/{address}")
        await shows(panel, "clicks", 1)
        await expect(panel.locator("[data-card=trend] h2")).to_have_text("Time trend")


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
    await store(pool, ("some", TODAY, 20, "Male"))
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
    await store(pool, *[("W" * 64, TODAY, 20, "Male")] * 2, ("some", TODAY, 20, "Male"))
    await page.reload()
    await field(panel, "startDate").fill("2026-01-01")
    await field(panel, "endDate").fill(f"{TODAY}")
    await field(panel, "ageGroup").select_option("18-40")
    await pick(panel, "W" * 64)
    await fits_every_screen(page)
    await is_readable(page)
    for card in ("features", "trend"):
        await table(panel, card)
    await fits_every_screen(page)


async def fits_every_screen(page: Page) -> None:
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        await until(lambda width=width: page.evaluate(f"document.documentElement.scrollWidth <= {width}"))
    await page.set_viewport_size({"width": 1280, "height": 800})
