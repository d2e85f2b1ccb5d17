"""The embedded PostgreSQL server: start, share, watch, stop.

One data folder has one server, however many of our processes use it. A process holds `postgres.lock` while it starts
or stops the server, and a shared lock on `attached.lock` while it uses it; the last one to leave stops the server.
Both are flocks, which the kernel releases when a process is killed. A server that a killed process left behind is
used by the next start, and stopped with it. A process is signalled only if its command line shows that it is the
server of this folder.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO

from statsd import program
from statsd.database import unprivileged
from statsd.database.cluster import (
    POLL_SECONDS,
    PORT,
    Cluster,
    explain_os_errors,
    hand_over,
    make_data_dir,
    open_private,
    prepare,
)
from statsd.errors import DatabaseError, EmbeddedServerError
from statsd.settings import Settings

START_SECONDS = 300  # crash recovery replays up to a gigabyte of log; giving up would only restart it
ORPHAN_SECONDS = 30  # for the backends of a killed server to finish
STOP_SECONDS = 6  # a clean stop with its checkpoint; the whole program has 10 s to stop
QUIT_SECONDS = 3  # a stop without a checkpoint; the next start takes longer
WATCH_SECONDS = 0.5
STEADY_SECONDS = 60  # a server that ran this long is restarted at once, others after a pause
LONGEST_PAUSE_SECONDS = 30

NO_OPTIONS: Mapping[str, str] = MappingProxyType({})
RESTORING = "restoring"  # a file in the data folder while a restore is incomplete

OPTIONS = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",  # saves an idle process
    "io_method": "sync",  # saves three idle processes
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # details and statements contain data of users
    "log_min_error_statement": "panic",
}

log = logging.getLogger("statsd.postgres")

_children: dict[tuple[Path, int], subprocess.Popen[bytes]] = {}  # to reap; a child may outlive the Server object


class Server:
    """The server of a data folder while this process uses it. `dsn` stays the same after a restart."""

    def __init__(self, cluster: Cluster, options: Mapping[str, str], pid: int) -> None:
        self.dsn = cluster.dsn
        self._cluster = cluster
        self._options = options
        self._pid = pid

    async def ensure(self) -> None:
        """Return when the server is ready, after a restart if it died. Raises EmbeddedServerError."""
        async with _exclusive(self._cluster.data_dir):
            old_pid, self._pid = self._pid, await _start_if_needed(self._cluster, self._options)
        if self._pid != old_pid:
            log.warning("PostgreSQL (pid %d) died and runs again (pid %d)", old_pid, self._pid)

    async def _watch(self) -> None:
        pause, started = 0.0, -float(STEADY_SECONDS)
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._cluster.rotate_log()
            if _is_postmaster(self._cluster, self._pid):
                continue
            steady = time.monotonic() - started > STEADY_SECONDS
            pause = 0.0 if steady else min(max(0.5, 2 * pause), LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)
            started = time.monotonic()
            try:
                await self.ensure()
            except EmbeddedServerError as error:
                log.error("PostgreSQL (pid %d) died and cannot be started yet: %s", self._pid, error)


@contextlib.asynccontextmanager
async def running(data_dir: Path, options: Mapping[str, str] = NO_OPTIONS) -> AsyncIterator[Server]:
    """Yield the server of `data_dir`: started unless it runs, with a new cluster if the folder is empty.

    `options` are settings of PostgreSQL, in addition to ours; a server that runs already keeps its own.
    While the block runs, a server that dies is restarted, with growing pauses if it keeps dying.
    Raises EmbeddedServerError with one sentence for the user.
    """
    data_dir = data_dir.resolve()
    with explain_os_errors(data_dir):
        make_data_dir(data_dir)
        attached = _open_lock(data_dir / "attached.lock")
    with attached:
        async with _exclusive(data_dir):
            _lock(attached, fcntl.LOCK_SH)  # never refused: an exclusive lock is only taken inside _exclusive
            cluster = await prepare(data_dir)
            if _postmaster(cluster) is None:
                cluster = hand_over(cluster)
            server = Server(cluster, options, await _start_if_needed(cluster, options))
        watch = asyncio.create_task(server._watch(), name="postgres watch")
        try:
            yield server
        finally:
            watch.cancel()
            await asyncio.wait((watch,))
            async with _exclusive(data_dir):
                if _lock(attached, fcntl.LOCK_EX):
                    await _stop(cluster)


def dsn(data_dir: Path) -> str:
    """Return the DSN of the server that runs in `data_dir`. Raises EmbeddedServerError if none runs."""
    data_dir = data_dir.resolve()
    require_cluster(data_dir)
    cluster = Cluster(data_dir, (data_dir / "postgres").resolve(), None)
    with explain_os_errors(data_dir):
        url = cluster.dsn
        if _postmaster(cluster) is None:
            raise EmbeddedServerError(
                f"the embedded database in {data_dir} is not running: start it with {program()} serve"
            )
        return url


def require_cluster(data_dir: Path) -> None:
    """Raise EmbeddedServerError if there is no embedded database in the folder, for commands that must not make one."""
    with explain_os_errors(data_dir):
        if not (data_dir / "password").exists():
            raise EmbeddedServerError(
                f"there is no embedded database in {data_dir.resolve()}: "
                f"set STATS_DATA_DIR to its folder, or make one with {program()} serve"
            )


@contextlib.asynccontextmanager
async def stopped(data_dir: Path) -> AsyncIterator[None]:
    """Keep every process away from the server of the folder while the block runs.

    A server that a killed process or a killed pg_upgrade left is stopped. Raises EmbeddedServerError if one is used.
    """
    with explain_os_errors(data_dir):
        attached = _open_lock(data_dir / "attached.lock")
    with attached:
        async with _exclusive(data_dir):
            if not _lock(attached, fcntl.LOCK_EX):
                raise EmbeddedServerError(f"a server uses {data_dir}: stop it first")
            pgdata = (data_dir / "postgres").resolve()
            await stop_upgrade(pgdata)
            await _stop(Cluster(data_dir, pgdata, None))
            yield


async def stop_upgrade(pgdata: Path) -> None:
    """Stop the server that pg_upgrade started on a cluster, if its pg_upgrade was killed."""
    lines = _lines(pgdata / "postmaster.pid")
    if not lines or not lines[0].isdigit():
        return
    pid, deadline = int(lines[0]), time.monotonic() + STOP_SECONDS
    while f"/postgres -D {pgdata} -p {lines[3]} -b " in (_command_line(pid) or "") and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        await asyncio.sleep(10 * POLL_SECONDS)


def is_used(data_dir: Path) -> bool:
    """Whether another process uses the embedded server of the folder now."""
    path = data_dir.resolve() / "attached.lock"
    with explain_os_errors(data_dir):
        if not path.exists():
            return False
        with _open_lock(path) as attached:
            return not _lock(attached, fcntl.LOCK_EX)


@contextlib.asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN of the configured database, or of the embedded server, which runs as long as the block.

    Raises DatabaseError if a restore into the data folder was interrupted: then it is neither empty nor whole.
    """
    if (settings.data_dir / RESTORING).exists():
        raise DatabaseError(
            f"a restore into {settings.data_dir} runs or was interrupted: wait for it, or run restore again"
        )
    options = tuning(settings)
    if settings.database_url:
        if options:
            log.warning("%s is ignored: DATABASE_URL names a server of your own", ", ".join(options))
        yield settings.database_url
    else:
        async with running(settings.data_dir, options) as server:
            yield settings.in_schema(server.dsn)


def tuning(settings: Settings) -> dict[str, str]:
    """Return what the settings `STATS_PG_…` say, by PostgreSQL's names."""
    options = {"shared_buffers": settings.pg_shared_buffers, "max_wal_size": settings.pg_max_wal_size}
    return {name: value for name, value in options.items() if value}


@contextlib.asynccontextmanager
async def _exclusive(data_dir: Path) -> AsyncIterator[None]:
    """Hold `postgres.lock`: only one process at a time starts or stops the server of a folder.

    Raises an OSError of the block as EmbeddedServerError.
    """
    path = data_dir / "postgres.lock"
    with explain_os_errors(data_dir), _open_lock(path) as file:
        deadline = time.monotonic() + START_SECONDS
        while not _lock(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"another process has held {path} for {START_SECONDS} s: end it, try again")
            await asyncio.sleep(POLL_SECONDS)
        yield


def _open_lock(path: Path) -> IO[str]:
    return open(path, "a+", opener=open_private)


def _lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _start_if_needed(cluster: Cluster, options: Mapping[str, str]) -> int:
    pid = _postmaster(cluster)
    if pid is not None and await _is_ready(cluster, pid):
        if other := [f"{k}={v}" for k, v in options.items() if f"-c {k}={v} " not in f"{_command_line(pid)} "]:
            log.warning("PostgreSQL runs already: %s counts from its next start", ", ".join(other))
        return pid
    words = [word for name, value in {**OPTIONS, **options}.items() for word in ("-c", f"{name}={value}")]
    command = (f"{cluster.binaries()}/postgres", "-D", str(cluster.pgdata), "-k", str(cluster.socket_dir), *words)
    cluster.make_socket_dir()
    cluster.rotate_log()
    deadline = time.monotonic() + ORPHAN_SECONDS
    while True:
        _remove_stale_locks(cluster)
        with open(cluster.log_file, "ab+", opener=open_private) as file:
            log_end = file.seek(0, os.SEEK_END)
            child = unprivileged.spawn(cluster.account, *command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
            _children[cluster.pgdata, child.pid] = child
            try:
                if await _is_ready(cluster, child.pid):
                    return child.pid
            except BaseException:
                _abort(child)
                raise
            file.seek(log_end)
            output = file.read().decode(errors="replace")
        if "is still in use" not in output or time.monotonic() > deadline:
            raise cluster.failure("PostgreSQL did not start", output)
        await asyncio.sleep(10 * POLL_SECONDS)


async def _is_ready(cluster: Cluster, pid: int) -> bool:
    """Wait until the postmaster accepts connections. Return False if it ends first."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        lines = _lines(cluster.pgdata / "postmaster.pid")
        if lines[:1] == [str(pid)] and [line.strip() for line in lines[7:]] == ["ready"]:
            return True
        if not _is_postmaster(cluster, pid):
            return False
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"PostgreSQL was not ready after {START_SECONDS} s (log: {cluster.log_file})")
        await asyncio.sleep(POLL_SECONDS)


def _abort(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGQUIT)
    try:
        child.wait(QUIT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


async def _stop(cluster: Cluster) -> None:
    pid = _postmaster(cluster)
    if pid is None:
        return
    for stop_signal, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, QUIT_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, stop_signal)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _is_postmaster(cluster, pid):
                return
            await asyncio.sleep(POLL_SECONDS)
    log.error("PostgreSQL (pid %d) did not stop within %d s and still runs", pid, STOP_SECONDS + QUIT_SECONDS)


def _postmaster(cluster: Cluster) -> int | None:
    """Return the pid of the cluster's server, or None if it does not run."""
    lines = _lines(cluster.pgdata / "postmaster.pid")
    if not lines or not lines[0].isdigit():
        return None
    if _is_postmaster(cluster, int(lines[0])):
        return int(lines[0])
    # The command line of a killed process is already empty while it ends, but its socket may still answer.
    if len(lines) > 4 and _command_line(int(lines[0])) != "" and _answers(f"{lines[4]}/.s.PGSQL.{lines[3]}"):
        raise EmbeddedServerError(
            f"{cluster.pgdata} is served by a PostgreSQL that is not ours (started by hand, or in another container): "
            "stop it, or set DATABASE_URL to use it"
        )
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []


def _remove_stale_locks(cluster: Cluster) -> None:
    """Remove lock files whose pid belongs to another process by now: PostgreSQL takes any of its user for a server."""
    for path in (cluster.pgdata / "postmaster.pid", cluster.socket_dir / f".s.PGSQL.{PORT}.lock"):
        lines = _lines(path)
        if lines and lines[0].isdigit() and _command_line(int(lines[0])) is not None:
            path.unlink()


def _is_postmaster(cluster: Cluster, pid: int) -> bool:
    for key, child in list(_children.items()):
        if child.poll() is not None:
            del _children[key]
    if (cluster.pgdata, pid) in _children:  # the command line of a new process is empty for a moment
        return True
    return f"/postgres -D {cluster.pgdata} -k " in (_command_line(pid) or "")


def _command_line(pid: int) -> str | None:
    """Return the command line of a process, "" if it is unreadable, None if there is no such process.

    The `cwd` in /proc would be simpler, but in a container root may lack the right to read it.
    """
    if sys.platform == "linux":
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
        except (FileNotFoundError, ProcessLookupError):
            return None
        except PermissionError:  # another user's process, and /proc is mounted with hidepid
            return ""
    ps = subprocess.run(["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], stdout=subprocess.PIPE, check=False)
    return os.fsdecode(ps.stdout) or None


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.settimeout(1)
        client.connect(path)
        return True
    return False
