"""`backup` and `restore` as their users run them: under load, killed, and on what they must refuse."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from data_folders import only_as_root, package, processes
from outside import Outside
from program import Program
from waiting import until

from statsd.commands import archive
from statsd.database import migrations, programs
from statsd.database.pool import open_pool
from statsd.errors import DatabaseError, StatsError
from statsd.ingest import ids, recount
from statsd.ingest.generator import store_fixtures
from statsd.ingest.writer import Writer
from statsd.streams import STREAMS

Run = Callable[..., Program]
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
WAITING = "select exists (select from pg_locks where not granted)"
VIEW = {"site_id": "shop", "event_type": "page_view", "path": "/", "timestamp": "2026-11-20T10:00:00Z"}


async def fill(dsn: str) -> None:
    """Store 100 rows of every stream."""
    async with await open_pool(dsn) as pool:
        for stream in STREAMS:
            await store_fixtures(pool, stream)
            rng, writer = random.Random(1), Writer(stream, pool)
            task = asyncio.create_task(writer.run())
            await writer.store([stream.row(stream.sample(rng), ids.new_id()) for _ in range(100)])
            writer.stop()
            await task


async def done(program: Program, code: int = 0) -> str:
    """Wait for the end of a command; return what it wrote to stderr."""
    assert await program.ended() == code, program.stderr
    return program.stderr


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def counts(dsn: str) -> dict[str, int]:
    """The rows of each table."""
    async with connected(dsn) as connection:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {table: await connection.fetchval(f"select count(*) from {table}") for (table,) in tables}


async def embedded_url(run: Run, data: str = "data") -> str:
    program = run("database-url", "--data-dir", data)
    await done(program)
    return program.output().strip()


async def post(client: aiohttp.ClientSession, path: str, event: dict[str, Any]) -> Any:
    async with client.post(path, json=event) as response:
        assert response.status in (201, 202)
        return await response.json()


@contextlib.asynccontextmanager
async def many(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run four tasks beside the block."""
    tasks = [asyncio.create_task(work()) for _ in range(4)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_backup_under_load_restored_into_an_empty_folder_has_all_that_was_acknowledged(
    run: Run, folder: Path
) -> None:
    """Logins arrive all the time. Page views wait in the spool, because somebody holds a lock on their table."""
    server = run("serve", "--port", "0")
    address = await server.address()
    logins: list[str] = []
    views: list[str] = []
    async with aiohttp.ClientSession(address) as client, connected(await embedded_url(run)) as holder:

        async def post_logins() -> None:
            while True:
                logins.append((await post(client, "/logins", LOGIN))["id"])

        views += [(await post(client, "/event", VIEW))["jobId"] for _ in range(5)]
        async with many(post_logins), holder.transaction():
            await holder.execute("lock table page_events in share mode")  # pg_dump may read it
            views += await asyncio.gather(*[_job(client) for _ in range(20)])
            await until(lambda: len(logins) > 100)
            acknowledged = len(logins)
            said = await done(run("backup", "b.tar"))
            assert len(logins) > acknowledged
    server.process.terminate()
    await server.ended()
    assert "secrets: jwt_secret" in said
    assert (folder / "b.tar").stat().st_mode & 0o777 == 0o600
    with archive.reading(folder / "b.tar") as backup:
        assert [name for name in backup.manifest.files if name.startswith("spool/")]
        stored = backup.manifest.rows["user_logins"]
        assert stored >= acknowledged

    psql = run("psql", "--", "-Atc", "select count(*) from user_logins")  # starts the server for as long
    await done(psql)
    assert int(psql.output()) >= stored
    assert processes(folder) == []

    said = await done(run("restore", "b.tar", "--data-dir", "new"))
    assert "all totals equal a recount; events in" in said
    assert (folder / "new" / "jwt_secret").read_bytes() == (folder / "data" / "jwt_secret").read_bytes()
    assert (folder / "new" / "jwt_secret").stat().st_mode & 0o777 == 0o600
    again = run("serve", "--port", "0", "--data-dir", "new")
    await again.address()
    async with connected(await embedded_url(run, "new")) as restored:

        async def delivered() -> bool:
            return {str(id) for (id,) in await restored.fetch("select id from page_events")} == {*views}

        await until(delivered)
        found = [str(id) for (id,) in await restored.fetch("select id from user_logins")]
        assert {*logins[:acknowledged]} <= {*found}
        assert len(found) == stored
        assert await restored.fetchval("select sum(views)::int from page_days") == len(views)
        for stream in STREAMS:
            assert await recount.differences(restored, stream.name) == []


async def _job(client: aiohttp.ClientSession) -> str:
    return str((await post(client, "/event", VIEW))["jobId"])


async def test_every_stream_comes_back_in_a_server_of_an_older_version(
    run: Run, database_url: str, outside: Outside
) -> None:
    """Dumped from 18, restored into what Debian has, over what was there, and back."""
    await fill(database_url)
    before = await counts(database_url)
    await done(run("backup", "b.tar", DATABASE_URL=database_url))
    await (await outside.ready()).close()
    await migrations.migrate(outside.dsn)
    async with connected(outside.dsn) as theirs:
        await theirs.execute("insert into owners (name) values ('Ada')")
    said = await done(run("restore", "b.tar", DATABASE_URL=outside.dsn), 1)
    assert "the database has rows in owners: restore into an empty one, or drop what it holds with --force" in said
    await done(run("restore", "b.tar", "--force", DATABASE_URL=outside.dsn))
    assert await counts(outside.dsn) == before
    await done(run("backup", "c.tar", DATABASE_URL=outside.dsn))
    await done(run("restore", "c.tar", "--force", DATABASE_URL=database_url))
    assert await counts(database_url) == before


async def test_backup_of_an_older_schema_is_brought_up_to_date(
    run: Run, outside: Outside, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await outside.ready()).close()
    every = migrations.migrations()
    with monkeypatch.context() as older:
        older.setattr(migrations, "migrations", lambda: every[:11])
        await migrations.migrate(outside.dsn)
    async with connected(outside.dsn) as connection:
        await connection.execute("insert into owners (name) values ('Ada')")
    await done(run("backup", "b.tar", DATABASE_URL=outside.dsn))
    with archive.reading(folder / "b.tar") as backup:
        assert [*backup.manifest.migrations] == [migration.name for migration in every[:11]]
    await done(run("restore", "b.tar", "--force", DATABASE_URL=outside.dsn))
    found = await counts(outside.dsn)
    assert (found["statsd_migrations"], found["owners"]) == (len(every), 1)


async def test_killed_backup_leaves_nothing_that_looks_finished(run: Run, database_url: str, folder: Path) -> None:
    (folder / "b.tar").write_text("an older one")
    assert "b.tar exists: choose another name, or overwrite it with --force" in await done(
        run("backup", "b.tar", DATABASE_URL=database_url), 1
    )
    async with connected(database_url) as holder, holder.transaction():
        await holder.execute("lock table users")  # pg_dump waits for it
        killed = run("backup", "b.tar", "--force", DATABASE_URL=database_url)
        await until(partial(holder.fetchval, WAITING))
        busy = await done(run("backup", "b.tar", "--force", DATABASE_URL=database_url), 1)
        assert "another process is writing b.tar" in busy
        killed.process.kill()
        await killed.ended()
    assert (folder / "b.tar").read_text() == "an older one"
    await done(run("backup", "b.tar", "--force", DATABASE_URL=database_url))
    assert not (folder / ".b.tar.part").exists()
    with archive.reading(folder / "b.tar") as backup:
        assert backup.manifest.rows["users"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_stopped_backup_is_no_success_and_leaves_nothing(
    run: Run, database_url: str, folder: Path, number: signal.Signals, code: int
) -> None:
    async with connected(database_url) as holder, holder.transaction():
        await holder.execute("lock table users")
        program = run("backup", "b.tar", DATABASE_URL=database_url)
        await until(partial(holder.fetchval, WAITING))
        program.process.send_signal(number)
        await done(program, code)
    assert not list(folder.glob("*b.tar*"))


async def test_killed_restore_is_said_and_runs_again(run: Run, database_url: str, folder: Path) -> None:
    await fill(database_url)
    before = await counts(database_url)
    await done(run("backup", "b.tar", DATABASE_URL=database_url))
    async with connected(database_url) as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("lock table users in access share mode")  # no drop while somebody reads
        killed = run("restore", "b.tar", "--force", DATABASE_URL=database_url)
        await until(partial(holder.fetchval, WAITING))
        assert (folder / "data" / "restoring").exists()
        killed.process.kill()
        await killed.ended()
        said = await done(run("aggregate", DATABASE_URL=database_url), 4)
        assert "a restore into data runs or was interrupted: wait for it, or run restore again" in said
        await transaction.rollback()
        await until(
            partial(holder.fetchval, "select count(*) = 1 from pg_stat_activity where datname = current_database()")
        )
    assert await counts(database_url) == before  # nothing of it was committed
    await done(run("restore", "b.tar", DATABASE_URL=database_url))
    assert not (folder / "data" / "restoring").exists()
    assert await counts(database_url) == before


async def test_restore_refuses_a_database_that_is_used_or_shared(run: Run, database_url: str) -> None:
    await done(run("backup", "b.tar", DATABASE_URL=database_url))
    server = run("serve", "--port", "0", DATABASE_URL=database_url)
    await server.address()
    assert "a server uses" in await done(run("restore", "b.tar", DATABASE_URL=database_url), 1)
    elsewhere = await done(run("restore", "b.tar", "--data-dir", "other", DATABASE_URL=database_url), 1)
    assert "connections to this database: stop them first" in elsewhere
    server.process.terminate()
    await server.ended()
    async with connected(database_url) as connection:
        await connection.execute("create table invoices (id int)")
    shared = await done(run("restore", "b.tar", "--force", DATABASE_URL=database_url), 1)
    assert "has tables of other programs (invoices): use another database" in shared


async def test_spool_that_is_there_is_set_aside_only_by_force(run: Run, database_url: str, folder: Path) -> None:
    await done(run("backup", "b.tar", DATABASE_URL=database_url))
    segment = folder / "data" / "spool" / "room-0" / "1763692800000000.seg"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b"events")
    assert "events wait in data/spool" in await done(run("restore", "b.tar", DATABASE_URL=database_url), 1)
    await done(run("restore", "b.tar", "--force", DATABASE_URL=database_url))
    (aside,) = (folder / "data").glob("spool-set-aside-*")
    assert (aside / "room-0" / segment.name).read_bytes() == b"events"


async def test_backup_that_cannot_be_written_is_said_in_a_sentence(run: Run, database_url: str, folder: Path) -> None:
    said = await done(run("backup", "missing/b.tar", DATABASE_URL=database_url), 1)
    assert said == "statsd: no backup was made: missing/b.tar: No such file or directory\n"


@only_as_root
async def test_full_disk_is_said_and_nothing_is_left_on_it(run: Run, database_url: str, folder: Path) -> None:
    (folder / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", folder / "disk"], check=True)
    try:
        said = await done(run("backup", "--quiet", "disk/b.tar", DATABASE_URL=database_url), 1)
        assert said == "statsd: no backup was made: disk/b.tar: No space left on device\n"
        assert list((folder / "disk").iterdir()) == []
    finally:
        subprocess.run(["umount", folder / "disk"], check=True)


async def test_embedded_database_that_does_not_exist_is_not_made_for_a_backup(run: Run, folder: Path) -> None:
    assert "there is no embedded database in" in await done(run("backup", "b.tar"), 4)
    assert not (folder / "data").exists()
    assert not list(folder.glob("*b.tar*"))


# ---- the file


@pytest.fixture
def backup(folder: Path) -> Path:
    """A small archive, without a database behind it."""
    path = folder / "b.tar"
    with path.open("wb") as file:
        writer = archive.Writer(file)

        async def chunks() -> AsyncIterator[bytes]:
            yield b"dump " * 1_000
            yield b"its end"

        asyncio.run(writer.stream(archive.DUMP, chunks()))
        writer.add("spool/room-0/1763692800000000.seg", b"STSPOOL1")
        rows = {"users": 3}
        writer.finish(
            archive.Manifest(
                program="9.9", created="2026-11-28T00:00:00Z", server=18, pg_dump=18, schema="public",
                migrations={"9999_future": "00"}, rows=rows, files=writer.files,
            )
        )  # fmt: skip
    return path


def test_backup_is_a_tar_archive_that_others_can_read(backup: Path) -> None:
    with tarfile.open(backup) as tar:
        assert tar.getnames() == [
            "database.dump", "spool/room-0/1763692800000000.seg", "manifest.json", "manifest.sha256"
        ]  # fmt: skip
        dump = tar.extractfile("database.dump")
        assert dump and dump.read() == b"dump " * 1_000 + b"its end"
        manifest = tar.extractfile("manifest.json")
        assert manifest and json.load(manifest)["rows"] == {"users": 3}


def test_every_damaged_byte_and_every_cut_is_found(backup: Path) -> None:
    whole = backup.read_bytes()
    with archive.reading(backup) as opened:
        assert opened.read("spool/room-0/1763692800000000.seg") == b"STSPOOL1"
        names = opened.manifest.files
    used = [at for at in range(0, len(whole), 7) if whole[at]]  # the rest is padding
    assert len(names) == 2
    refused = 0
    for at in used:
        backup.write_bytes(whole[:at] + bytes([whole[at] ^ 0x11]) + whole[at + 1 :])
        refused += _is_refused(backup)
    for length in range(0, whole.rindex(b"manifest.json"), 512):
        backup.write_bytes(whole[:length])
        assert _is_refused(backup), length
    headers = 4 * 512 // 7  # of a header only what is read matters: its name, size and checksum
    assert refused >= len(used) - headers
    assert refused > 0.9 * len(used)


def _is_refused(path: Path) -> bool:
    try:
        with archive.reading(path):
            return False
    except StatsError:
        return True


async def test_newer_schema_and_foreign_files_are_refused(run: Run, backup: Path, folder: Path) -> None:
    newer = await done(run("restore", "b.tar"), 5)
    assert "the backup was made by a newer program (statsd-live 9.9, schema 9999_future): use that one" in newer
    with tarfile.open(folder / "foreign.tar", "w") as tar:
        tar.add(backup, "photo.jpg")
    assert "foreign.tar is not a backup of statsd-live" in await done(run("restore", "foreign.tar"), 1)
    (folder / "text").write_text("hello " * 1_000)
    assert "text is damaged, or not a backup of statsd-live" in await done(run("restore", "text"), 1)
    assert "No such file" in await done(run("restore", "missing.tar"), 1)
    assert not (folder / "data").exists()


# ---- pg_dump


def test_server_newer_than_the_bundled_pg_dump_needs_one_in_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    older, newer = programs.folders()
    monkeypatch.setattr(programs, "folders", lambda: [older])
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(DatabaseError) as refused:
        programs.newest("pg_dump", 18, "the server is PostgreSQL 18, ")
    assert str(refused.value) == (
        "the server is PostgreSQL 18, but pg_dump is of version 16 (bundled): put pg_dump 18 or newer into PATH"
    )
    monkeypatch.setenv("PATH", str(newer / "bin"))
    assert programs.newest("pg_dump", 18) == newer / "bin" / "pg_dump"
    assert programs.newest("pg_dump", 16) == older / "bin" / "pg_dump"
    assert str(newer).startswith(package())


def test_bundled_program_without_tls_is_not_used_where_the_url_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (bundled, *_) = (folder / "bin" / "psql" for folder in programs.folders())
    assert programs.newest("psql", url="postgresql://h/d?sslmode=prefer").is_relative_to(bundled.parents[2])
    monkeypatch.setattr(programs, "has_tls", lambda program: "pginstall" not in str(program))
    assert not programs.newest("psql", url="postgresql://h/d?sslmode=require").is_relative_to(bundled.parents[2])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DatabaseError, match=r"asks for TLS, which the bundled programs do not have.*into PATH"):
        programs.newest("psql", url="postgresql://h/d?channel_binding=require")


def test_password_is_in_the_environment_and_not_in_the_url() -> None:
    url, environment = programs.connection("postgresql://ada:p%40ss@h:1/d?host=/a%20b&password=other")
    assert (url, environment["PGPASSWORD"]) == ("postgresql://ada@h:1/d?host=/a%20b", "other")
    url, environment = programs.connection("postgresql://ada:p%40ss@[::1]/d")
    assert (url, environment["PGPASSWORD"]) == ("postgresql://ada@[::1]/d", "p@ss")


# ---- psql


async def test_psql_is_connected_and_shows_no_password(run: Run, database_url: str) -> None:
    words = ("-Atc", r"select count(*) from users", "-c", r"\! tr '\0' ' ' </proc/$PPID/cmdline")
    program = run("psql", "--", *words, DATABASE_URL=database_url)
    assert await program.ended() == 0, program.stderr
    count, line = program.output().split("\n", 1)
    assert count == "0"
    assert "postgresql://statsd@/" in line
    assert database_url.split(":")[2].partition("@")[0] not in line
    failed = await done(run("psql", "--", "-c", "select 1/0", DATABASE_URL=database_url), 1)
    assert "division by zero" in failed
