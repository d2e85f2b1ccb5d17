"""A folder with servers, their PostgreSQL and their spool, all of which may be broken.

The servers are processes of `python -m statsd serve`. Their database is the embedded one, started by the first of them.
As root on Linux, database and spool are on small disks of their own, in memory, which can be filled.
"""

import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from statsd.database import embedded, sql
from statsd.database.pool import Connection, connect
from statsd.errors import DatabaseError, StatsError

START_SECONDS = 60.0
SETTLE_SECONDS = 120.0  # PostgreSQL that died several times is restarted after a pause of up to 30 s
STOP_SECONDS = 12.0  # the program promises ten
POLL_SECONDS = 0.02
DATABASE_DISK = "640m"
SPOOL_DISK = "64m"
SERVERS = 2
PORTS = range(20_000, 32_000)

T = TypeVar("T")


class Scratch:
    """Servers by number, and the database they share. `addresses` has the URLs of those that clients may use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.addresses: list[str] = []
        self.disks: dict[str, Path] = {}
        """Folders of the small disks, `database` and `spool`; empty where none could be mounted."""
        self._ports = [_free_port() for _ in range(SERVERS)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("STATS_", "PG", "POSTGRES_", "DATABASE_"))},
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "JWT_SECRET": secrets.token_hex(32),
            "STATS_DATA_DIR": str(self.data),
            "STATS_SPOOL_MIN_FREE": "0",
            "STATS_THROTTLE_EXEMPT": "127.0.0.1",
            "STATS_AGGREGATE_SECONDS": "2",
        }

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    def log(self, number: int = 0) -> Path:
        return self.folder / f"server-{number}.log"

    # ---- servers

    async def start(self, number: int = 0, **environment: str) -> None:
        """Start a server and wait until it answers. Raises StatsError."""
        with self.log(number).open("ab") as log:
            self._processes[number] = process = subprocess.Popen(
                [sys.executable, "-m", "statsd", "serve", "--port", str(self._ports[number])],
                cwd=self.folder,
                env={**self._environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        async def answers() -> bool:
            if process.poll() is not None:
                raise StatsError(f"the server ended with {process.returncode}: {self._last_line(number)}")
            return await self._get(number, "/livez") is not None

        await until(answers, START_SECONDS, "the server answers")
        if self.address(number) not in self.addresses:
            self.addresses.append(self.address(number))

    def address(self, number: int = 0) -> str:
        return f"http://127.0.0.1:{self._ports[number]}"

    def signal_server(self, signal_number: signal.Signals, number: int = 0) -> None:
        self._processes[number].send_signal(signal_number)
        if signal_number is signal.SIGKILL:
            self._processes[number].wait()

    async def stop(self, number: int = 0) -> None:
        """Stop a server by SIGTERM. Raises StatsError if it does not end in time, with exit code 0."""
        process = self._processes.pop(number)
        process.terminate()
        try:
            code = await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise StatsError(f"the server did not stop within {STOP_SECONDS:g} s of SIGTERM") from None
        if code != 0:
            raise StatsError(f"the server ended with {code}: {self._last_line(number)}")

    def _last_line(self, number: int) -> str:
        lines = self.log(number).read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    async def health(self, number: int = 0) -> dict[str, Any] | None:
        """Return the answer of /health, whatever its status; None if the server does not answer."""
        return await self._get(number, "/health")

    async def _get(self, number: int, path: str) -> dict[str, Any] | None:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session,
                session.get(self.address(number) + path) as response,
            ):
                answer: dict[str, Any] = await response.json()
                return answer
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None

    async def settle(self) -> None:
        """Wait until every server reaches the database, and nothing waits on disk or in a statement."""

        async def settled() -> bool:
            for number in self._processes:
                health = await self.health(number)
                if not health or not health["database"] or health["checks"]["spool"]["rows"]:
                    return False
            return not self.waiting_files() and not await self.fetchval(sql.load("prove")["busy"])

        await until(settled, SETTLE_SECONDS, "nothing waits on disk any more")

    def waiting_files(self) -> list[Path]:
        """Return the files of the spool that wait for their replay."""
        return sorted(self.spool.glob("room-*/*.seg"))

    # ---- the database

    async def connect(self) -> Connection:
        """Return a connection to the database. Raises DatabaseError while it is away."""
        return await connect(
            embedded.dsn(self.data),
            application_name="statsd-prove",
            statement_timeout="0",
            default_transaction_read_only="off",
        )

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """Yield a connection, once the database is there."""

        async def attempt() -> "Connection | None":
            with contextlib.suppress(DatabaseError):
                return await self.connect()
            return None

        connection: Connection = await until(attempt, SETTLE_SECONDS, "the database answers")
        assert connection
        try:
            yield connection
        finally:
            connection.terminate()

    async def fetchval(self, query: str) -> Any:
        async with self.connected() as connection:
            return await connection.fetchval(query)

    def signal_database(self, signal_number: signal.Signals) -> None:
        """Send a signal to PostgreSQL and all its processes, which are sessions of their own."""
        postmaster = self._postmaster()
        for pid in [postmaster, *_children(postmaster)] if postmaster else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)

    def _postmaster(self) -> int | None:
        try:
            pid = int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])
            return pid if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes() else None
        except (OSError, ValueError, IndexError):
            return None

    # ---- disks

    def mount(self) -> None:
        """Put database and spool on small disks of their own. Leaves `disks` empty where that is not possible."""
        for name, folder, size in (("database", self.data, DATABASE_DISK), ("spool", self.spool, SPOOL_DISK)):
            folder.mkdir(exist_ok=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", str(folder)]
            if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
                self._unmount()
                return
            self.disks[name] = folder

    def fill(self, disk: str) -> None:
        """Take what is free on a disk, down to its last page."""
        step = 64 << 20
        with (self.disks[disk] / "filler").open("ab") as file:
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
                except OSError:
                    step //= 2

    def free(self, disk: str) -> None:
        (self.disks[disk] / "filler").unlink(missing_ok=True)

    def _unmount(self) -> None:
        for name in reversed(list(self.disks)):
            command = ["umount", "-l", str(self.disks.pop(name))]
            subprocess.run(command, capture_output=True, check=False)

    # ---- the end

    def end(self) -> None:
        """End every process, and give the disks back."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self.signal_database(signal.SIGCONT)
        self.signal_database(signal.SIGKILL)
        home = (self.data / "postgres").resolve().parent
        if home != self.data.resolve():  # the temporary folder is closed to PostgreSQL's user
            shutil.rmtree(home, ignore_errors=True)
        self._unmount()


@contextlib.contextmanager
def scratch() -> Iterator[Scratch]:
    """Yield a new scratch; afterwards its processes are ended and its files deleted. Raises StatsError."""
    if not Path("/proc/self/task").is_dir():
        raise StatsError("prove signals PostgreSQL's processes by /proc: it needs Linux")
    with tempfile.TemporaryDirectory(prefix="statsd-prove-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # as root, PostgreSQL runs as another user
        made = Scratch(Path(name))
        made.mount()
        try:
            yield made
        finally:
            made.end()


async def until(condition: Callable[[], Awaitable[T | None]], seconds: float, what: str) -> T:
    """Wait until `condition` returns something true and return it. Raises StatsError after `seconds`."""
    give_up = time.monotonic() + seconds
    while not (result := await condition()):
        if time.monotonic() > give_up:
            raise StatsError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(POLL_SECONDS)
    return result


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _free_port() -> int:
    """Return a free port below those that the kernel hands out to clients: it stays free while the server is down."""
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StatsError(f"no port from {PORTS[0]} to {PORTS[-1]} is free")
