"""The usage panel, as the tests of it use it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import asyncpg
from playwright.async_api import Locator, Page, Route, expect
from waiting import until

from statsd.ingest import aggregate

Start = Callable[..., Awaitable[Any]]
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

PASSWORD = "correct horse"
ANNA: dict[str, Any] = {"username": "anna", "password": PASSWORD, "age": 34, "gender": "Female"}
BOB: dict[str, Any] = {"username": "bob", "password": PASSWORD, "age": 16, "gender": "Male"}
REFUSED = r"status of 4\d\d"
"""What the browser says about a request that was refused."""
CUT_OFF = "ERR_ABORTED"
"""What it says about one that was under way when the page was left."""


def today() -> date:
    return datetime.now(UTC).date()


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


async def end(page: Page, panel: Locator, how: str, pool: Pool) -> None:
    if how == "logout":
        await panel.locator("[data-logout]").click()
    elif how == "revoked":
        await pool.execute("update users set token_version = token_version + 1")
        await panel.locator("[data-refresh]").evaluate("button => button.click()")  # the page may know already
    else:
        assert (await page.request.post("/register", data=BOB)).ok
        await page.evaluate("() => window.dispatchEvent(new Event('focus'))")


GRIN = "\U0001f600"
