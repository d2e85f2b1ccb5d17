"""`EventSource` in a real browser, over restarts of the server: no gap, and nothing twice."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from items import ADA, BIKE, GRACE, ITEM, put
from nginx import Nginx
from ports import free_port
from program import Program
from visits import Visits
from waiting import until

from statsd.database import sql
from statsd.live import places, sse

AWAY = r"net::ERR_|EventSource|WebSocket connection to|status of 50[23]"
"""What the browser says about a server that is not there."""

LISTEN = """
unit => {
    window.seen = [];
    window.opened = 0;
    const source = new EventSource(`/statistics/transfers/${unit}`);
    source.onopen = () => window.opened++;
    source.onmessage = (event) => window.seen.push({
        id: event.lastEventId,
        count: JSON.parse(event.data).reduce((sum, bin) => sum + bin.count, 0),
    });
}
"""


@pytest.fixture(params=[False, True], ids=["direct", "behind nginx"])
def proxied(request: pytest.FixtureRequest) -> bool:
    """Whether the page reaches its server through static/nginx.conf."""
    return bool(request.param)


@pytest.fixture
async def front(proxied: bool, tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Return the address under which pages reach a server."""
    started: list[Nginx] = []

    async def begin(address: str) -> str:
        if not proxied:
            return address
        started.append(Nginx(tmp_path, address.removeprefix("http://")))
        await until(started[0].accepts)
        return f"http://127.0.0.1:{started[0].port}"

    yield begin
    for one in started:
        one.stop()


async def test_reconnecting_stream_has_neither_a_gap_nor_a_repeat(
    run: Callable[..., Program], front: Any, proxied: bool, visit: Visits, database_url: str
) -> None:
    """One server restarts, cleanly and killed; what another one stores meanwhile is there afterwards, once."""
    assert await run("seed", "--transfers", DATABASE_URL=database_url).ended() == 0
    port = free_port()

    def begin() -> Program:
        return run("serve", "--port", str(port), "--data-dir", "data-one", DATABASE_URL=database_url)

    server, other = begin(), run("serve", "--port", "0", "--data-dir", "data-two", DATABASE_URL=database_url)
    visit.expected = AWAY
    page = await visit(await front(await server.address()))
    await page.evaluate(LISTEN, "hour")

    async def counts() -> list[int]:
        return [one["count"] for one in await page.evaluate("seen")]

    async def opened(more: int) -> bool:
        return await page.evaluate("opened") >= more

    async def answered_meanwhile() -> None:
        """Until nginx has told the page to come back, which opens and ends; there is nobody else to open it."""
        already = await page.evaluate("opened")
        if proxied:
            await until(lambda: opened(already + 1))

    async def is_back() -> None:
        already = await page.evaluate("opened")
        await server.address()
        await until(lambda: opened(already + 1))

    async with aiohttp.ClientSession(await other.address()) as session:

        async def seen(*expected: int) -> None:
            await until(lambda: _equal(counts, [*expected]))

        await seen(0)
        await put(session, ITEM, ADA, 204)
        await seen(0, 1)
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
        await put(session, ITEM, GRACE, 204)
        await answered_meanwhile()
        server = begin()
        await seen(0, 1, 2)

        server.process.kill()
        await server.ended()
        await answered_meanwhile()
        server = begin()
        await is_back()
        await put(session, ITEM, ADA, 204)  # nothing changed meanwhile: nothing came when it was back
        await seen(0, 1, 2, 3)
    ids = [one["id"] for one in await page.evaluate("seen")]
    assert len(set(ids)) == len(ids)


async def test_stream_for_which_there_was_no_room_comes_back_when_there_is(
    start: Callable[..., Any], visit: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MOST_PER_ADDRESS", 1)
    monkeypatch.setattr(sse, "RETRY_LATER", b"retry: 100\n\n")
    client = await start()
    first = await client.get("/statistics/transfers/hour")
    page = await visit(client.make_url("/"))
    await page.evaluate(LISTEN, "hour")
    await until(lambda: page.evaluate("opened > 2"))
    assert await page.evaluate("seen") == []
    first.close()
    await until(lambda: page.evaluate("seen.length === 1"))


async def test_page_of_another_origin_transfers_and_listens(
    start: Callable[..., Any], visit: Visits, pool: Any
) -> None:
    """As the dashboard that the contract comes with: its own server, and buttons that create and transfer."""
    await pool.execute(sql.load("transfers")["seed"])
    client = await start()
    visit.expected = re.escape(str(client.make_url("/")))

    async def dashboard(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Dashboard</title>", content_type="text/html")

    other = web.Application()
    other.router.add_get("/", dashboard)
    other.router.add_get("/favicon.ico", dashboard)
    async with TestServer(other) as server:
        page = await visit(server.make_url("/"))
        await page.evaluate(f"api = '{client.make_url('')}'.replace(/\\/$/, '')")
        await page.evaluate(LISTEN.replace("`/", "api + `/"), "hour")
        await until(lambda: page.evaluate("seen.length === 1"))
        assert await page.evaluate(ORDER, ["POST", "/items", {"base_item_id": BIKE}]) == 201
        assert await page.evaluate(ORDER, ["PUT", f"/items/{ITEM}/ownership", {"to": ADA}]) == 204
        await until(lambda: page.evaluate("seen.at(-1).count === 1"))


ORDER = """
async ([method, path, body]) => {
    const headers = { "Content-Type": "application/json" };
    return (await fetch(api + path, { method, headers, body: JSON.stringify(body) })).status;
}
"""


async def _equal(counts: Any, expected: list[int]) -> bool:
    return await counts() == expected
