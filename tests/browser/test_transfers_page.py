"""The transfers panel: real Chromium, the real program, a real database."""

from __future__ import annotations

import asyncio
import re
import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
from playwright.async_api import Locator, Page, Route, expect
from screen import fits_every_screen, is_readable
from transfers_panel import (
    Start,
    a_bike,
    choose,
    draws,
    exported,
    look_at,
    move,
    offered,
    opened,
    post,
    rows,
    said,
    shows,
)
from visits import Visits
from waiting import until

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


# Changing things


async def test_what_is_made_and_moved_here_is_on_every_open_page(start: Start, visit: Visits) -> None:
    """From nothing to an item that has changed hands, with the forms alone; a second browser looks on."""
    client = await start()
    page, other = await visit(client.make_url("/")), await visit(client.make_url("/"), path="/#transfers/minute")
    panel, seen = await opened(page), other.locator("[data-panel=transfers]")
    for one in (panel, seen):
        await expect(one).to_have_attribute("data-state", "empty")
    await panel.locator("[data-new] summary").click()
    base, item, owner = [panel.locator(f"[data-form={form}]") for form in ("base-item", "item", "owner")]
    await base.locator("input").fill("a bike")
    await base.locator("button[type=submit]").click()
    await said(base, "Added: a bike")
    for name in ("Ada", "Grace"):
        await owner.locator("input").fill(name)
        await owner.locator("input").press("Enter")
        await said(owner, f"Added: {name}")
    await item.locator("button[type=submit]").click()  # of the base item just made
    await said(item, "Created: a bike")
    for one in (panel, seen):
        await shows(one, "items", 1)
        await shows(one, "owners", 2)
        await expect(rows(one, "items")).to_contain_text(["a bike"])
    await draws(seen, "creations", "1 in the last 60 minutes")
    await draws(panel, "creations", "1 in the last 24 hours")
    await page.keyboard.press("Escape")
    transfer = panel.locator("[data-form=transfer]")  # of the item just made
    for number, name in enumerate(("Ada", "Grace"), 1):
        await choose(transfer, "owner", name)
        await transfer.locator("button[type=submit]").click()
        await said(transfer, f"Transferred to {name}")
        for one in (panel, seen):
            await shows(one, "transfers", number)
            await expect(rows(one, "items").locator("td").first).to_have_text(name)
            await expect(rows(one, "newest").first).to_contain_text(name)
        await draws(seen, "moves", f"{number} in the last 60 minutes")
        await draws(panel, "moves", f"{number} in the last 24 hours")
    await expect(rows(panel, "item").locator("th")).to_have_text(["Grace", "Ada"])


async def test_last_change_of_a_burst_is_shown(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    item, *owners = await a_bike(page)
    panel = await opened(page)
    for number in range(40):
        await move(page, item, owners[number % 2])
    await shows(panel, "transfers", 40)
    await draws(panel, "moves", "40 in the last 24 hours")
    await expect(rows(panel, "items").locator("td").first).to_have_text("Grace")


async def test_present_owner_is_not_offered(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    item, ada, grace = await a_bike(page)
    card = await look_at(await opened(page))
    assert await offered(card) == ["Ada", "Grace"]
    for to, left in ((ada, ["Grace"]), (grace, ["Ada"])):
        await move(page, item, to)
        await until(partial(_offers, card, left))


async def _offers(card: Locator, names: list[str]) -> bool:
    return await offered(card) == names


async def test_refused_transfer_says_why_in_the_words_of_the_server(start: Start, visit: Visits) -> None:
    """Somebody else was faster, and the page has not drawn that yet: its time stands still."""
    page = await visit((await start()).make_url("/"), clock=True)
    item, _, grace = await a_bike(page)
    card = await look_at(await opened(page))
    form = card.locator("[data-form=transfer]")
    await choose(form, "owner", "Grace")
    await page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=10))
    await move(page, item, grace)
    visit.expected = "status of 409"
    await form.evaluate("form => form.requestSubmit()")
    await said(form, "Refused: the item belongs to this owner already")
    await page.clock.resume()
    await until(lambda: _offers(card, ["Ada"]))


async def test_refused_base_item_says_why_and_stays_in_its_field(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await opened(page)
    await panel.locator("[data-new] summary").click()
    form = panel.locator("[data-form=base-item]")
    visit.expected = "status of 400"
    await form.locator("input").fill("   ")
    await form.locator("button[type=submit]").click()
    await said(form, "Refused: description")
    await expect(form.locator("input")).to_have_value("   ")


async def test_form_sent_again_after_a_lost_answer_counts_once(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await a_bike(page)
    panel = await opened(page)
    lost = 0

    async def lose(route: Route) -> None:
        nonlocal lost
        lost += 1
        if lost == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/owners", lose)
    await panel.locator("[data-new] summary").click()
    form = panel.locator("[data-form=owner]")
    await form.locator("input").fill("Emmy")
    visit.expected = "ERR_FAILED"
    for words in ("No answer", "Added: Emmy"):
        await form.locator("button[type=submit]").click()
        await said(form, words)
    await shows(panel, "owners", 3)
    assert lost == 2


# Items


async def test_history_has_every_owner_and_older_ones_on_demand(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    item, *owners = await a_bike(page)
    for number in range(25):
        await move(page, item, owners[number % 2])
    panel = await opened(page)
    card = await look_at(panel)
    await expect(card.locator("[data-fact=Owner]")).to_have_text("Ada")
    await expect(card.locator("[data-fact=Item]")).to_have_text(item)
    await expect(rows(panel, "item")).to_have_count(20)
    await card.locator("[data-longer]").click()
    await expect(rows(panel, "item")).to_have_count(25)
    await expect(card.locator("[data-longer]")).to_be_hidden()
    await move(page, item, owners[1])
    await expect(rows(panel, "item").locator("th")).to_have_text(["Grace", "Ada"] * 13)
    headings, *lines = await exported(page, "item", "history")
    assert headings == ["Owner", "Since (UTC)", "Owner id"]
    assert [line[2] for line in lines] == [owners[1], owners[0]] * 13


async def test_older_items_are_on_pages_that_stay_fresh(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    oldest, ada, _ = await a_bike(page)
    base = await post(page, "/base-items", description="a drill")
    for _ in range(60):
        await post(page, "/items", base_item_id=base)
    panel = await opened(page)
    await expect(rows(panel, "items")).to_have_count(50)
    older, newer = panel.locator("[data-older]"), panel.locator("[data-newer]")
    await expect(newer).to_have_attribute("aria-disabled", "true")
    await older.click()
    await expect(rows(panel, "items")).to_have_count(11)
    await expect(older).to_have_attribute("aria-disabled", "true")
    last = rows(panel, "items").last
    await expect(last.locator("th")).to_have_text("a bike")
    await move(page, oldest, ada)
    await expect(last.locator("td").first).to_have_text("Ada")
    await last.locator("[data-pick]").click()
    await expect(panel.locator("[data-fact=Item]")).to_have_text(oldest)
    _, *lines = await exported(page, "items")
    assert len(lines) == 11
    assert lines[-1][4] == oldest
    await newer.click()
    await expect(rows(panel, "items")).to_have_count(50)
    await expect(panel.locator("tr[data-composed]")).to_have_count(0)  # the names of items are names


async def test_any_of_many_owners_can_be_chosen(
    start: Start, visit: Visits, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    page = await visit((await start()).make_url("/"))
    await a_bike(page)
    await pool.execute("insert into owners (name) select 'Owner ' || n from generate_series(1, 150) as n")
    in_order = sorted(["Ada", "Grace", *(f"Owner {n}" for n in range(1, 151))], key=_by_number)
    panel = await opened(page)
    await shows(panel, "owners", 152)
    card = await look_at(panel)
    assert len(await offered(card)) == 100
    await card.get_by_role("button", name="Older: Transfer to").click()
    await until(lambda: _offers(card, in_order))
    form = card.locator("[data-form=transfer]")
    await choose(form, "owner", "Ada")
    await form.locator("button[type=submit]").click()
    await said(form, "Transferred to Ada")
    await expect(card.locator("[data-fact=Owner]")).to_have_text("Ada")


def _by_number(name: str) -> tuple[str, int]:
    word, _, number = name.partition(" ")
    return word, int(number or 0)


async def test_hostile_description_and_name_are_text_and_nothing_else(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    base = await post(page, "/base-items", description=HOSTILE)
    item = await post(page, "/items", base_item_id=base)
    await move(page, item, await post(page, "/owners", name=HOSTILE))
    await post(page, "/owners", name=f"2 {HOSTILE}")
    panel = await opened(page)
    card = await look_at(panel)
    for name in ("items", "newest"):
        await expect(rows(panel, name).locator("th")).to_have_text(HOSTILE)
        await expect(rows(panel, name).locator("td").first).to_have_text(HOSTILE)
    await expect(card.locator("[data-fact=Owner]")).to_have_text(HOSTILE)
    await expect(rows(panel, "item").locator("th")).to_have_text(HOSTILE)
    assert await offered(card) == [f"2 {HOSTILE}"]
    await panel.locator("[data-new] summary").click()
    await expect(panel.locator("[data-select=base-item] option").last).to_have_text(HOSTILE)
    assert await page.locator("main :is(img, script)").count() == 0


# Beginning, keyboard, screens


async def test_copied_command_of_the_guide_stores_a_base_item(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), permissions=["clipboard-read", "clipboard-write"])
    panel = await opened(page)
    await expect(panel.locator("[data-guide]")).to_contain_text("python -m statsd seed --transfers")
    await run_copied(page, panel.get_by_role("button", name="Copy: A base item of your own"))
    await expect(panel.locator("[data-guide]")).to_be_hidden()
    await shows(panel, "items", 0)
    bare = panel.locator("[data-card=items] [data-bare]")
    await expect(bare).to_have_attribute("data-bare", re.compile("No items yet"))


async def run_copied(page: Page, copy: Locator) -> None:
    await copy.click()
    await expect(copy).to_have_text("Copied")
    command = await page.evaluate("() => navigator.clipboard.readText()")
    done = await asyncio.to_thread(subprocess.run, ["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_copied_commands_create_and_transfer_what_is_there(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), permissions=["clipboard-read", "clipboard-write"])
    await a_bike(page)
    panel = await opened(page)
    await shows(panel, "items", 1)
    await run_copied(page, panel.get_by_role("button", name="Copy: Create an item"))
    await shows(panel, "items", 2)
    await run_copied(page, panel.get_by_role("button", name="Copy: Transfer it"))
    await shows(panel, "transfers", 1)


async def test_keyboard_alone_transfers_an_item(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    await a_bike(page)
    panel = await opened(page)
    await rows(panel, "items").locator("[data-pick]").focus()
    await page.keyboard.press("Enter")
    select = panel.locator("[data-select=owner]")
    await expect(select).to_be_visible()
    await select.focus()
    await page.keyboard.type("Gr")
    await page.keyboard.press("Tab")
    await expect(panel.locator("[data-form=transfer] button[type=submit]")).to_be_focused()
    await page.keyboard.press("Space")
    await shows(panel, "transfers", 1)
    await expect(panel.locator("[data-fact=Owner]")).to_have_text("Grace")


async def test_screen_reader_hears_both_numbers_in_a_sentence(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), clock=True)
    item, ada, _ = await a_bike(page)
    await move(page, item, ada)
    panel = await opened(page)
    await shows(panel, "transfers", 1)
    await page.clock.fast_forward(15_000)
    await expect(page.locator("[data-announcer]")).to_have_text("Items: 1, transfers: 1; this hour 1 made and 1 moved.")


async def test_nothing_is_wider_than_the_screen_and_all_is_readable(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"))
    panel = await opened(page)
    await expect(panel).to_have_attribute("data-state", "empty")
    await panel.locator("[data-new] summary").click()
    await fits_every_screen(page)
    base = await post(page, "/base-items", description="W" * 500)
    item = await post(page, "/items", base_item_id=base)
    await move(page, item, await post(page, "/owners", name="W" * 200))
    await post(page, "/owners", name="M" * 200)
    await look_at(panel)
    await expect(rows(panel, "item")).to_have_count(1)
    await fits_every_screen(page)
    await panel.locator("[data-new] summary").click()
    await fits_every_screen(page)
    await is_readable(page)
