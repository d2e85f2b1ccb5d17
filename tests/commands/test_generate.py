"""`generate`: every stream, into the database and over HTTP, from any folder, each event once."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from callers import log_in, make_user
from program import Program
from recounts import differences
from waiting import until

from statsd.database import sql
from statsd.streams import STREAMS

Run = Callable[..., Program]
NAMES = [stream.name for stream in STREAMS]
MOMENTS = {
    "logins": "login_time", "webhooks": "received_at", "usage": '"timestamp"', "items": "created_at",
    "transfers": '"timestamp"', "pageviews": '"timestamp"',
}  # fmt: skip
"""When an event of a stream counts."""


async def generate(run: Run, *arguments: str, code: int = 0, **environment: str) -> Program:
    program = run("generate", *arguments, **environment)
    assert await program.ended() == code, program.stderr
    assert "Traceback" not in program.stderr
    return program


async def rows(pool: Any, *names: str) -> int:
    return sum([await pool.fetchval(f"select count(*) from {sql.table(name)}") for name in names])


# Over HTTP


@pytest.mark.parametrize("stream", ["logins", "webhooks", "usage", "transfers", "pageviews", "all"])
async def test_every_stream_goes_over_http_from_any_folder(
    run: Run, client: Any, pool: Any, folder: Path, stream: str
) -> None:
    url = str(client.make_url("/"))
    program = await generate(run, "--url", url, "--stream", stream, "--count", "300", "--json")
    assert json.loads(program.output()) == {"stream": stream, "stored": 300}
    stored = {name: await rows(pool, name) for name in NAMES}
    parts = {"transfers": ["items", "transfers"], "all": NAMES}.get(stream, [stream])
    assert all((number > 0) == (name in parts) for name, number in stored.items())
    assert sum(stored.values()) == 300 + (10 if "items" in parts else 0)  # the first items that are transferred
    assert await differences(pool, *NAMES) == []
    assert not (folder / "data").exists()


async def test_rate_is_kept_over_http_and_events_are_dated_now(run: Run, client: Any, pool: Any) -> None:
    began = datetime.now(UTC)
    await generate(run, "--url", str(client.make_url("/")), "--stream", "all", "--rate", "50", "--count", "100")
    assert (datetime.now(UTC) - began).total_seconds() > 1.5
    for name, moment in MOMENTS.items():
        first = await pool.fetchval(f"select min({moment}) from {sql.table(name)}")
        assert first >= began - timedelta(milliseconds=1), name


@pytest.mark.parametrize("stream", ["logins", "pageviews"])
async def test_interrupted_sender_says_what_the_server_stored(run: Run, client: Any, pool: Any, stream: str) -> None:
    url = str(client.make_url("/"))
    program = run("generate", "--url", url, "--stream", stream, "--count", "500000", "--json")
    await until(lambda: rows(pool, stream))
    program.process.send_signal(signal.SIGINT)
    assert await program.ended() == 130
    assert json.loads(program.output())["stored"] == await rows(pool, stream)
    assert "Traceback" not in program.stderr


@asynccontextmanager
async def lossy(port: int) -> AsyncIterator[str]:
    """A way to the server that loses every seventh answer, and its connection."""
    answers = count(1)
    connections: set[asyncio.Task[Any]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_lossy: bool) -> None:
        while data := await reader.read(1 << 16):
            if is_lossy and next(answers) % 7 == 0:
                break
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        for ends, is_lossy in (((reader, back), False), ((there, writer), True)):
            connections.add(asyncio.create_task(forward(*ends, is_lossy=is_lossy)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for connection in connections:
        connection.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


async def test_what_an_answer_got_lost_of_is_sent_again_and_counts_once(run: Run, client: Any, pool: Any) -> None:
    async with lossy(client.port) as url:
        program = await generate(run, "--url", url, "--stream", "all", "--count", "600", "--json")
    assert json.loads(program.output())["stored"] == 600
    assert await rows(pool, *NAMES) == 600 + 10
    assert await differences(pool, *NAMES) == []


async def test_server_that_asks_for_tokens_gets_one(run: Run, start: Any, pool: Any, database_url: str) -> None:
    client = await start(require_ingest_token=("logins", "webhooks", "transfers", "pageviews"))
    arguments = ("--url", str(client.make_url("/")), "--stream", "all", "--count", "50")
    refused = await generate(run, *arguments, code=1)
    assert "401" in refused.stderr
    assert "--token or STATS_TOKEN" in refused.stderr
    scopes = [
        word for name in ("logins", "webhooks", "transfers", "pageviews") for word in ("--scope", f"ingest:{name}")
    ]
    adding = run("token", "add", "samples", *scopes, DATABASE_URL=database_url)
    assert await adding.ended() == 0, adding.stderr
    await generate(run, *arguments, STATS_TOKEN=adding.output().strip())
    assert await rows(pool, *NAMES) == 60


async def test_clicks_need_users_or_the_token_of_one(run: Run, start: Any, pool: Any) -> None:
    client = await start(registration="closed")
    arguments = ("--url", str(client.make_url("/")), "--stream", "usage", "--count", "10")
    closed = await generate(run, *arguments, code=1)
    assert "does not let anybody register" in closed.stderr
    assert "the token that POST /login answers with --token" in closed.stderr
    await make_user(pool, "anna", "viewer")
    token = (await log_in(client, "anna"))["Authorization"].removeprefix("Bearer ")
    await generate(run, *arguments, "--token", token)
    assert await pool.fetchval("select count(*) from feature_clicks join users on users.id = user_id") == 10


@pytest.mark.parametrize(
    ("status", "headers", "body", "says"),
    [
        (200, {"Content-Type": "text/html"}, "<h1>It works!</h1>", "GET /livez answers 200 (a web page)"),
        (404, {"Content-Type": "application/json"}, '{"error": "nothing here"}', "GET /livez answers 404 nothing here"),
        (302, {"Location": "https://stats.example.org/livez"}, "", "redirects to https://stats.example.org: give that"),
    ],
)
async def test_something_else_at_the_address_is_said(
    run: Run, status: int, headers: dict[str, str], body: str, says: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers, text=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        program = await generate(run, "--url", str(server.make_url("/")), "--count", "1", code=1)
    assert says in program.stderr


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("http://127.0.0.1:1", 1, "http://127.0.0.1:1 cannot be reached: Connection refused; is the server running?"),
        ("http://nowhere.invalid", 1, "there is no host nowhere.invalid"),
        ("127.0.0.1:8080", 2, "must be the address of a server, such as http://127.0.0.1:8080"),
        ("http://127.0.0.1:x", 2, "must be the address of a server"),
        ("http://u:p@127.0.0.1", 2, "must be the address of a server"),
        ("ftp://127.0.0.1", 2, "must be the address of a server"),
    ],
)
async def test_wrong_address_is_said(run: Run, url: str, code: int, says: str) -> None:
    assert says in (await generate(run, "--url", url, "--count", "1", code=code)).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "http://127.0.0.1:1", "--data-dir", "x"),
        ("--days", "3"),
        ("--days", "3", "--count", "5", "--rate", "5"),
        ("--days", "0", "--count", "5"),
        ("--days", "99999", "--count", "5"),
    ],
)
async def test_options_that_do_not_go_together_are_wrong_usage(run: Run, folder: Path, arguments: tuple[str]) -> None:
    await generate(run, *arguments, code=2)
    assert not (folder / "data").exists()


# Into the database


async def test_events_in_bulk_are_spread_over_the_days_that_are_asked_for(
    run: Run, pool: Any, database_url: str
) -> None:
    arguments = ("--stream", "all", "--count", "3000", "--days", "5", "--json")
    program = await generate(run, *arguments, DATABASE_URL=database_url)
    assert json.loads(program.output()) == {"stream": "all", "stored": 3000}
    for name, moment in MOMENTS.items():
        fixtures = "where id::text not like '00000000-%'"
        table = sql.table(name)
        days = await pool.fetchval(f"select count(distinct {moment}::date) from {table} {fixtures}")
        first, last = await pool.fetchrow(f"select min({moment}), max({moment}) from {table} {fixtures}")
        assert days >= 4, name
        assert first > datetime.now(UTC) - timedelta(days=5, minutes=5), name
        assert last <= datetime.now(UTC), name
    assert await differences(pool, *NAMES) == []


async def test_events_that_no_server_shows_are_said_to_be_so(run: Run, start: Any, database_url: str) -> None:
    arguments = ("--count", "5")
    unseen = await generate(run, *arguments, DATABASE_URL=database_url)
    assert "which no server shows now; this one would: DATABASE_URL=… python -m statsd serve" in unseen.stderr
    assert database_url.partition("@")[0].rpartition(":")[2] not in unseen.stderr  # the password
    await start()
    seen = await generate(run, *arguments, DATABASE_URL=database_url)
    assert "no server" not in seen.stderr


async def test_server_of_another_schema_does_not_show_them(run: Run, database_url: str) -> None:
    server = run("serve", "--port", "0", DATABASE_URL=database_url, STATS_SCHEMA="other")
    await server.address()
    unseen = await generate(run, "--count", "5", DATABASE_URL=database_url)
    assert "which no server shows now" in unseen.stderr
    seen = await generate(run, "--count", "5", DATABASE_URL=database_url, STATS_SCHEMA="other")
    assert "no server" not in seen.stderr


async def test_embedded_database_that_no_server_shows_is_named(run: Run, folder: Path) -> None:
    program = await generate(run, "--count", "5")
    assert f"the embedded database in {folder / 'data'}, which no server shows now" in program.stderr
    assert f"this one would: python -m statsd serve --data-dir {folder / 'data'}" in program.stderr
    server = run("serve", "--port", "0")
    await server.address()
    second = await generate(run, "--count", "5")
    assert "no server" not in second.stderr


async def test_same_seed_makes_the_same_events(run: Run, pool: Any, database_url: str) -> None:
    for _ in range(2):
        await generate(run, "--count", "40", "--seed", "7", "--quiet", DATABASE_URL=database_url)
    runs = await pool.fetch(
        "select array_agg(user_id || region || browser || login_time::time(0) order by user_id, login_time)"
        " from user_logins group by created_at"
    )
    assert len(runs) == 2
    assert runs[0] == runs[1]
    assert len(runs[0][0]) == 40
