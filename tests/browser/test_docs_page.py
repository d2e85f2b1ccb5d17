"""The page at /docs: Swagger UI in a real Chromium, under our Content-Security-Policy, on the real document."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from folders import ROOT
from playwright.async_api import Locator, Page, expect
from visits import Visits
from waiting import until

Start = Callable[..., Awaitable[Any]]


async def opened(start: Start, visit: Visits, anchor: str = "", **context: Any) -> Page:
    page = await visit((await start()).make_url("/"), path=f"/docs{anchor}", **context)
    await expect(page.locator(".opblock").first).to_be_visible()
    return page


async def document(page: Page) -> dict[str, Any]:
    loaded: dict[str, Any] = await (await page.request.get("/openapi.json")).json()
    return loaded


def operation(page: Page, method: str, path: str) -> Locator:
    """An operation's box, by its path with {names}."""
    return page.locator(f".opblock-{method}", has=page.locator(f'[data-path="{path}"]'))


async def shows(page: Page, paths: set[str]) -> bool:
    return set(await page.locator("[data-path]").evaluate_all("all => all.map(one => one.dataset.path)")) == paths


async def has_operations(page: Page, ids: set[str]) -> bool:
    return set(await page.locator(".opblock").evaluate_all("all => all.map(one => one.id)")) == ids


async def test_every_operation_is_listed_under_its_stream(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    told = await document(page)
    ids = {
        f"operations-{operation['tags'][0].replace(' ', '_')}-{operation['operationId']}"
        for operations in told["paths"].values()
        for operation in operations.values()
    }
    await until(partial(has_operations, page, ids))
    groups = await page.locator(".opblock-tag").evaluate_all("all => all.map(one => one.dataset.tag)")
    assert groups == [group["name"] for group in told["tags"]]


async def test_search_finds_operations_by_path_summary_and_group(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    paths = (await document(page))["paths"]
    (job,) = [path for path in paths if path.startswith("/jobs/")]
    for phrase, found in (
        ("/webhook", {"/webhook", "/webhook/{sender}", "/webhooks"}),
        (paths[job]["get"]["summary"].upper(), {job}),
        ("page views /stats", {"/stats"}),
        ("nothing of this kind", set()),
    ):
        await page.get_by_placeholder("Filter").fill(phrase)
        await until(partial(shows, page, found))


async def test_operation_is_tried_and_its_answer_shown(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    health = operation(page, "get", "/health")
    await health.locator("button").first.click()
    await health.get_by_role("button", name="Execute").click()
    await expect(health.locator(".live-responses-table .response-col_status").last).to_contain_text("200")


async def test_address_of_an_operation_opens_it(start: Start, visit: Visits) -> None:
    visit.expected = "escaping deep link whitespace"  # Swagger UI warns of every underscore in an operation's id
    page = await opened(start, visit)
    await operation(page, "get", "/health").locator("button").first.click()
    await page.reload()
    await expect(page.locator(".opblock.is-open")).to_have_count(1)
    await expect(operation(page, "get", "/health")).to_be_in_viewport()


async def test_address_of_a_section_leads_to_it(start: Start, visit: Visits) -> None:
    page = await opened(start, visit, "#signatures")
    await expect(page.locator("#signatures")).to_be_in_viewport()


async def test_snippets_for_pages_work_in_a_page(start: Start, visit: Visits) -> None:
    """They are pasted into the console: one tracks a click of whoever is logged in, one prints an update."""
    page = await opened(start, visit)
    await page.request.post(
        "/register", data={"username": "ada", "password": "correct horse", "age": 36, "gender": "Female"}
    )
    printed: list[str] = []
    page.on("console", lambda message: printed.append(message.text))
    for snippet in await page.locator("pre.js").all_text_contents():
        await page.evaluate(f"(async () => {{ {snippet} }})()")
    await until(lambda: printed)

    async def tracked() -> bool:
        clicks = await (await page.request.get("/usage")).json()
        return bool(clicks["totalClicks"] == 1)

    await until(tracked)


async def test_snippets_ask_the_server_that_the_page_came_from(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    snippets = "".join(await page.locator("pre").all_text_contents())
    assert page.url.removesuffix("/docs") in snippets
    assert "http://127.0.0.1:8080" not in snippets


async def test_stream_is_tried_as_one_answer_that_ends(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    stream = operation(page, "get", "/statistics/transfers/{unit}")
    await stream.locator("button").first.click()
    await stream.locator("select").first.select_option("day")
    await stream.get_by_role("button", name="Execute").click()
    await expect(stream.locator(".live-responses-table .response-col_status").last).to_contain_text("200")


async def test_operations_are_reached_found_and_opened_by_keyboard(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#viewer")).to_be_focused()
    search = page.get_by_placeholder("Filter")
    for _ in range(3):
        await page.keyboard.press("Tab")
        if await search.evaluate("input => input === document.activeElement"):
            break
    await page.keyboard.type("/webhooks")
    await expect(page.locator(".opblock")).to_have_count(1)
    button = page.locator(".opblock button[aria-expanded]").first
    for _ in range(5):
        await page.keyboard.press("Tab")
        if await button.evaluate("button => button === document.activeElement"):
            break
    await page.keyboard.press("Enter")
    await expect(page.locator(".opblock.is-open")).to_have_count(1)


async def test_page_fits_a_phone(start: Start, visit: Visits) -> None:
    page = await opened(start, visit, viewport={"width": 375, "height": 800})
    await operation(page, "get", "/events").locator("button").first.click()
    await expect(page.get_by_role("button", name="Execute")).to_be_visible()
    await until(partial(page.evaluate, "document.documentElement.scrollWidth === 375"))


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "static" / "docs").glob("*.html")))
async def test_pages_to_read_are_linked_and_fit_a_phone(start: Start, visit: Visits, name: str) -> None:
    page = await opened(start, visit, viewport={"width": 375, "height": 800})
    await page.locator(f"article a[href='/docs/{name}']").first.click()
    await page.wait_for_url(f"**/docs/{name}")
    await expect(page.locator("h1")).to_be_visible()
    await until(partial(page.evaluate, "document.documentElement.scrollWidth === 375"))
    await page.locator("header a[href='/docs']").click()
    await expect(page.locator(".opblock").first).to_be_visible()


async def test_page_follows_the_colours_of_the_system(start: Start, visit: Visits) -> None:
    page = await opened(start, visit, color_scheme="dark")
    await expect(page.locator("html")).to_have_class(re.compile("dark-mode"))
    await page.emulate_media(color_scheme="light")
    await expect(page.locator("html")).not_to_have_class(re.compile("dark-mode"))


async def test_page_without_javascript_leads_to_the_document(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), path="/docs", java_script_enabled=False)
    await page.locator("noscript a").click()
    await expect(page.locator("body")).to_contain_text('"openapi"')


async def test_document_that_cannot_be_read_is_said(start: Start, visit: Visits) -> None:
    visit.expected = "openapi.json|Failed to (load|fetch)|favicon"
    page = await opened(start, visit)
    await page.route("**/openapi.json", lambda route: route.abort())
    await page.reload()
    await expect(page.locator("#viewer")).to_contain_text("Failed to load API definition")
