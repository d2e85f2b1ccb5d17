"""The embedded PostgreSQL after kill -9 of whatever was running."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest
from data_folders import IS_ROOT, fetch, held, postmaster, processes
from waiting import until

from statsd.database import embedded
from statsd.errors import EmbeddedServerError


async def test_server_left_by_a_killed_process_serves_the_next_start_and_stops_with_it(data: Path) -> None:
    async with held(data) as starter:
        await starter.serves()
        left = postmaster(data)
        await starter.end(signal.SIGKILL)
        assert processes(data)
        async with embedded.running(data) as server:
            assert postmaster(data) == left
            assert await fetch(server.dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_everything_killed_is_recovered_by_the_next_start(data: Path) -> None:
    async with held(data) as starter:
        dsn = await starter.serves()
        await fetch(dsn, "insert into kept values (43)")
        await starter.end(signal.SIGKILL)
        pids = processes(data)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until(lambda: all(map(has_ended, pids)))  # on a busy machine they outlive the signal for a moment
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select sum(answer) from kept") == 85
    assert processes(data) == []


async def killed_postmaster(data: Path) -> int:
    pid = postmaster(data)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: has_ended(pid))
    return pid


def has_ended(pid: int) -> bool:
    """Whether it is gone, or waits for its parent to notice."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    return True


def is_another(data: Path, pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        lines = (data / "postgres" / "postmaster.pid").read_text().split()
        return lines[-1:] == ["ready"] and lines[0] != str(pid)
    return False


async def test_killed_server_comes_back_by_itself_with_its_data(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "statsd.postgres")
    async with embedded.running(data) as server:
        for number in range(2):
            await fetch(server.dsn, f"insert into kept values ({number})")
            killed = await killed_postmaster(data)
            await until(lambda: "died and runs again" in caplog.text)
            assert is_another(data, killed)
            caplog.clear()
        assert await fetch(server.dsn, "select count(*) from kept") == 3
    assert processes(data) == []


async def test_killed_server_comes_back_while_a_backend_of_it_is_still_busy(data: Path) -> None:
    async with embedded.running(data) as server:
        connection = await asyncpg.connect(server.dsn)
        busy = asyncio.create_task(connection.fetchval("select count(*) from generate_series(1, 8000000)"))
        await until(lambda: any(map(is_busy, processes(data))))
        killed = await killed_postmaster(data)
        await server.ensure()
        assert is_another(data, killed)
        assert await fetch(server.dsn, "select answer from kept") == 42
        await asyncio.wait((busy,))
        busy.exception()
        connection.terminate()
    assert processes(data) == []


def is_busy(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"SELECT" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


async def test_two_attached_processes_start_a_killed_server_once(data: Path) -> None:
    async with held(data) as other:
        await other.serves()
        async with embedded.running(data) as server:
            killed = await killed_postmaster(data)
            await asyncio.gather(server.ensure(), server.ensure())
            await until(lambda: is_another(data, killed))
            assert await fetch(server.dsn, "select answer from kept") == 42
        again = postmaster(data)
        await other.end()
        assert again != killed
    assert processes(data) == []
    assert (data / "postgres.log").read_text().count("lock file") == 0


async def test_attached_process_brings_the_server_back_after_its_starter_is_gone(data: Path) -> None:
    async with held(data) as starter:
        await starter.serves()
        async with embedded.running(data) as server:
            await starter.end(signal.SIGKILL)
            killed = await killed_postmaster(data)
            await until(lambda: is_another(data, killed))
            assert await fetch(server.dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_server_that_cannot_come_back_is_said_in_the_log(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with embedded.running(data) as server:
        conf = data / "postgres" / "postgresql.conf"
        whole = conf.read_text()
        conf.write_text("nonsense = yes\n")
        await killed_postmaster(data)
        await until(lambda: "died and cannot be started yet" in caplog.text)
        assert "nonsense" in caplog.text
        conf.write_text(whole)
        await until(lambda: "died and runs again" in caplog.text)
        assert await fetch(server.dsn, "select answer from kept") == 42
    assert processes(data) == []


async def test_pid_that_now_belongs_to_another_program_is_left_alone(data: Path) -> None:
    async with held(data) as starter:
        await starter.serves()
        await starter.end(signal.SIGKILL)
        pid_file = data / "postgres" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        os.kill(int(lines[0]), signal.SIGKILL)
        await until(lambda: not processes(data))
    who = pid_file.stat().st_uid if IS_ROOT else None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=who) as unrelated:
        pid_file.write_text("\n".join([str(unrelated.pid), *lines[1:]]) + "\n")
        with pytest.raises(EmbeddedServerError, match="is not running"):
            embedded.dsn(data)
        async with embedded.running(data) as server:
            assert await fetch(server.dsn, "select answer from kept") == 42
        assert unrelated.poll() is None
        unrelated.communicate()
        assert unrelated.returncode == 0
    assert processes(data) == []


async def test_initdb_that_was_killed_is_done_again(folder: Path) -> None:
    data = folder / "data"
    async with held(data) as starter:
        await until(lambda: list(data.glob("postgres.new-*/data/base")))
        await starter.end(signal.SIGKILL)
    await until(lambda: not processes(folder))
    assert list(data.glob("postgres.new-*"))
    assert not (data / "postgres").exists()
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select 1") == 1
        assert not list(data.glob("postgres.new-*"))


def any_file(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


async def test_start_that_is_cancelled_leaves_nothing_behind(folder: Path) -> None:
    data = folder / "data"

    async def use() -> None:
        async with embedded.running(data):
            await asyncio.Event().wait()

    marks = ("postgres.new-*/data/base", "postgres.log", "postgres/.s.PGSQL.5432", "postgres/postmaster.pid")
    for mark in marks:  # cancelled in initdb, then while the server starts, then when it is up
        task = asyncio.create_task(use())
        await until(functools.partial(any_file, data, mark))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not processes(folder))
        assert not list(data.glob("postgres.new-*"))
    async with embedded.running(data) as server:
        assert await fetch(server.dsn, "select 1") == 1
    assert processes(folder) == []
