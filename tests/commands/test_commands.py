"""The program as its users run it: commands, exit codes, signals, one folder for several processes, kill -9."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from folders import ROOT
from program import Program
from recounts import differences
from waiting import PATIENCE_SECONDS, until

from statsd.commands.main import parse
from statsd.database.pool import POOL
from statsd.ingest import ids, writer
from statsd.streams import pageviews

Run = Callable[..., Program]
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}


async def stats(address: str, path: str = "/logins/stats") -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(address + path) as response:
        return await response.json()


@pytest.mark.parametrize(
    "command",
    [
        [], ["serve"], ["generate"], ["seed"], ["aggregate"], ["dead-letters"], ["database-url"], ["user"], ["sql"],
        ["openapi"], ["backup"], ["restore"], ["psql"], ["upgrade-db"], ["export"], ["import"], ["doctor"], ["prove"],
        ["token"], ["link"], ["features"], ["prune"], ["erase"], ["completion"],
    ],
)  # fmt: skip
async def test_help_has_an_example_and_the_exit_codes(run: Run, command: list[str]) -> None:
    program = run(*command, "--help")
    assert await program.ended() == 0
    text = program.output()
    assert "example:\n  python -m statsd" in text
    assert "130 Ctrl-C" in text


@pytest.mark.parametrize("place", [0, 1, 2])
def test_options_may_stand_anywhere_among_the_other_arguments(place: int) -> None:
    words = ["logins", "logins.csv"]
    words[place:place] = ["--data-dir", "elsewhere"]
    arguments = parse(["export", *words])
    assert (arguments.stream, arguments.file, arguments.data_dir) == ("logins", "logins.csv", "elsewhere")


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        (["nonsense"], {}, 2, "there is no command nonsense"),
        (["generate", "--rate", "0"], {}, 2, "must be above 0"),
        (["generate", "--count", "x"], {}, 2, "--count"),
        (["user", "add", "anna", "--gender", "female"], {}, 2, "--gender"),
        (["serve"], {"JWT_SECRET": "short"}, 3, "JWT_SECRET: must have at least 32 bytes (it has 5)"),
        (["serve", "--port", "99999"], {}, 3, "--port: must be a port"),
        (["serve"], {"DATABASE_URL": "file:./dev.db", "LOG_LEVEL": "x"}, 3, "DATABASE_URL: is a file"),
        (
            ["serve"],
            {"DATABASE_URL": "postgresql://127.0.0.1:1/x"},
            4,
            "PostgreSQL cannot be reached: Connection refused (127.0.0.1, port 1)",
        ),
        (["serve"], {"DATABASE_URL": "postgresql://nowhere.invalid/x"}, 4, "(nowhere.invalid)"),
        (["generate"], {"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, 4, "PostgreSQL cannot be reached"),
        (["database-url"], {}, 4, "no embedded database"),
        (["serve", "--host", "203.0.113.1", "--port", "0"], {}, 1, "cannot listen on 203.0.113.1"),
        (["import", "logins", "nowhere.csv"], {}, 1, "nowhere.csv: No such file or directory"),
        (["restore", "nowhere.tar"], {}, 1, "nowhere.tar"),
        (["user", "remove"], {}, 2, "usage: python -m statsd user "),
    ],
)
async def test_what_cannot_work_ends_with_a_sentence_and_its_code(
    run: Run, arguments: list[str], environment: dict[str, str], code: int, says: str
) -> None:
    program = run(*arguments, **environment)
    assert await program.ended() == code, program.stderr
    assert says in program.stderr
    assert "Traceback" not in program.stderr


async def test_database_of_a_newer_program_ends_with_5(run: Run, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("insert into statsd_migrations values (9999, '9999_future', 'x')")
    await connection.close()
    program = run("serve", "--port", "0", DATABASE_URL=database_url)
    assert await program.ended() == 5
    assert "newer program" in program.stderr


async def test_port_in_use_is_said_in_a_sentence(run: Run, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = run("serve", "--port", str(port), DATABASE_URL=database_url)
        assert await program.ended() == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in program.stderr
    assert f"--port {port + 1}, or --port 0" in program.stderr
    assert "Traceback" not in program.stderr


async def test_folder_that_cannot_hold_the_spool_is_said_in_a_sentence(run: Run, database_url: str) -> None:
    program = run("serve", "--port", "0", "--data-dir", "/dev/null/data", DATABASE_URL=database_url)
    assert await program.ended() == 1
    assert "/dev/null/data" in program.stderr
    assert "Traceback" not in program.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_signal_ends_serve_cleanly(run: Run, folder: Path, number: signal.Signals, code: int) -> None:
    program = run("serve", "--port", "0", "--generate", "50")
    address = await program.address()
    await until(lambda: stats(address))
    program.process.send_signal(number)
    assert await program.ended() == code
    assert "Traceback" not in program.stderr
    assert not (folder / "data/postgres/postmaster.pid").exists()


async def test_open_sockets_do_not_hold_up_the_stop(run: Run) -> None:
    program = run("serve", "--port", "0")
    address = await program.address()
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(f"{address}/ws") for _ in range(10)]
        program.process.terminate()
        closes = [await ws.receive() for ws in sockets]
    assert await program.ended() == 0
    assert {message.type for message in closes} == {aiohttp.WSMsgType.CLOSE}


async def test_generate_in_a_second_process_moves_the_numbers_of_serve(run: Run) -> None:
    server = run("serve", "--port", "0")
    address = await server.address()
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/ws") as ws:
        generator = run("generate", "--rate", "20", "--count", "10", "--json")
        while (await ws.receive_json())["payload"]["totalSessions"] < 10:
            pass
    assert await generator.ended() == 0
    assert json.loads(generator.output()) == {"stream": "logins", "stored": 10}
    assert "10 logins in" in generator.stderr


async def test_what_strangers_send_broken_leaves_no_traceback_in_the_log(run: Run) -> None:
    program = run("serve", "--port", "0")
    address = await program.address()
    host, port = address.removeprefix("http://").split(":")
    broken = gzip.compress(b"{}")[:-8] + bytes(8)
    for request in (
        b"\x16\x03\x01 / HTTP/9\r\n\r\n",
        b"POST /logins HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(broken), broken),
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        assert b" 400 " in await reader.readline()
        writer.close()
    program.process.terminate()
    assert await program.ended() == 0
    assert "Traceback" not in program.stderr


async def test_interrupted_generator_says_what_it_stored(run: Run, database_url: str, pool: Any) -> None:
    program = run("generate", "--rate", "100", "--json", DATABASE_URL=database_url)
    await until(lambda: pool.fetchval("select count(*) from user_logins"))
    program.process.send_signal(signal.SIGINT)
    assert await program.ended() == 130
    stored = json.loads(program.output())["stored"]
    assert stored == await pool.fetchval("select count(*) from user_logins")
    assert f"{stored:,} logins in" in program.stderr


async def test_seed_counts_at_once_and_once(run: Run, database_url: str, pool: Any) -> None:
    for stored in (100, 0):
        program = run("seed", DATABASE_URL=database_url)
        assert await program.ended() == 0
        assert f"{stored} logins stored" in program.stderr
        assert await pool.fetchval("select sum(logins)::int from login_devices") == 100


async def test_seed_reports_only_its_own_rows(run: Run, database_url: str, pool: Any) -> None:
    for name in "ab":
        await pool.execute("insert into owners (name) values ($1)", name)
        await pool.execute(
            'insert into page_events (site_id, event_type, path, "timestamp") values ($1, $1, $1, now())', name
        )
        await pool.execute(
            "insert into user_logins (user_id, ip_address, region, device_type, browser) values (1, $1, $1, $1, $1)",
            name,
        )
    for arguments, stored in ((["seed"], "100 logins"), (["seed", "--transfers"], "2 base items, 2 owners, 2 items")):
        for said in (f"{stored} stored\n", "stored, the samples were there already\n"):
            program = run(*arguments, DATABASE_URL=database_url)
            assert await program.ended() == 0
            assert program.stderr.splitlines(keepends=True)[0].endswith(said)
            assert "pageviews" not in program.stderr
            assert "which no server shows now" in program.stderr
    quiet = run("seed", "--quiet", DATABASE_URL=database_url)
    assert (await quiet.ended(), quiet.stderr) == (0, "")


async def test_what_psql_inserts_beside_a_server_counts_at_its_next_aggregation(run: Run, database_url: str) -> None:
    server = run("serve", "--port", "0", DATABASE_URL=database_url, STATS_AGGREGATE_SECONDS="0.2")
    address = await server.address()
    psql = subprocess.run(
        ["psql", "-qX", database_url, "-f", ROOT / "sample_data.sql"], capture_output=True, check=False
    )
    assert (psql.returncode, psql.stderr) == (0, b"")

    async def counted() -> bool:
        return (await stats(address))["totalSessions"] == 100

    await until(counted)


async def test_sql_prints_statements_that_explain_takes(run: Run, pool: Any) -> None:
    program = run("sql", "transfers")
    assert await program.ended() == 0
    printed = program.output()
    names = re.findall(r"^-- (\w+)$", printed, re.MULTILINE)
    assert names[:3] == ["insert", "sweep", "rebuild"]
    assert {"snapshot", "known", "lock"} <= set(names)
    sweep = printed.split("-- sweep\n")[1].split(";\n")[0]
    assert "Limit" in json.dumps(await pool.fetchval(f"explain (format json) {sweep}"))


async def test_dead_letters_are_listed_tried_again_and_dropped(run: Run, database_url: str, pool: Any) -> None:
    await pool.execute("alter table page_events add constraint no_secrets check (path not like '/secret%')")
    now = datetime.now(UTC)
    rows = [(ids.new_id(), "site", "page_view", path, None, now) for path in ("/secret/1", "/secret/2", "/open")]
    await writer.Writer(pageviews.STREAM, pool).replay(rows)

    async def letters(*arguments: str) -> list[str]:
        program = run("dead-letters", *arguments, DATABASE_URL=database_url)
        assert await program.ended() == 0
        return [json.loads(line)["id"] for line in program.output().splitlines()]

    first, second = str(rows[0][0]), str(rows[1][0])
    assert sorted(await letters("list")) == sorted([first, second])
    assert await letters("retry", "all") == []  # refused again
    await pool.execute("alter table page_events drop constraint no_secrets")
    assert await letters("retry", first) == [first]
    assert await letters("drop", second) == [second]
    assert await letters("list") == []
    assert await pool.fetchval("select sum(views)::int from page_days") == 2


def user(database_url: str, *arguments: str, password: str = "") -> tuple[int, str]:
    """Run `user` with a password on stdin; the exit code, and what it said."""
    command = [sys.executable, "-m", "statsd", "user", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": database_url, "LOG_LEVEL": "warning"}
    ended = subprocess.run(
        command, input=password + "\n", env=environment, capture_output=True, text=True, check=False, cwd="/"
    )
    assert "Traceback" not in ended.stderr
    assert not ended.stdout
    return ended.returncode, ended.stderr


async def test_users_are_added_changed_and_removed(run: Run, database_url: str, pool: Any, client: Any) -> None:
    async def login(password: str) -> int:
        response = await client.post("/login", json={"username": "anna", "password": password})
        return response.status

    code, said = await asyncio.to_thread(user, database_url, "add", "Anna", "--age", "34")
    assert (code, said.splitlines()[-1]) == (2, "statsd: user add needs --gender")
    anna = ("add", "Anna", "--age", "34", "--gender", "Female")
    assert await asyncio.to_thread(user, database_url, *anna, password="short") == (
        1, "statsd: password must be a string of 8 to 1024 characters\n",
    )  # fmt: skip
    assert await asyncio.to_thread(user, database_url, *anna, password="") == (
        1, "statsd: the password is empty: type it, or give it as the first line of stdin\n",
    )  # fmt: skip
    code, said = await asyncio.to_thread(user, database_url, *anna, password="correct horse")
    assert (code, said.startswith("user ")) == (0, True)
    assert await asyncio.to_thread(user, database_url, *anna, password="correct horse") == (
        1, "statsd: Username already exists\n",
    )  # fmt: skip
    assert await login("correct horse") == 200
    assert (await asyncio.to_thread(user, database_url, "passwd", "ANNA", password="another horse"))[0] == 0
    assert (await client.get("/analytics")).status == 401  # the cookie is of before
    assert [await login("correct horse"), await login("another horse")] == [400, 200]
    assert (await client.post("/track", json={"feature_name": "export"})).status == 201
    assert await asyncio.to_thread(user, database_url, "remove", "anna") == (0, "user removed, with 1 clicks\n")
    assert await pool.fetchval("select count(*) from feature_clicks") == 0
    assert await differences(pool, "usage") == []
    assert await login("another horse") == 400
    assert await asyncio.to_thread(user, database_url, "remove", "anna") == (1, "statsd: there is no user anna\n")
    assert (await asyncio.to_thread(user, database_url, "passwd", "anna", password="another horse"))[0] == 1


async def test_password_is_asked_for_twice_and_never_shown(database_url: str, pool: Any) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "statsd", "user", "add", "Bert", "--age", "50", "--gender", "Male"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": database_url}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd="/", start_new_session=True
    )
    os.close(theirs)
    shown = b""
    for prompt in (b"New password: ", b"Again: "):
        while not shown.endswith(prompt):
            shown += await asyncio.to_thread(os.read, ours, 1024)
        os.write(ours, b"correct horse\n")
    assert await asyncio.to_thread(process.wait, PATIENCE_SECONDS) == 0
    with suppress(OSError):  # the other end is closed
        shown += os.read(ours, 4096)
    os.close(ours)
    assert b"horse" not in shown
    assert await pool.fetchval("select age from users where username = 'Bert'") == 50


async def test_sample_accounts_are_made_once_and_warned_of_beyond_loopback(run: Run, database_url: str) -> None:
    for stored in ("100 usage, 10 accounts stored", "0 usage, 0 accounts stored, the samples were there already"):
        program = run("seed", "--usage", DATABASE_URL=database_url)
        assert await program.ended() == 0
        assert stored in program.stderr
    near = run("serve", "--port", "0", DATABASE_URL=database_url)
    await near.address()
    far = run("serve", "--host", "0.0.0.0", "--port", "0", DATABASE_URL=database_url)
    await far.address()
    assert "10 sample accounts have a public password" in far.stderr
    assert "sample accounts" not in near.stderr


async def test_seed_leaves_an_account_alone_that_is_somebodys_own(run: Run, database_url: str, client: Any) -> None:
    sent = {"username": "User1", "password": "correct horse", "age": 77, "gender": "Other"}
    assert (await client.post("/register", json=sent)).status == 201
    program = run("seed", "--usage", DATABASE_URL=database_url)
    assert await program.ended() == 0
    assert "user1 is somebody's own account" in program.stderr
    pool = client.app[POOL]
    assert await pool.fetchval("select count(*) from feature_clicks where age = 77") == 0
    assert await pool.fetchval("select count(*) from feature_clicks") == 100


async def test_log_holds_no_password_no_token_and_no_name(run: Run, database_url: str) -> None:
    server = run("serve", "--port", "0", DATABASE_URL=database_url, LOG_LEVEL="debug")
    address = await server.address()
    sent = {"username": "Secretary", "password": "correct horse", "age": 34, "gender": "Female"}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        async with session.post(f"{address}/register", json=sent) as response:
            token = (await response.json())["token"]
        async with session.post(f"{address}/login", json={**sent, "password": "wrong horse"}) as response:
            assert response.status == 400
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post(f"{address}/track", json={"feature_name": "a"}, headers=headers) as response:
            assert response.status == 201
    server.process.terminate()
    await server.ended()
    assert not [word for word in ("Secretary", "horse", token[-20:]) if word in server.stderr]


async def test_rebuild_mends_totals_that_someone_broke(run: Run, database_url: str, pool: Any) -> None:
    await run("seed", DATABASE_URL=database_url).ended()
    await pool.execute("update login_devices set logins = 5")
    program = run("aggregate", "--rebuild", "--json", DATABASE_URL=database_url)
    assert await program.ended() == 0
    counts = {"logins": 100, "webhooks": 0, "usage": 0, "items": 0, "transfers": 0, "pageviews": 0}
    assert json.loads(program.output()) == counts
    assert await pool.fetchval("select sum(logins)::int from login_devices") == 100


async def test_second_serve_on_one_folder_shares_the_database(run: Run) -> None:
    one = run("serve", "--port", "0")
    first = await one.address()
    two = run("serve", "--port", "0")
    second = await two.address()
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{first}/logins", json=LOGIN) as response:
            assert response.status == 201
        assert (await stats(second))["totalSessions"] == 1
        one.process.terminate()
        assert await one.ended() == 0
        async with session.post(f"{second}/logins", json=LOGIN) as response:
            assert response.status == 201
    assert (await stats(second))["totalSessions"] == 2


async def test_database_url_of_the_embedded_server_works_for_others(run: Run) -> None:
    await run("serve", "--port", "0").address()
    program = run("database-url")
    assert await program.ended() == 0
    connection = await asyncpg.connect(program.output().strip())
    assert await connection.fetchval("select count(*) from user_logins") == 0
    await connection.close()


def test_foreign_package_of_the_same_name_is_told_apart(tmp_path: Path) -> None:
    """PyPI's `statsd` installed over ours leaves our `__main__` under its `__init__`."""
    package = tmp_path / "statsd"
    package.mkdir()
    (package / "__init__.py").write_text("class StatsClient: pass\n")
    (package / "__main__.py").write_text((ROOT / "statsd/__main__.py").read_text())
    ended = subprocess.run([sys.executable, "-m", "statsd"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("another package named statsd hides this one")
    assert "Traceback" not in ended.stderr


async def test_prove_breaks_a_scratch_server_and_finds_every_event(run: Run, folder: Path) -> None:
    program = run("prove", "--minutes", "0.05", "--seed", "3", "--json")
    assert await program.ended() == 0, program.stderr
    result = json.loads(program.output())
    assert (result["seed"], result["right"], len(result["faults"]) >= 1) == (3, True, True)
    assert {finding["stream"] for finding in result["findings"] if finding["acknowledged"]} >= {"logins", "usage"}
    assert not (folder / "data").exists()  # nothing of the user's is touched


async def test_interrupted_prove_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    program = run("prove", "--minutes", "10", TMPDIR=str(tmp_path))
    await until(lambda: "events acknowledged" in program.stderr)
    assert list(tmp_path.iterdir())
    program.process.send_signal(signal.SIGINT)
    assert await program.ended() == 130, program.stderr
    assert not list(tmp_path.iterdir())
