"""A PostgreSQL that is not ours, and that a test may stop, kill and freeze."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
from ports import free_port
from waiting import PATIENCE_SECONDS, until

NOBODY: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
"""Whom PostgreSQL runs as; root it refuses."""


def postgres(program: str) -> Path:
    """Return where a program of the system's PostgreSQL is."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert installed, "install PostgreSQL 15 or newer: apt-get install postgresql"
    return installed[0].with_name(program)


def make_cluster(data: Path) -> Path:
    """Make the data folder of a server, with a role and a database for us."""
    data.mkdir(mode=0o700)
    if NOBODY:
        shutil.chown(data, "nobody", "nogroup")
    command: list[str | Path] = [postgres("initdb"), "-D", data, "-U", "statsd", "-A", "trust", "--no-sync"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **NOBODY)
    return data


class Outside:
    """A server of the system's packages, on a copy of a data folder."""

    def __init__(self, folder: Path, cluster: Path) -> None:
        self._data = folder / "outside"
        subprocess.run(["cp", "-a", cluster, self._data], check=True)
        self.port = free_port()
        self.dsn = f"postgresql://statsd@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [postgres("postgres"), "-D", self._data, "-k", self._data, "-p", str(self.port), "-h", "127.0.0.1"],
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True, **NOBODY,
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

        connection: asyncpg.Connection = await until(connected)
        return connection
