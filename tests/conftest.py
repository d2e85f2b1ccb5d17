"""A real PostgreSQL for every test: one embedded server a run, one migrated template, one database a test."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import pytest
from aiohttp import ClientResponse, TCPConnector, web
from aiohttp.test_utils import TestClient, TestServer

from statsd import app
from statsd.database import embedded, migrations
from statsd.database.pool import open_pool
from statsd.settings import Settings

ROOT = Path(__file__).parent.parent
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 20.0

_numbers = count(1)


async def until(condition: Callable[[], Awaitable[Any] | Any], patience: float = PATIENCE_SECONDS) -> Any:
    """Wait until `condition` is true and return what it gave; fail when it never is."""
    give_up = time.monotonic() + patience
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        assert time.monotonic() < give_up, f"not true within {patience:g} s: {condition}"
        await asyncio.sleep(POLL_SECONDS)


def missing(sentence: str) -> NoReturn:
    """Skip a test for what the machine lacks and the sentence says how to get; on CI fail it."""
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter: as root, PostgreSQL runs as another one."""
    with tempfile.TemporaryDirectory(prefix="statsd-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


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


def renamed(dsn: str, name: str) -> str:
    """The same server, another database."""
    return re.sub(r"/statsd(?=\?|$)", f"/{name}", dsn)


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


@pytest.fixture
async def database_url(server_dsn: str, template: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(server_dsn)
    await connection.execute(f"create database {name} template {template}")
    yield renamed(server_dsn, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    async with await open_pool(database_url) as opened:
        yield opened


@pytest.fixture
async def start(
    database_url: str, folder: Path
) -> AsyncIterator[Callable[..., Awaitable[TestClient[web.Request, web.Application]]]]:
    """Start the application on the test's database, with the given settings; returns its client."""
    clients = []

    async def begin(**given: Any) -> TestClient[web.Request, web.Application]:
        settings = Settings(**{"database_url": database_url, "aggregate_seconds": 3600.0, "data_dir": folder, **given})
        # aiohttp's client waits for ever to open more than a hundred connections, unless told otherwise.
        client = TestClient(TestServer(app.make_app(settings)), connector=TCPConnector(limit=0))
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


class Program:
    """`python -m statsd …` as its users run it."""

    def __init__(self, *arguments: str, folder: Path, **environment: str) -> None:
        self.log = folder / f"program-{next(_numbers)}.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("STATS_", "PG", "POSTGRES_", "DATABASE_"))}
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "statsd", *arguments],
                cwd=folder,
                env={**clean, "PYTHONPATH": str(ROOT), **environment},
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def stderr(self) -> str:
        return self.log.read_text()

    async def address(self) -> str:
        """Wait until the server says where it is."""
        return await until(self._address)

    def _address(self) -> str | None:
        found = re.search(r"is at (http://\S+)", self.stderr)
        assert found or self.process.poll() is None, self.stderr
        return found[1] if found else None

    async def ended(self) -> int:
        """Wait for the end and return the exit code."""
        return await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)


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


class Events:
    """What a `text/event-stream` answer says, event by event, as a browser would read it."""

    def __init__(self, response: ClientResponse) -> None:
        assert response.status == 200, response
        assert response.content_type == "text/event-stream"
        self._lines = response.content
        self.id = ""
        self.comments = 0
        self.retry: int | None = None

    async def next(self, patience: float = PATIENCE_SECONDS) -> list[dict[str, Any]]:
        """Return the data of the next event. Raises EOFError where the answer ends before it."""
        data = ""
        async with asyncio.timeout(patience):
            while line := (await self._lines.readline()).decode():
                assert line.endswith("\n")
                name, _, value = line.rstrip("\n").partition(": ")
                if not name and not value and data:
                    return json.loads(data)
                self.comments += line.startswith(":")
                self.retry = int(value) if name == "retry" else self.retry
                self.id = value if name == "id" else self.id
                data += value if name == "data" else ""
        raise EOFError

    async def until(self, condition: Callable[[list[dict[str, Any]]], Any], patience: float = PATIENCE_SECONDS) -> Any:
        """Read events until one is as it should be, and return it."""
        async with asyncio.timeout(patience):
            while not condition(found := await self.next()):
                pass
        return found

    async def total(self, count: int, patience: float = PATIENCE_SECONDS) -> None:
        """Read events until their counts add up."""
        await self.until(lambda bins: sum(bin["count"] for bin in bins) == count, patience)


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
            self.signal(signal.SIGCONT)  # a test that failed may have left it frozen
            self.signal(number) if number is signal.SIGKILL else self._process.send_signal(number)
            self._process.wait(PATIENCE_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to its backends, which are sessions of their own."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

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
