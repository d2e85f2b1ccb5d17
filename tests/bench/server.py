"""The program under test, as its users start it, and its PostgreSQL, where peers get databases."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import asyncpg

from .processes import Process, clean_environment, cpu_of_tree, python

QUIET = {"STATS_THROTTLE_EXEMPT": "127.0.0.1", "STATS_AGGREGATE_SECONDS": "3600", "LOG_LEVEL": "warning"}
"""No limits per address, and no aggregation in between; each part measures one thing."""

ACCOUNT = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}


class Server:
    """A running `serve`: its address, its process, its database."""

    def __init__(self, process: Process, folder: Path, address: str, url: str) -> None:
        self.process = process
        self.address = address
        self.url = url
        self._folder = folder
        self._postmaster = int((folder / "data" / "postgres" / "postmaster.pid").read_text().splitlines()[0])

    def postgres_cpu(self) -> float:
        """Seconds of CPU time of PostgreSQL with all its processes."""
        return cpu_of_tree(self._postmaster)

    async def connect(self, database: str = "statsd") -> asyncpg.Connection[Any]:
        return await asyncpg.connect(self.url, database=database)

    async def fetch(self, query: str, *arguments: Any, database: str = "statsd") -> Any:
        """Return the first value of a query."""
        connection = await self.connect(database)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def execute(self, *statements: str, database: str = "statsd") -> None:
        connection = await self.connect(database)
        try:
            for statement in statements:
                await connection.execute(statement, timeout=None)
        finally:
            await connection.close()

    async def make_database(self, name: str) -> dict[str, str]:
        """Make a database for a peer; return the environment in which PostgreSQL's clients connect to it."""
        await self.execute(f"create database {name}")
        parts = urlsplit(self.url)
        host, port = (parse_qs(parts.query)[key][0] for key in ("host", "port"))
        return {
            "PGHOST": host, "PGPORT": port, "PGUSER": str(parts.username), "PGPASSWORD": unquote(parts.password or ""),
            "PGDATABASE": name,
        }  # fmt: skip

    async def run(self, *arguments: str) -> str:
        """Run another command of the program on the same data; return what it prints."""
        return await command(self._folder, *arguments)

    async def log_in(self) -> dict[str, str]:
        """Register a user; return the header that shows who asks."""
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(f"{self.address}/register", json=ACCOUNT) as response,
        ):
            return {"Authorization": f"Bearer {(await response.json())['token']}"}


async def command(folder: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *python("-m", "statsd", *arguments), "--data-dir", str(folder / "data"), cwd=folder,
        env={**clean_environment(), **QUIET}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"statsd {' '.join(arguments)} failed: {errors.decode()[-2000:]}")
    return output.decode()


def start(folder: Path, **environment: str) -> Process:
    """Start `serve` on a free port, with its data in the folder."""
    folder.mkdir(exist_ok=True)
    os.chmod(folder, 0o755)  # as root, PostgreSQL runs as a user who must pass through
    arguments = ("-m", "statsd", "serve", "--port", "0", "--data-dir", str(folder / "data"))
    return Process(python(*arguments), folder, {**QUIET, **environment})


@asynccontextmanager
async def serving(folder: Path, **environment: str) -> AsyncIterator[Server]:
    """The program on an empty database, until the block ends."""
    process = start(folder, **environment)
    try:
        address = await process.address()
        yield Server(process, folder, address, (await command(folder, "database-url")).strip())
    finally:
        await process.stop()


def processes(server: Server) -> dict[str, Any]:
    """What a load on the program costs: by process, a function that returns CPU seconds so far."""
    return {"server": server.process.cpu, "PostgreSQL": server.postgres_cpu}


def counter(server: Server, table: str, database: str = "statsd") -> Any:
    """A function that counts the rows of a table."""
    return partial(server.fetch, f"select count(*) from {table}", database=database)
