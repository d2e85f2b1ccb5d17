"""The page where reading needs a login, and behind a share link: real Chromium, the real program, a real database."""

from __future__ import annotations

import re
from typing import Any

import pytest
from callers import PASSWORD, make_link, make_user
from playwright.async_api import Page, expect
from screen import fits_every_screen
from usage_panel import cookies, fill, form
from visits import Visits

from statsd.accounts.access import HOLDS
from statsd.accounts.keys import VIEWS, Keys

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
LOCKED = r"status of 401|WebSocket connection to|ERR_ABORTED"
"""What the browser says where the server lets nobody in."""


async def logged_in(page: Page, name: str = "vera") -> None:
    await fill(form(page, "login"), username=name, password=PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")


async def test_login_stands_in_place_of_the_page_and_opens_it(start: Any, visit: Visits, pool: Any) -> None:
    client = await start(require_login=True)
    await make_user(pool, "vera", "viewer")
    page = await visit(client.make_url("/"), path="/#logins")
    await expect(form(page, "login").locator("[name=username]")).to_be_focused()
    await expect(page.locator("[data-panel], [data-tab]")).to_have_count(0)
    await expect(page.locator("[data-connection-label]")).to_be_hidden()
    await fits_every_screen(page)
    await logged_in(page)
    assert (await client.post("/logins", json=LOGIN)).status == 201
    panel = page.locator("[data-panel=logins]")
    await expect(panel.locator("[data-tile=logins] [data-value]")).to_have_attribute("data-value", "1")
    await fits_every_screen(page)
    await page.reload()
    await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")
    await expect(page.locator("[data-username]")).to_have_text("vera")
    for view in VIEWS:
        await page.locator(f"[data-tab={view}]").click()
        await expect(page.locator(f"[data-panel={view}]")).not_to_have_attribute("data-state", "loading")


async def test_logout_closes_the_page_and_leaves_no_number(start: Any, visit: Visits, pool: Any) -> None:
    client = await start(require_login=True)
    await make_user(pool, "vera", "viewer")
    page = await visit(client.make_url("/"))
    await logged_in(page)
    visit.expected = LOCKED
    await page.locator("[data-logout]").click()
    await expect(form(page, "login")).to_be_visible()
    await expect(page.locator("[data-panel]")).to_have_count(0)
    assert not {"auth_token", "user_data"} & set(await cookies(page))
    await page.reload()
    await expect(form(page, "login")).to_be_visible()


async def test_session_that_ends_elsewhere_closes_the_page_and_says_why(start: Any, visit: Visits, pool: Any) -> None:
    client = await start(require_login=True)
    await make_user(pool, "vera", "viewer")
    page = await visit(client.make_url("/"))
    await logged_in(page)
    visit.expected = LOCKED
    await pool.execute("update users set token_version = token_version + 1")
    client.app[HOLDS].revoked()
    await expect(form(page, "login").locator("[data-ended]")).to_contain_text("Your session has ended")
    await logged_in(page)


async def test_page_that_was_not_marked_finds_out_and_shows_the_login(start: Any, visit: Visits, pool: Any) -> None:
    """A proxy may serve the page's file itself."""
    client = await start(require_login=True)
    await make_user(pool, "vera", "viewer")
    visit.expected = LOCKED
    page = await visit(client.make_url("/"), path="/livez")

    async def unmarked(route: Any) -> None:
        response = await route.fetch()
        await route.fulfill(response=response, body=(await response.text()).replace(' data-locked=""', ""))

    await page.route(re.compile(r"/$"), unmarked)
    await page.goto("/")
    await expect(form(page, "login").locator("[name=username]")).to_be_focused()
    await page.unroute_all()
    await logged_in(page)


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("view", VIEWS)
async def test_share_link_shows_its_panel_alone(start: Any, visit: Visits, pool: Any, view: str, locked: bool) -> None:
    client = await start(require_login=locked)
    secret = await make_link(pool, view, 1)
    page = await visit(client.make_url("/"), path=f"/share/{secret}")
    panel = page.locator(f"[data-panel={view}]")
    await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")
    await expect(panel).to_have_attribute("data-state", re.compile("empty|ready"))
    await expect(page.locator("[data-panel]")).to_have_count(1)
    await expect(
        page.locator("[data-tab]:visible, [data-form]:visible, [data-who]:visible, [data-copy]:visible")
    ).to_have_count(0)
    assert await cookies(page) == {}
    assert await page.evaluate("() => localStorage.length + sessionStorage.length") == 0


async def test_share_link_ends_on_screen_when_it_is_revoked(start: Any, visit: Visits, pool: Any) -> None:
    client = await start(require_login=True)
    secret = await make_link(pool, "logins")
    page = await visit(client.make_url("/"), path=f"/share/{secret}")
    await expect(page.locator("[data-panel=logins]")).to_be_visible()
    await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")
    visit.expected = LOCKED + "|status of 404"
    await Keys(pool, is_link=True).revoke("link logins")
    client.app[HOLDS].revoked()
    await expect(page.locator("[data-ended-link]")).to_contain_text("This link has ended")
    await expect(page.locator("[data-panel]")).to_have_count(0)
    await page.reload()
    await expect(page.locator("[data-ended-link]")).to_be_visible()
    await expect(form(page, "login")).to_have_count(0)
    await fits_every_screen(page)


async def test_page_of_a_share_link_is_told_to_nobody(start: Any, pool: Any) -> None:
    client = await start()
    async with client.get(f"/share/{await make_link(pool, 'logins')}") as response:
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in response.headers["X-Robots-Tag"]
        assert response.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in response.headers
    assert (await client.get("/share/shl_" + "0" * 48)).status == 404
