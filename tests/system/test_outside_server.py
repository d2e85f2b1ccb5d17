"""`DATABASE_URL`: a PostgreSQL that is not ours, from Debian's packages, over TCP; and what happens without it."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from outside import Outside
from program import Program
from waiting import until

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}


async def test_server_of_the_system_works_like_the_embedded_one(run: Callable[..., Program], outside: Outside) -> None:
    connection = await outside.ready()
    program = run("serve", "--port", "0", DATABASE_URL=outside.dsn)
    address = await program.address()
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/ws") as ws:
        async with session.post(f"{address}/logins", json=LOGIN) as response:
            assert response.status == 201
        assert (await ws.receive_json())["payload"]["totalSessions"] == 1
    assert connection.get_server_version().major >= 15
    assert await connection.fetchval("select count(*) from user_logins where folded") == 1
    await connection.close()


async def test_away_database_is_said_and_survived(run: Callable[..., Program], outside: Outside) -> None:
    """Stopped, it answers 503 at once and pushes nothing; started again, everything goes on, live included."""
    await (await outside.ready()).close()
    program = run("serve", "--port", "0", DATABASE_URL=outside.dsn, STATS_AGGREGATE_SECONDS="0.2")
    address = await program.address()
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/ws") as ws:

        async def status(path: str) -> int:
            async with session.get(f"{address}{path}") as response:
                return response.status

        outside.stop()
        assert [await status(path) for path in ("/health", "/readyz", "/livez", "/logins/stats", "/logins")] == [
            503, 503, 200, 503, 503,
        ]  # fmt: skip
        outside.start()

        async def recovered() -> bool:
            return await status("/readyz") == 200

        await until(recovered)
        async with session.post(f"{address}/logins", json=LOGIN) as response:
            assert response.status == 201
        while (await ws.receive_json())["payload"]["totalSessions"] != 1:
            pass
    assert "Traceback" not in program.stderr
