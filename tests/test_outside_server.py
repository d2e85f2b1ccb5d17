"""`DATABASE_URL`: a PostgreSQL that is not ours, from Debian's packages, over TCP; and what happens when it goes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from conftest import PATIENCE_SECONDS, Program, until

LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}


class Outside:
    """A PostgreSQL server of the system's packages, with a role and a database for us."""

    def __init__(self, folder: Path) -> None:
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        assert installed, "install PostgreSQL 15 or newer: apt-get install postgresql"
        self._programs = installed[0].parent
        self._data = folder / "outside"
        self._who: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        self._data.mkdir(mode=0o700)
        if self._who:
            os.chown(self._data, 65534, 65534)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.dsn = f"postgresql://statsd@127.0.0.1:{self.port}/postgres"
        subprocess.run(
            [self._programs / "initdb", "-D", self._data, "-U", "statsd", "-A", "trust", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **self._who,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._data, "-k", self._data, "-p", str(self.port), "-h", "127.0.0.1"],
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True, **self._who,
        )  # fmt: skip

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_SECONDS)

    async def ready(self) -> asyncpg.Connection:
        async def connected() -> asyncpg.Connection | None:
            try:
                return await asyncpg.connect(self.dsn)
            except (OSError, asyncpg.PostgresError):
                return None

        return await until(connected)


@pytest.fixture
def outside(folder: Path) -> Iterator[Outside]:
    server = Outside(folder)
    yield server
    server.stop()


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
        async with session.post(f"{address}/logins", json=LOGIN) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
        outside.start()

        async def recovered() -> bool:
            return await status("/readyz") == 200

        await until(recovered)
        async with session.post(f"{address}/logins", json=LOGIN) as response:
            assert response.status == 201
        while (await ws.receive_json())["payload"]["totalSessions"] != 1:
            pass
    assert "Traceback" not in program.stderr
