"""The page at /docs: real Chromium, and the document of the real program."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiohttp import web
from aiohttp.test_utils import TestServer
from conftest import ROOT
from playwright.async_api import Page, expect

from browser.conftest import Visits
from statsd import openapi, pages, signin, sql
from statsd.operation import Operation, Parameter, answer
from statsd.web import ENVELOPES

Start = Callable[..., Awaitable[Any]]

DOCUMENT = json.loads((ROOT / "static" / "openapi.json").read_text())
OPERATIONS = [told for methods in DOCUMENT["paths"].values() for told in methods.values()]


async def opened(start: Start, visit: Visits, anchor: str = "", **context: Any) -> Page:
    page = await visit((await start()).make_url("/"), path=f"/docs{anchor}", **context)
    await expect(page.locator("[data-operation]")).to_have_count(len(OPERATIONS))
    return page


async def test_every_operation_is_on_the_page_and_in_its_contents(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    shown = await page.locator("[data-operation]").evaluate_all("all => all.map(one => one.id)")
    linked = await page.locator("[data-contents] a").evaluate_all("all => all.map(one => one.hash.slice(1))")
    assert sorted(shown) == sorted(told["operationId"] for told in OPERATIONS)
    assert linked == shown


async def test_operation_shows_its_parameters_its_body_and_its_answers(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    report = page.locator("#get_stats")
    await expect(report).to_contain_text("required")
    await expect(report).to_contain_text("integer, 1 to 100; 10 if not given")
    await expect(report.locator("[data-command]")).to_contain_text("/stats?site_id=shop")
    login = page.locator("#post_logins")
    for name in ("user_id", "region", "application/x-ndjson", "Idempotency-Key"):
        await expect(login).to_contain_text(name)
    await login.locator("summary", has_text="201").click()
    await expect(login.locator("details[open]")).to_contain_text('"region": "Estonia"')


def is_endless(told: dict[str, Any]) -> bool:
    return "text/event-stream" in told["responses"].get("200", {}).get("content", {})


async def test_command_of_a_stream_shows_it_as_it_comes(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    for told in OPERATIONS:
        command = page.locator(f"#{told['operationId']} [data-command]")
        if await command.count():
            assert (await command.text_content() or "").startswith("curl -N ") == is_endless(told)


async def test_commands_do_what_they_say(start: Start, visit: Visits, pool: Any) -> None:
    """Each in a real shell; what an example names may not exist here, and nobody is logged in."""
    page = await opened(start, visit)
    await pool.execute(sql.load("transfers")["seed"])
    await page.request.post("/register", data=signin.NEW | signin.KNOWN)
    for told in OPERATIONS:
        only_upgrades = "101" in told["responses"] and "200" not in told["responses"]
        if (
            only_upgrades
            or is_endless(told)
            or (told["operationId"].startswith(("post", "put")) and "requestBody" not in told)
        ):
            continue
        command = await page.locator(f"#{told['operationId']} [data-command]").text_content()
        quiet = f"{command} -s -o /dev/null -w '%{{http_code}}'"
        shell = await asyncio.create_subprocess_shell(quiet, stdout=subprocess.PIPE)
        status, _ = await shell.communicate()
        fine = {b"200", b"201", b"202", b"204", b"404"} | ({b"401"} if "security" in told else set())
        assert status in fine, f"{command}: {status!r}"
        assert status.decode() in told["responses"], command


async def test_address_of_an_operation_leads_to_it(start: Start, visit: Visits) -> None:
    page = await opened(start, visit, "#get_stats")
    await expect(page.locator("#get_stats h3")).to_be_in_viewport()


async def test_operation_is_reached_and_opened_by_keyboard(start: Start, visit: Visits) -> None:
    page = await opened(start, visit)
    await page.locator("[data-contents] a[href='#post_event']").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#post_event h3")).to_be_in_viewport()
    await page.locator("#post_event summary", has_text="202").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#post_event details[open]")).to_contain_text("jobId")


async def test_page_fits_a_phone_with_its_contents_folded(start: Start, visit: Visits) -> None:
    page = await opened(start, visit, viewport={"width": 375, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") == 375
    await expect(page.locator("[data-contents] a").first).to_be_hidden()


async def test_page_without_javascript_leads_to_the_document(start: Start, visit: Visits) -> None:
    page = await visit((await start()).make_url("/"), path="/docs", java_script_enabled=False)
    await page.locator("noscript a").click()
    await expect(page.locator("body")).to_contain_text('"openapi": "3.1.0"')


async def test_document_that_cannot_be_read_is_said_and_asked_for_again(start: Start, visit: Visits) -> None:
    visit.expected = "openapi.json|favicon|Failed to load resource"  # a page that is left stops loading its icon
    page = await opened(start, visit)
    await page.route("**/openapi.json", lambda route: route.abort())
    await page.reload()
    await expect(page.locator("[role=alert]")).to_contain_text("could not be read")
    await page.unroute("**/openapi.json")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("[data-operation]")).to_have_count(len(OPERATIONS))


@Operation(
    path={"unit": Parameter(Literal["day", "hour"], "how fine")},
    query={"most": Parameter(int, "how many", default=3)},
    answers={200: answer("a number after the other", media="text/event-stream", one="data: 1\n\n")},
)
async def ticks(request: web.Request) -> web.StreamResponse:
    """`GET /ticks/{unit}`: numbers, and then nothing more."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(int(request.query["most"])):
        await response.write(f"data: {request.match_info['unit']} {number}\n\n".encode())
    return response


async def test_stream_of_events_can_be_listened_to(visit: Visits) -> None:
    app = web.Application()
    app[ENVELOPES] = {}
    app.add_routes([web.get("/", pages.docs), web.get("/ticks/{unit}", ticks)])
    document = openapi.text(app)
    app.add_routes([route for route in pages.routes() if route.path not in ("/docs", "/openapi.json")])  # type: ignore[attr-defined]

    async def told(_: web.Request) -> web.Response:
        return web.json_response(text=document)

    app.add_routes([web.get("/openapi.json", told)])
    async with TestServer(app) as server:
        page = await visit(server.make_url("/"))
        operation = page.locator("#get_ticks_unit")
        await operation.locator("select").select_option("hour")
        await operation.locator("input").fill("7")
        await operation.locator("[data-listen]").click()
        await expect(operation.locator("li")).to_have_count(5)
        await expect(operation.locator("li").first).to_have_text("hour 6")
        await operation.locator("[data-listen]").click()
        await expect(operation.locator("[data-listen]")).to_have_text("Listen")
