"""A PostgreSQL that is not ours, and that a test may stop, kill and freeze."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
from waiting import PATIENCE_SECONDS, until


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
