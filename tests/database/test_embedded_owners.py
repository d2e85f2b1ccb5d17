"""The embedded PostgreSQL as root and as other users, and on disks that are full."""

from __future__ import annotations

import logging
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_folders import NOBODY, fetch, held, only_as_root, postmaster, processes, refusal, swept
from disks import fill_disk, small_disk

from statsd.database import embedded, unprivileged

# ---- full disks


@only_as_root
async def test_disk_that_is_full_during_initdb_is_said(folder: Path) -> None:
    with small_disk(folder / "disk", "20m") as path:
        assert await refusal(path / "data") == (
            f"the disk of {path}/data is full: free some space, or set STATS_DATA_DIR to another disk"
        )
        assert not list((path / "data").glob("postgres*/PG_VERSION"))


@only_as_root
@pytest.mark.parametrize("left", [0, 200_000])
async def test_disk_that_is_full_at_the_start_is_said_and_freed_space_heals_it(
    made: Path, folder: Path, left: int
) -> None:
    with small_disk(folder / "disk", "120m") as path:
        subprocess.run(["cp", "-a", made, path / "data"], check=True)
        ballast = fill_disk(path)
        os.truncate(ballast, ballast.stat().st_size - left)
        if not left:
            assert "is full: free some space" in await refusal(path / "data")
        assert processes(path) == []
        ballast.unlink()
        async with embedded.running(path / "data") as server:
            assert await fetch(server.dsn, "select answer from kept") == 42


# ---- whose it is


@only_as_root
async def test_as_root_the_server_runs_as_an_account_of_its_own(data: Path) -> None:
    async with embedded.running(data):
        assert Path(f"/proc/{postmaster(data)}").stat().st_uid == pwd.getpwnam("statsd-live").pw_uid


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an account that is not there yet."""
    name = f"statsd-test-{os.getpid()}"
    monkeypatch.setattr(unprivileged, "NAME", name)
    yield name
    subprocess.run(["/usr/sbin/userdel", name], check=False, stderr=subprocess.DEVNULL)


@only_as_root
def test_account_is_made_once_and_cannot_log_in(account: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "statsd.postgres")
    made = unprivileged.choose_account(folder)
    entry = pwd.getpwnam(account)
    assert (made.uid, entry.pw_dir, entry.pw_shell) == (entry.pw_uid, "/nonexistent", "/usr/sbin/nologin")
    assert 0 < made.uid < 1000
    assert unprivileged.choose_account(folder) == made
    assert caplog.messages == [f"made the system account {account} for PostgreSQL, which does not run as root"]


@only_as_root
def test_where_no_account_can_be_made_it_is_nobody_and_that_is_said(
    account: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unprivileged, "USERADD_PATH", str(folder))
    assert unprivileged.choose_account(folder).uid == NOBODY.pw_uid
    assert f"whom other services may share: make a system account named {account}" in caplog.text


def give_to_nobody(*paths: Path) -> None:
    """As an earlier version made it."""
    subprocess.run(["chown", "-R", f"{NOBODY.pw_uid}:{NOBODY.pw_gid}", *paths], check=True)


@only_as_root
async def test_database_of_nobody_is_handed_over_after_a_clean_stop(data: Path) -> None:
    ours = pwd.getpwnam("statsd-live").pw_uid
    give_to_nobody(data / "postgres")
    (data / "postgres" / "postmaster.pid").write_text("999999\n")  # as after a crash
    async with embedded.running(data) as server:
        assert Path(f"/proc/{postmaster(data)}").stat().st_uid == NOBODY.pw_uid
        async with embedded.running(data):  # and none changes hands while it runs
            assert await fetch(server.dsn, "select answer from kept") == 42
    assert (data / "postgres").stat().st_uid == NOBODY.pw_uid
    os.chown(data / "postgres" / "base", ours, -1)  # as after a hand-over that was cut off
    async with embedded.running(data) as server:
        assert Path(f"/proc/{postmaster(data)}").stat().st_uid == ours
        assert await fetch(server.dsn, "select answer from kept") == 42
    assert {path.lstat().st_uid for path in (data / "postgres", *(data / "postgres").rglob("*"))} == {ours}


@only_as_root
async def test_socket_folder_of_nobody_is_handed_over_with_its_database(folder: Path) -> None:
    data = folder / ("long" * 30)
    async with embedded.running(data):
        pass
    socket_dir = Path(f"/tmp/statsd-{unprivileged.digest(f'{data}/postgres')}")
    give_to_nobody(data / "postgres", socket_dir)
    try:
        async with embedded.running(data) as server:
            assert await fetch(server.dsn, "select 1") == 1
    finally:
        socket_dir.rmdir()


@only_as_root
async def test_database_of_another_user_keeps_its_owner(data: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    subprocess.run(["chown", "-R", f"{daemon.pw_uid}:{daemon.pw_gid}", data / "postgres"], check=True)
    async with embedded.running(data):
        assert Path(f"/proc/{postmaster(data)}").stat().st_uid == daemon.pw_uid


@only_as_root
async def test_as_root_the_server_runs_as_the_owner_of_the_data_folder(folder: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    (folder / "data").mkdir()
    os.chown(folder / "data", daemon.pw_uid, daemon.pw_gid)
    async with embedded.running(folder / "data") as server:
        assert Path(f"/proc/{postmaster(folder / 'data')}").stat().st_uid == daemon.pw_uid
        assert await fetch(server.dsn, "select 1") == 1


@only_as_root
async def test_owner_without_a_name_is_replaced_by_our_account(folder: Path) -> None:
    (folder / "data").mkdir()
    os.chown(folder / "data", 54321, 54321)
    async with embedded.running(folder / "data") as server:
        assert await fetch(server.dsn, "select 1") == 1


@only_as_root
async def test_cluster_that_belongs_to_root_is_refused(data: Path) -> None:
    subprocess.run(["chown", "-R", "root", data / "postgres"], check=True)
    assert "belongs to root, but PostgreSQL does not run as root" in await refusal(data)


@only_as_root
@pytest.mark.parametrize("mode", [0o755, 0o711, 0o700])
async def test_folders_that_were_there_keep_their_owner_and_permissions(folder: Path, mode: int) -> None:
    data = folder / "parent" / "data"
    data.mkdir(parents=True)
    data.chmod(mode)
    data.parent.chmod(mode)
    seen = (data, *data.parents)
    before = [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in seen]
    try:
        async with embedded.running(data) as server:
            assert await fetch(server.dsn, "select 1") == 1
        assert [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in seen] == before
    finally:
        if (data / "postgres").is_symlink():
            swept((data / "postgres").resolve().parent)


@only_as_root
async def test_closed_data_folder_keeps_its_database_in_var_lib(closed: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "statsd.postgres")
    data = closed / "data"
    async with embedded.running(data) as server:
        await fetch(server.dsn, "create table kept as select 42 as answer")
        assert embedded.dsn(data) == server.dsn
    pgdata = (data / "postgres").readlink()
    assert pgdata.is_relative_to(unprivileged.ELSEWHERE)
    assert f"the database of {data} is in {pgdata}" in caplog.text
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select answer from kept") == 42
    assert processes(pgdata) == []


@only_as_root
async def test_closed_data_folder_that_was_moved_keeps_its_database_and_its_old_place_begins_empty(
    closed: Path,
) -> None:
    data, moved = closed / "data", closed / "moved"
    async with embedded.running(data) as server:
        await fetch(server.dsn, "create table kept as select 42 as answer")
    data.rename(moved)
    async with embedded.running(data) as empty, embedded.running(moved) as full:
        assert await fetch(empty.dsn, "select to_regclass('kept')") is None
        assert await fetch(full.dsn, "select answer from kept") == 42


@only_as_root
async def test_closed_data_folder_without_another_place_is_refused(closed: Path) -> None:
    data = closed / "data"
    data.mkdir()
    (data / "password").write_text("secret")
    away = unprivileged.ELSEWHERE / unprivileged.digest(f"{data} secret")
    unprivileged.ELSEWHERE.mkdir(exist_ok=True)
    away.touch()
    try:
        assert "set STATS_DATA_DIR to a folder that every user can pass through" in await refusal(data)
    finally:
        away.unlink()


@only_as_root
async def test_closed_environment_is_copied_once(folder: Path, closed: Path, wheel: Path) -> None:
    subprocess.run(["cp", "-a", *wheel.iterdir(), closed], check=True)
    data = folder / "data"
    made = []
    for _ in range(2):
        async with held(data, wheel=closed) as holder:
            assert await fetch(await holder.serves(), "select 1") == 1
            assert str(data) in os.readlink(f"/proc/{postmaster(data)}/exe")
        made += [path.stat().st_ino for path in data.glob("postgresql-*")]
    assert len(made) == 2
    assert len(set(made)) == 1
    assert processes(folder) == []


@only_as_root
async def test_ordinary_user_needs_nothing_special(folder: Path, wheel: Path) -> None:
    mine = folder / "mine"
    mine.mkdir()
    os.chown(mine, NOBODY.pw_uid, NOBODY.pw_gid)
    for _ in range(2):
        async with held(mine / "data", "nobody", wheel) as holder:
            assert await fetch(await holder.serves(), "select current_user::text") == "statsd"
            assert Path(f"/proc/{postmaster(mine / 'data')}").stat().st_uid == NOBODY.pw_uid
        assert processes(mine) == []


@only_as_root
async def test_folder_the_user_may_not_write_is_refused(folder: Path, wheel: Path) -> None:
    (folder / "data").mkdir(mode=0o555)
    async with held(folder / "data", "nobody", wheel) as holder:
        said = await holder.says()
    assert "permission denied for user nobody, it belongs to user root: run this as the owner, or set" in said


@only_as_root
async def test_another_user_is_told_whose_the_database_is(data: Path, wheel: Path) -> None:
    async with embedded.running(data) as server, held(data, "nobody", wheel) as holder:
        assert "permission denied for user nobody, it belongs to user root" in await holder.says()
        assert await fetch(server.dsn, "select answer from kept") == 42
