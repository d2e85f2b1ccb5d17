"""Fixtures. A real PostgreSQL for every test: one server a run, one migrated template, one database a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest
from aiohttp import TCPConnector, web
from aiohttp.test_utils import TestClient, TestServer
from databases import renamed
from folders import fast_place, open_folder
from outside import Outside, make_cluster
from program import Program
from waiting import PATIENCE_SECONDS, same

from statsd import app
from statsd.accounts import checks
from statsd.database import embedded, migrations
from statsd.database.pool import open_pool
from statsd.ingest import accept, lean, writer
from statsd.settings import Settings

_numbers = count(1)


# A busy machine takes its time to make an example, and to try it; what fails is printed as it can be repeated.
hypothesis.settings.register_profile(
    "suite", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

PATIENT_SECONDS = 4.5
"""What a commit may take where the database is there; the statement itself has five seconds."""
AWAY_SECONDS = 2.0
"""What it may take where a test lets the database go away, and waits for that."""


@pytest.fixture(autouse=True)
def same_hour() -> None:
    """No test begins in the last seconds of an hour."""
    same(3_600, margin=30)


@pytest.fixture
def same_minute() -> None:
    """For tests that compare counts of a window that moves on with every minute."""
    same(60, margin=10)


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that a busy machine delays is waited for, and not taken for an outage."""
    seconds = AWAY_SECONDS if "outside" in request.fixturenames else PATIENT_SECONDS
    monkeypatch.setattr(writer, "AWAY_SECONDS", seconds)
    monkeypatch.setattr(checks, "AWAY_SECONDS", seconds)
    monkeypatch.setattr(accept, "AWAY_SECONDS", seconds)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """The run's own PostgreSQL."""
    with open_folder() as path, asyncio.Runner() as runner:
        running = embedded.running(path)
        server = runner.run(running.__aenter__())
        yield server.dsn
        runner.run(running.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def template(server_dsn: str) -> str:
    """The name of a database that is migrated once and copied for every test."""

    async def make() -> None:
        connection = await asyncpg.connect(server_dsn)
        await connection.execute("create database migrated")
        await connection.close()
        await migrations.migrate(renamed(server_dsn, "migrated"))

    asyncio.run(make())
    return "migrated"


@asynccontextmanager
async def new_database(server_dsn: str, template: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    strategy = "file_copy" if fast_place() else "wal_log"  # the one is the faster in memory, the other on a disk
    connection = await asyncpg.connect(server_dsn)
    await connection.execute(f"create database {name} template {template} strategy {strategy}")
    yield renamed(server_dsn, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
async def database_url(server_dsn: str, template: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with new_database(server_dsn, template) as url:
        yield url


@pytest.fixture
async def empty_url(server_dsn: str, template: str) -> AsyncIterator[str]:
    """A second one, which gets what the first one has."""
    async with new_database(server_dsn, template) as url:
        yield url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    async with await open_pool(database_url) as opened:
        yield opened


class LeanServer(TestServer):
    """aiohttp's test server with the connections of the program."""

    async def _make_runner(self, **options: Any) -> web.AppRunner:
        return lean.Runner(self.app, **options)


@pytest.fixture
async def start(
    database_url: str, folder: Path
) -> AsyncIterator[Callable[..., Awaitable[TestClient[web.Request, web.Application]]]]:
    """Start the application on the test's database, with the given settings; returns its client."""
    clients = []

    async def begin(**given: Any) -> TestClient[web.Request, web.Application]:
        settings = Settings(**{"database_url": database_url, "aggregate_seconds": 3600.0, "data_dir": folder, **given})
        # aiohttp's client waits for ever to open more than a hundred connections, unless told otherwise.
        client = TestClient(LeanServer(app.make_app(settings)), connector=TCPConnector(limit=0))
        clients.append(client)
        await client.start_server()
        return client

    yield begin
    for client in clients:
        await client.close()


@pytest.fixture
async def client(start: Callable[..., Awaitable[TestClient[web.Request, web.Application]]]) -> Any:
    """The application with settings as they are by default, but an aggregation that only a test can wish for."""
    return await start()


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., Program]]:
    """Run the program in a folder of the test's own; what still runs at the end is stopped."""
    programs: list[Program] = []

    def begin(*arguments: str, **environment: str) -> Program:
        programs.append(Program(*arguments, folder=folder, **environment))
        return programs[-1]

    yield begin
    for program in reversed(programs):
        if program.process.poll() is None:
            program.process.terminate()
        program.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """The data of a new server of the system's packages, to be copied."""
    with open_folder() as path:
        yield make_cluster(path / "cluster")


@pytest.fixture
def outside(folder: Path, cluster: Path) -> Iterator[Outside]:
    """A PostgreSQL that is not ours, and that the test may break."""
    server = Outside(folder, cluster)
    yield server
    server.stop()
