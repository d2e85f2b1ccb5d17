"""Registration on the page, where it is closed and with an invitation; and logging in behind TLS."""

from __future__ import annotations

from playwright.async_api import expect
from usage_panel import CUT_OFF, PASSWORD, REFUSED, Pool, Start, cookies, enter, fill, form
from visits import Visits

from statsd.accounts import invitations


async def test_closed_registration_is_said_and_has_no_form(start: Start, visit: Visits) -> None:
    page = await visit((await start(registration="closed")).make_url("/"), path="/#usage/register")
    await expect(form(page, "login")).to_contain_text("Registration is closed: ask an admin of this server")
    await expect(form(page, "login").get_by_role("link", name="Create one")).to_have_count(0)
    await expect(form(page, "register")).to_be_hidden()


async def test_invitation_opens_the_form_once(start: Start, visit: Visits, pool: Pool) -> None:
    visit.expected = REFUSED
    url = (await start(registration="closed")).make_url("/")
    secret, _ = await invitations.make(pool, "viewer", 7)
    page = await visit(url, path=f"/#usage/register/{secret}")
    view = form(page, "register")
    await fill(view, username="anna", password=PASSWORD, age="34", gender="Female")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-panel=usage] [data-username]")).to_have_text("anna")
    assert secret not in page.url
    await page.request.post("/logout")
    await page.reload()
    await page.goto(f"/#usage/register/{secret}")
    await fill(view, username="bob", password=PASSWORD, age="16", gender="Male")
    await page.keyboard.press("Enter")
    await expect(view.locator("[data-fault]")).to_contain_text("this invitation was used")


async def test_invitation_lets_in_where_reading_needs_a_login(start: Start, visit: Visits, pool: Pool) -> None:
    visit.expected = CUT_OFF
    url = (await start(require_login=True)).make_url("/")
    secret, _ = await invitations.make(pool, "viewer", 7)
    page = await visit(url, path="/#logins")
    await expect(form(page, "login")).to_contain_text("Registration is closed")
    await page.goto(f"{url}#usage/register/{secret}")
    await fill(form(page, "register"), username="anna", password=PASSWORD, age="34", gender="Female")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")
    assert secret not in page.url


async def test_session_behind_tls_is_known_by_its_other_cookie(start: Start, visit: Visits) -> None:
    """Browsers take Secure cookies from this machine also without TLS."""
    visit.expected = CUT_OFF
    page = await visit((await start(public_url="https://stats.example.org")).make_url("/"))
    panel = await enter(page)
    assert {"__Host-auth_token", "__Host-user_data"} <= (await cookies(page)).keys()
    await page.reload()
    await expect(panel.locator("[data-username]")).to_have_text("anna")
    await panel.get_by_role("button", name="Log out").click()
    await expect(form(page, "login")).to_be_visible()
    assert not {"__Host-auth_token", "__Host-user_data"} & (await cookies(page)).keys()
