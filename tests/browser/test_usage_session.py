"""Logging in to the usage panel, and the end of a session: real Chromium, the real program, a real database."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.async_api import Locator, Page, expect
from screen import WIDTHS, fits_every_screen
from usage_panel import (
    ANNA,
    BOB,
    CUT_OFF,
    GRIN,
    PASSWORD,
    REFUSED,
    Pool,
    Start,
    chips,
    cookies,
    end,
    enter,
    field,
    fill,
    form,
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
from visits import AWAY, Visits
from waiting import until

ENDED = "Your session has ended"


# Logging in


async def test_who_registers_is_brought_to_what_they_wanted_to_see(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("age_filter", today(), 20, "Male"))
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
    await expect(view.locator("[data-fault]")).to_have_text("The server is unavailable. It does not answer.")
    await expect(page.locator("[data-panel=usage] [data-message]")).to_contain_text("The server is unavailable")


# The end of a session


async def test_logout_leaves_nothing_readable(start: Start, visit: Visits, pool: Pool) -> None:
    await store(pool, ("age_filter", today(), 20, "Male"))
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
    page = await visit(client.make_url("/"), path="/docs/streams.html")
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


CROWD = [f"crowd_{number:03}" for number in range(100)]
"""As many features as the topic names: of one that is used less, only the analytics tell."""
RARE = "quokka"
ENDS = ("logout", "revoked", "somebody else")
BLANK = "(panel) => panel.querySelector('.numbers').outerHTML"


async def shows_what_is_rare(page: Page, pool: Pool) -> Locator:
    """Log in, filter, and pick the rare feature; its name never comes into the page but from the server."""
    await store(pool, *[(name, today(), 20, "Male") for name in CROWD * 3], *[(RARE, today(), 50, "Other")] * 2)
    panel = await enter(page)
    await field(panel, "gender").select_option("Other")
    await expect(handles(panel)).to_have_count(1)
    await shows(panel, "clicks", 2)
    await handles(panel).evaluate_all("all => all[0].click()")
    await shows(panel, "picked", 2)
    return panel


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
    await store(pool, ("some", today(), 20, "Male"))
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
    await store(pool, ("some", today(), 20, "Male"))
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
