"""`EventSource` in a real browser, over restarts of the server: no gap, and nothing twice."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
from conftest import Program, until
from test_transfers import ADA, GRACE, ITEM, put

from browser.conftest import Visits
from statsd import sql

AWAY = r"net::ERR_|EventSource|WebSocket connection to|503"
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


async def test_reconnecting_stream_has_neither_a_gap_nor_a_repeat(
    run: Callable[..., Program], visit: Visits, database_url: str, pool: Any
) -> None:
    """One server restarts, cleanly and killed; what another one stores meanwhile is there afterwards, once."""
    await pool.execute(sql.load("transfers")["demo"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def begin() -> Program:
        return run("serve", "--port", str(port), "--data-dir", "data-one", DATABASE_URL=database_url)

    server, other = begin(), run("serve", "--port", "0", "--data-dir", "data-two", DATABASE_URL=database_url)
    visit.expected = AWAY
    page = await visit(await server.address())
    await page.evaluate(LISTEN, "hour")

    async def counts() -> list[int]:
        return [one["count"] for one in await page.evaluate("seen")]

    async def opened(times: int) -> bool:
        return await page.evaluate("opened") == times

    async with aiohttp.ClientSession(await other.address()) as session:

        async def seen(*expected: int) -> None:
            await until(lambda: _equal(counts, [*expected]))

        await seen(0)
        await put(session, ITEM, ADA, 204)
        await seen(0, 1)
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
        await put(session, ITEM, GRACE, 204)
        server = begin()
        await seen(0, 1, 2)
        await until(lambda: opened(2))

        server.process.kill()
        await server.ended()
        server = begin()
        await server.address()
        await until(lambda: opened(3))
        await put(session, ITEM, ADA, 204)  # nothing changed meanwhile: nothing came when it was back
        await seen(0, 1, 2, 3)
    ids = [one["id"] for one in await page.evaluate("seen")]
    assert len(set(ids)) == len(ids)


async def _equal(counts: Any, expected: list[int]) -> bool:
    return await counts() == expected
