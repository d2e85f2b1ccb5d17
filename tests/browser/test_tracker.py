"""The tracker, in pages of another origin: what is a view and what is none; no view is lost or sent elsewhere."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from folders import ROOT
from playwright.async_api import Page, async_playwright
from visits import ARGUMENTS, Visits, chromium
from waiting import until

from statsd.database.pool import POOL

Start = Callable[..., Awaitable[Any]]
HEAD = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">'
"""With an icon of its own: Chromium would ask for one at a moment of its choice, also of a server that is gone."""


class Site:
    """A site whose pages all have the same body. It counts what is posted to itself, and passes on `/stats/…`."""

    def __init__(self, client: Any, visit: Visits) -> None:
        self.client = client
        self.tracker = client.make_url("/t.js")
        self.tag = f'<script src="{self.tracker}" data-site="shop"></script>'
        self.body = self.tag
        self.address: Any = None
        self.asked: list[str] = []
        self.go = asyncio.Event()
        """Lets the page that asks for `/go` go on."""
        self._visit = visit
        visit.expected = r"^http://127\.0\.0\.1"  # the tracker is of another origin, and that is its point

    async def open(self, body: str = "", path: str = "/", **context: Any) -> Page:
        """Visit a page of the site, with the tag alone if nothing else is its body."""
        self.body = body or self.tag
        return await self._visit(self.address, path=path, **context)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if request.path == "/go":
            await self.go.wait()
        if request.path.startswith("/stats/"):
            return await self._pass_on(request)
        return web.Response(text=HEAD + self.body, content_type="text/html")

    async def _pass_on(self, request: web.Request) -> web.Response:
        url = self.client.make_url(request.path.removeprefix("/stats"))
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, url, data=await request.read()) as response,
        ):
            return web.Response(body=await response.read(), status=response.status, content_type=response.content_type)

    async def report(self, day: str = "") -> dict[str, Any]:
        return await (await self.client.get(f"/stats?site_id=shop{day and f'&date={day}'}")).json()

    async def viewed(self, page: Page) -> list[str]:
        """The paths that were viewed today, one for each view; known once a later event of the page is stored."""
        await page.evaluate("statsd('end', '/end')")

        async def ended() -> Any:
            return await self.client.app[POOL].fetchval("select count(*) from page_events where event_type = 'end'")

        await until(ended)
        return await self._paths()

    async def counted(self, *paths: str) -> None:
        """Wait until these paths have a view each."""

        async def are() -> bool:
            return await self._paths() == [*paths]

        await until(are)

    async def _paths(self) -> list[str]:
        report = await self.report()
        paths = [row["path"] for row in report["top_paths"] for _ in range(row["views"])]
        assert len(paths) == report["total_views"]
        return sorted(paths)


@pytest.fixture
async def site(start: Start, visit: Visits) -> AsyncIterator[Site]:
    site = Site(await start(), visit)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    async with TestServer(app) as server:
        site.address = server.make_url("/")
        yield site


async def test_two_tags_are_one_tracker(site: Site) -> None:
    page = await site.open(site.tag * 2)
    await page.evaluate("history.pushState({}, '', '/cart')")
    assert await site.viewed(page) == ["/", "/cart"]


async def test_tag_without_its_site_does_not_stop_the_next_one(site: Site, visit: Visits) -> None:
    """As tag managers leave it behind, which drop attributes."""
    visit.expected = rf"{visit.expected}|data-site is missing"
    page = await site.open(site.tag.replace("data-site", "data-lost") + site.tag)
    assert await site.viewed(page) == ["/"]


async def test_script_that_runs_again_at_each_visit_counts_each_once(site: Site) -> None:
    """As Turbo and pjax have it: they evaluate the scripts of the new body."""
    page = await site.open()
    for path in ("/a", "/b", "/c"):
        await page.evaluate(
            """([path, src]) => new Promise(done => {
              history.pushState({}, "", path)
              const script = document.createElement("script")
              document.body.append(Object.assign(script, { src, onload: done }))
              script.dataset.site = "shop"
            })""",
            [path, str(site.tracker)],
        )
    assert await site.viewed(page) == ["/", "/a", "/b", "/c"]


@pytest.mark.parametrize("mark", ["#", "#!"])
async def test_route_in_the_hash_is_a_view_and_an_anchor_is_none(site: Site, mark: str) -> None:
    page = await site.open(path=f"/{mark}/")
    for route in (f"{mark}/about", f"{mark}/about?tab=2", "#section2", f"{mark}/contact"):
        await page.evaluate("hash => new Promise(done => { onhashchange = done; location.hash = hash })", route)
    # From the anchor, which is the page itself, to the next route.
    assert await site.viewed(page) == sorted(["/", f"/{mark}/about", "/", f"/{mark}/contact"])


async def test_anchors_queries_and_the_same_path_are_no_views(site: Site) -> None:
    page = await site.open('<a href="#part">part</a><p id="part"></p>' + site.tag)
    await page.click("a")
    await page.evaluate("for (let i = 0; i < 90; i++) history.replaceState({}, '', `?i=${i}`)")
    await page.evaluate("history.pushState({}, '', '/')")
    assert await site.viewed(page) == ["/"]


async def test_every_way_to_navigate_is_one_view(site: Site) -> None:
    """Also the Navigation API, where no pushState is called."""
    page = await site.open('<a href="/link">link</a>' + site.tag)
    await page.evaluate("history.pushState({}, '', '/push')")
    await page.evaluate("history.pushState({}, '', new URL('/url', location))")
    await page.evaluate("history.replaceState({}, '', '/replace')")
    await page.evaluate("new Promise(done => { onpopstate = done; history.back() })")
    await page.evaluate("navigation.addEventListener('navigate', event => event.canIntercept && event.intercept())")
    await page.evaluate("navigation.navigate('/navigate').finished.then(() => {})")
    await page.click("a")
    await page.evaluate("navigation.back().finished.then(() => {})")
    expected = ["/", "/push", "/url", "/replace", "/push", "/navigate", "/link", "/navigate"]
    assert await site.viewed(page) == sorted(expected)


async def test_page_that_comes_back_from_the_cache_is_viewed_again(site: Site) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
        )
        page = await browser.new_page(base_url=str(site.address))
        await page.add_init_script("addEventListener('pageshow', event => { window.persisted = event.persisted })")
        await page.goto("/bf1")
        await page.goto("/bf2")
        await page.go_back(wait_until="commit")
        assert await page.evaluate("persisted") is True
        assert await site.viewed(page) == ["/bf1", "/bf1", "/bf2"]
        await browser.close()


async def test_page_that_is_rendered_ahead_counts_once_it_is_shown(site: Site, tmp_path: Path) -> None:
    """Without Playwright, under which Chromium renders nothing ahead."""
    rules = '{"prerender": [{"urls": ["/next"], "eagerness": "immediate"}]}'
    steps = """
      if (document.prerendering) setTimeout(() => fetch("/ahead")) // after the tracker has had its turn
      else if (location.pathname == "/") fetch("/go").then(() => { location.href = "/next" })
    """
    site.body = f'{site.tag}<script>{steps}</script><script type="speculationrules">{rules}</script>'
    arguments = ("--headless", "--remote-debugging-port=0", f"--user-data-dir={tmp_path}", str(site.address))
    browser = await asyncio.create_subprocess_exec(chromium(), *ARGUMENTS, *arguments, stderr=DEVNULL)
    try:
        await until(lambda: "GET /ahead" in site.asked)
        await site.counted("/")
        shown = datetime.now(UTC)
        site.go.set()
        await site.counted("/", "/next")
        stored = "select created_at from page_events where path = '/next'"
        assert await site.client.app[POOL].fetchval(stored) > shown
    finally:
        browser.terminate()
        await browser.wait()


@pytest.mark.parametrize(
    "script",
    [
        "Date.prototype.toJSON = function () { return this.toLocaleString('en-US') }",
        "Date.prototype.toJSON = String.prototype.toJSON = Object.prototype.toJSON = () => 'mine'",
        "navigator.sendBeacon = () => { throw new Error('blocked') }",
        "navigator.sendBeacon = () => false",
        "navigator.sendBeacon = undefined",
        "Object.freeze(history)",
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied') } })",
    ],
)
async def test_what_a_page_changes_loses_no_view(site: Site, script: str) -> None:
    page = await site.open(f"<script>{script}</script>{site.tag}")
    await page.evaluate("history.pushState({}, '', '/\"quo\\\\ted')")
    assert await site.viewed(page) == ["/", "/%22quo/ted"]


async def test_event_of_the_page_keeps_every_character(site: Site) -> None:
    page = await site.open()
    await page.evaluate("statsd('say \"hi\" \\\\ 工具', '/a\"\\\\é')")

    async def stored() -> Any:
        return await site.client.app[POOL].fetchrow("select event_type, path from page_events where path like '/a%'")

    assert (await until(stored))["event_type"] == 'say "hi" \\ 工具'


async def test_tag_with_integrity_is_not_blocked(site: Site) -> None:
    digest = base64.b64encode(hashlib.sha384((ROOT / "static/t.js").read_bytes()).digest()).decode()
    tag = f'<script defer crossorigin integrity="sha384-{digest}" src="{site.tracker}" data-site="shop"></script>'
    assert await site.viewed(await site.open(tag)) == ["/"]


async def test_events_go_beside_the_script(site: Site) -> None:
    """Behind a proxy that gives the program a prefix of the site's own address."""
    page = await site.open('<script defer src="/stats/t.js" data-site="shop"></script>')
    assert await site.viewed(page) == ["/"]
    assert [line for line in site.asked if line.startswith("POST")] == ["POST /stats/event"] * 2


@pytest.mark.parametrize("names", [["currentScript"], ["addEventListener", "prerendering", "location"]])
async def test_elements_that_take_the_names_of_the_document_change_nothing(site: Site, names: list[str]) -> None:
    """As in what a site's visitors write: the view, with the visitor's id, would go where such an image is from."""
    images = "".join(f'<img name={name} src="{site.address}x.png" data-site="stolen">' for name in names)
    page = await site.open(images + site.tag)
    assert await site.viewed(page) == ["/"]
    assert "POST /event" not in site.asked


async def test_page_that_is_no_web_page_sends_nothing(site: Site, visit: Visits, tmp_path: Path) -> None:
    (tmp_path / "saved.html").write_text(HEAD + site.tag)
    page = await site.open("no tracker")
    visit.expected = "."
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    await page.goto(f"file://{tmp_path}/saved.html")
    await page.evaluate("new Promise(done => setTimeout(done))")
    assert sent == [f"GET file://{tmp_path}/saved.html", f"GET {site.tracker}"]
    assert await page.evaluate("typeof statsd") == "undefined"


async def test_visitor_whose_clock_is_wrong_is_counted_today(site: Site) -> None:
    for year in ("2031", "2001"):
        page = await site.open("no tracker", path="/blank")
        await page.clock.set_fixed_time(f"{year}-05-01T12:00:00Z")
        site.body = site.tag
        await page.goto(f"/{year}")
    assert await site.viewed(page) == ["/2001", "/2031"]
    assert (await site.report("2031-05-01"))["total_views"] == 0
    assert datetime.now(UTC).date().isoformat() == (await site.report())["date"]


async def test_privacy_control_is_respected_where_the_tag_says_so(site: Site) -> None:
    control = "<script>Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })</script>"
    page = await site.open(control + site.tag.replace("data-site", "data-respect-dnt data-site"))
    await page.evaluate("history.pushState({}, '', '/cart'); statsd('signup')")
    assert await page.evaluate("localStorage.length") == 0
    await page.evaluate("new Promise(done => setTimeout(done))")
    page = await site.open(control + site.tag, path="/without")
    assert await site.viewed(page) == ["/without"]
