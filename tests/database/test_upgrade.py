"""`upgrade-db`: from a cluster that PostgreSQL 16 made and filled to the PostgreSQL of this program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from data_folders import IS_ROOT, NOBODY, fetch, processes, refusal, swept
from folders import open_folder
from program import Program
from waiting import until

from statsd.database import cluster, embedded, migrations, programs, unprivileged, upgrade
from statsd.database.pool import open_pool
from statsd.errors import EmbeddedServerError
from statsd.ingest import ids
from statsd.ingest.writer import Writer
from statsd.streams import STREAMS

ACCOUNT = unprivileged.Account(NOBODY.pw_uid, NOBODY.pw_gid) if IS_ROOT else None


def old_programs(home: Path) -> Path:
    """PostgreSQL 16 of the wheel, or a copy that the server's user can run."""
    (install,) = [folder for folder in programs.folders() if programs.major(folder / "bin" / "postgres") == 16]
    if ACCOUNT and not unprivileged.can_run(ACCOUNT, f"{install}/bin/postgres", "--version"):
        install = unprivileged.copy_install(install, home / "old-programs")
    return install / "bin"


@contextlib.asynccontextmanager
async def old_server(folder: Path, data: Path, stop: signal.Signals = signal.SIGINT) -> AsyncIterator[str]:
    """PostgreSQL 16 on the cluster of `data`, as an older version of the program would run it."""
    pgdata = data / "postgres"
    argv = (f"{old_programs(folder)}/postgres", "-D", f"{pgdata}", "-k", f"{pgdata}", "-c", "listen_addresses=")
    server = unprivileged.spawn(ACCOUNT, *argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await until(lambda: is_ready(pgdata))
        yield cluster.Cluster(data, pgdata, ACCOUNT).dsn
    finally:
        (os.killpg if stop is signal.SIGKILL else os.kill)(server.pid, stop)
        server.wait(60)


def is_ready(pgdata: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return "ready" in (pgdata / "postmaster.pid").read_text()
    return False


async def make(folder: Path) -> None:
    """Make `folder`/data with a cluster of 16, with the schema and 50 rows of every stream."""
    data = folder / "data"
    data.mkdir(mode=0o711)
    data.chmod(0o711)
    (data / "password").write_text("secret")
    (data / "password").chmod(0o600)
    work = Path(subprocess.check_output(["mktemp", "-d", "-p", data], text=True).strip())
    (work / "password").write_text("secret")
    if ACCOUNT:
        os.chown(work / "password", *ACCOUNT)
        os.chown(work, *ACCOUNT)
    login = ("--username=statsd", f"--pwfile={work}/password", "--auth=scram-sha-256", "--set=huge_pages=off")
    argv = (f"{old_programs(folder)}/initdb", f"--pgdata={work}/data", "--encoding=UTF8", "--locale=C", *login, "-N")
    assert unprivileged.spawn(ACCOUNT, *argv, stdout=subprocess.DEVNULL).wait() == 0
    (work / "data").rename(data / "postgres")
    shutil.rmtree(work)
    async with old_server(folder, data) as dsn:
        connection = await asyncpg.connect(dsn.replace("/statsd?", "/postgres?"))
        await connection.execute("create database statsd")
        await connection.close()
        await migrations.migrate(dsn)
        async with await open_pool(dsn) as pool:
            for stream in STREAMS[:1]:
                writer = Writer(stream, pool)
                writing = asyncio.create_task(writer.run())
                rng = random.Random(1)
                await writer.store([stream.row(stream.sample(rng), ids.new_id()) for _ in range(50)])
                writer.stop()
                await writing


@pytest.fixture(scope="module")
def sixteen() -> Iterator[Path]:
    """A data folder of PostgreSQL 16, to be copied."""
    with open_folder() as path:
        asyncio.run(make(path))
        yield path / "data"


@pytest.fixture
def data(sixteen: Path, folder: Path) -> Path:
    subprocess.run(["cp", "-a", sixteen, folder / "data"], check=True)
    return folder / "data"


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def begin(*words: str) -> Program:
        started.append(Program(*words, folder=folder))
        return started[-1]

    yield begin
    for program in started:
        program.process.kill()
        program.process.communicate()


def version(folder: Path) -> str:
    return (folder / "PG_VERSION").read_text().strip()


async def test_start_says_what_to_do_and_the_upgrade_keeps_the_old_data(
    data: Path, run: Callable[..., Program]
) -> None:
    assert "is of PostgreSQL 16, but this program brings 18: run python -m statsd upgrade-db" in await refusal(data)
    program = run("upgrade-db")
    assert await program.ended() == 0, program.stderr
    assert f"upgraded; all totals equal a recount. The old data is in {data}/postgres-16" in program.stderr
    assert [version(data / "postgres-16"), version(data / "postgres")] == ["16", "18"]
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select count(*) from user_logins") == 50
        assert await fetch(server.dsn, "show data_checksums") == "on"
        assert await fetch(server.dsn, "show jit") == "off"
    assert processes(data) == []
    assert not list(data.glob("postgres.new-*"))
    again = run("upgrade-db")
    assert await again.ended() == 0
    assert "the database is up to date" in again.stderr


async def test_killed_upgrade_leaves_old_data_that_can_be_used_and_upgraded(
    data: Path, run: Callable[..., Program], folder: Path
) -> None:
    killed = run("upgrade-db")
    await until(lambda: list(data.glob("postgres.new-*/data/pg_upgrade_output.d")))
    killed.process.kill()
    await killed.ended()
    await until(lambda: upgrading(data) == [])
    assert version(data / "postgres") == "16"
    async with old_server(folder, data) as dsn:
        assert await fetch(dsn, "select count(*) from user_logins") == 50
    program = run("upgrade-db")
    assert await program.ended() == 0, program.stderr
    assert version(data / "postgres") == "18"
    assert not list(data.glob("postgres.new-*"))


def upgrading(data: Path) -> list[int]:
    """The processes of pg_upgrade, which goes on by itself for a moment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = os.fsdecode((entry / "cmdline").read_bytes())
            if str(data) in line and ("pg_upgrade" in line or "-b" in line.split("\0")):
                found.append(int(entry.name))
    return found


async def test_upgrade_cut_off_between_its_two_renames_is_said_and_done_again(data: Path) -> None:
    (data / "postgres").rename(data / "postgres-16")
    said = await refusal(data)
    assert f"{data}/postgres is gone, but {data}/postgres-16 holds a database" in said
    assert "run python -m statsd upgrade-db" in said
    assert not (data / "postgres").exists()
    lines: list[str] = []
    assert await upgrade.upgrade(data, None, lines.append) == data / "postgres-16"
    assert lines[0] == f"{data}/postgres-16 is in its place again: the upgrade before was interrupted"
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select count(*) from user_logins") == 50


async def test_crashed_old_server_is_recovered_first(data: Path, folder: Path) -> None:
    async with old_server(folder, data, signal.SIGKILL) as dsn:
        await fetch(dsn, "create table kept as select 42 as answer")
    await until(lambda: processes(data) == [])
    lines: list[str] = []
    await upgrade.upgrade(data, old_programs(folder), lines.append)
    assert "recovering the old database: it was not stopped properly" in lines
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select answer from kept") == 42


async def test_upgrade_refuses_what_cannot_work_and_changes_nothing(
    data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def says(old: Path | None = None) -> str:
        with pytest.raises(EmbeddedServerError) as refused:
            await upgrade.upgrade(data, old, print)
        assert version(data / "postgres") == "16"
        return str(refused.value)

    newest = programs.newest("postgres").parent
    assert f"{newest} has PostgreSQL 18, but the database is of version 16" in await says(newest)
    assert f"{folder} has no postgres that runs" in await says(folder)
    with monkeypatch.context() as without:
        without.setattr(programs, "folders", lambda: [newest.parent])
        assert "PostgreSQL 16 are not here: install them, and name their folder with --old-bindir" in await says()
    with monkeypatch.context() as full:
        full.setattr(upgrade, "SPARE_BYTES", 1 << 60)
        assert "MB free: free some space" in await says()
    (data / "postgres-16").mkdir()
    assert "postgres-16 exists, from an earlier upgrade: remove it" in await says()


async def test_upgrade_waits_for_nobody_and_disturbs_nobody(folder: Path, sixteen: Path) -> None:
    data = folder / "data"
    async with embedded.running(data):
        with pytest.raises(EmbeddedServerError, match="a server uses"):
            await upgrade.upgrade(data, None, print)
    swept(data)
