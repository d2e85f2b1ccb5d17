"""The embedded PostgreSQL server: started, shared, watched, stopped.

The rule it keeps: one data folder has one server, however many of our processes use it. Who starts or stops it holds
`postgres.lock` meanwhile; who uses it holds `attached.lock` shared; the last to leave stops it. Both are flocks, which
the kernel takes back from a killed process: the server it leaves behind serves the next start and ends with that.
No process is signalled unless its command line says that it is the server of this very folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from statsd.database import cluster, unprivileged
from statsd.database.cluster import POLL_SECONDS, PORT, Cluster
from statsd.errors import EmbeddedServerError
from statsd.settings import Settings

if sys.platform != "win32":
    import fcntl


START_SECONDS = 300  # recovery after a crash replays up to a gigabyte of log; giving up would only begin it anew
HELD_SECONDS = 30  # for the backends of a killed server to end what they are doing
STOP_SECONDS = 6  # a clean stop, checkpoint included; the whole program has 10 to end
QUIT_SECONDS = 3  # a stop without a checkpoint, which only makes the next start longer
WATCH_SECONDS = 0.5
STEADY_SECONDS = 60  # a server that lived this long is started again at once, others after a pause
LONGEST_PAUSE_SECONDS = 30

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
    "max_logical_replication_workers": "0",  # one idle process less
    "io_method": "sync",  # three idle processes less
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # details and statements carry what users sent
    "log_min_error_statement": "panic",
}

log = logging.getLogger("statsd.postgres")

_children: dict[tuple[Path, int], subprocess.Popen[bytes]] = {}  # to be reaped; may outlive the Server that started it


class Server:
    """The server of a data folder while we are attached to it; `dsn` stays the same when it is started again."""

    def __init__(self, place: Cluster, attached: int, pid: int) -> None:
        self.dsn = place.dsn
        self._place = place
        self._attached = attached
        self._pid = pid

    async def ensure(self) -> None:
        """Return when the server is ready, started again if it was dead; for whoever was refused a connection.

        Raises EmbeddedServerError if it cannot be started.
        """
        with cluster.explained(self._place.data_dir):
            async with _transition(self._place.data_dir):
                before, self._pid = self._pid, await _bring_up(self._place)
        if self._pid != before:
            log.warning("PostgreSQL (pid %d) died and runs again (pid %d)", before, self._pid)

    async def _watch(self) -> None:
        pause, started = 0.0, -float(STEADY_SECONDS)
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            cluster.bound_log(self._place)
            if _is_postmaster(self._place, self._pid):
                continue
            steady = time.monotonic() - started > STEADY_SECONDS
            pause = 0.0 if steady else min(max(0.5, 2 * pause), LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)
            started = time.monotonic()
            try:
                await self.ensure()
            except EmbeddedServerError as error:
                log.error("PostgreSQL (pid %d) died and cannot be started yet: %s", self._pid, error)

    async def _leave(self) -> None:
        try:
            with cluster.explained(self._place.data_dir):
                async with _transition(self._place.data_dir):
                    if _lock(self._attached, fcntl.LOCK_EX):
                        await _stop(self._place)
        finally:
            os.close(self._attached)


@contextlib.asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[Server]:
    """Yield the server of `data_dir`: made if the folder is new, started if it does not run, shared if it does.

    While the block runs, a server that died is started again, with growing pauses if it keeps dying.
    Raises EmbeddedServerError, one sentence for the user.
    """
    server = await _attach(data_dir.resolve())
    watch = asyncio.create_task(server._watch(), name="postgres watch")
    try:
        yield server
    finally:
        watch.cancel()
        await asyncio.wait((watch,))
        await server._leave()


def dsn(data_dir: Path) -> str:
    """The DSN of the server that runs in `data_dir`; starts nothing. Raises EmbeddedServerError if none does."""
    _refuse_windows()
    data_dir = data_dir.resolve()
    place = Cluster(data_dir, (data_dir / "postgres").resolve(), None)
    with cluster.explained(data_dir):
        if not place.password_file.exists():
            raise EmbeddedServerError(
                f"there is no embedded database in {data_dir}: "
                "set STATS_DATA_DIR to its folder, or make one with python -m statsd serve"
            )
        answer = place.dsn
        if _postmaster(place) is None:
            raise EmbeddedServerError(
                f"the embedded database in {data_dir} is not running: start it with python -m statsd serve"
            )
        return answer


@contextlib.asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN of the database that is configured, or of the embedded one, which then runs."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    async with running(settings.data_dir) as server:
        yield server.dsn


def _refuse_windows() -> None:
    if sys.platform == "win32":
        raise EmbeddedServerError("there is no embedded PostgreSQL on Windows: set DATABASE_URL to a server")


async def _attach(data_dir: Path) -> Server:
    _refuse_windows()
    with cluster.explained(data_dir):
        cluster.make_data_dir(data_dir)
        async with _transition(data_dir):
            attached = _open_lock(data_dir / "attached.lock")
            try:
                _lock(attached, fcntl.LOCK_SH)  # never refused: who wants more than a share needs the transition too
                place = await cluster.prepare(data_dir)
                return Server(place, attached, await _bring_up(place))
            except BaseException:
                os.close(attached)
                raise


@contextlib.asynccontextmanager
async def _transition(data_dir: Path) -> AsyncIterator[None]:
    path = data_dir / "postgres.lock"
    fd = _open_lock(path)
    try:
        give_up = time.monotonic() + START_SECONDS
        while not _lock(fd, fcntl.LOCK_EX):
            if time.monotonic() > give_up:
                raise EmbeddedServerError(f"another process has held {path} for {START_SECONDS} s: end it, try again")
            await asyncio.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(fd)


def _open_lock(path: Path) -> int:
    return cluster.private(str(path), os.O_RDWR | os.O_CREAT)


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _bring_up(place: Cluster) -> int:
    pid = _postmaster(place)
    if pid is not None and await _is_ready(place, pid):
        return pid
    return await _start(place)


async def _start(place: Cluster) -> int:
    command = _command(place, cluster.binaries(place))
    cluster.make_socket_dir(place)
    cluster.bound_log(place)
    give_up = time.monotonic() + HELD_SECONDS
    while True:
        _remove_stale_locks(place)
        with open(place.log_file, "ab+", opener=cluster.private) as file:
            begin = file.seek(0, os.SEEK_END)
            child = unprivileged.spawn(place.account, *command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
            _children[place.pgdata, child.pid] = child
            try:
                if await _is_ready(place, child.pid):
                    return child.pid
            except BaseException:
                _abort(child)
                raise
            file.seek(begin)
            said = file.read().decode(errors="replace")
        if "is still in use" not in said or time.monotonic() > give_up:
            raise cluster.failure(place, "PostgreSQL did not start", said)
        await asyncio.sleep(10 * POLL_SECONDS)


def _command(place: Cluster, folder: Path) -> list[str]:
    options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
    return [f"{folder}/postgres", "-D", str(place.pgdata), "-k", str(place.socket_dir), *options]


async def _is_ready(place: Cluster, pid: int) -> bool:
    """Wait until the postmaster accepts connections; False if it ends before that."""
    give_up = time.monotonic() + START_SECONDS
    while True:
        lines = _lines(place.pgdata / "postmaster.pid")
        if lines[:1] == [str(pid)] and [line.strip() for line in lines[7:]] == ["ready"]:
            return True
        if not _is_postmaster(place, pid):
            return False
        if time.monotonic() > give_up:
            raise EmbeddedServerError(f"PostgreSQL was not ready after {START_SECONDS} s (log: {place.log_file})")
        await asyncio.sleep(POLL_SECONDS)


def _abort(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGQUIT)
    try:
        child.wait(QUIT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


async def _stop(place: Cluster) -> None:
    pid = _postmaster(place)
    if pid is None:
        return
    for way, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, QUIT_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, way)
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if not _is_postmaster(place, pid):
                return
            await asyncio.sleep(POLL_SECONDS)
    log.error("PostgreSQL (pid %d) did not stop within %d s and is left behind", pid, STOP_SECONDS + QUIT_SECONDS)


def _postmaster(place: Cluster) -> int | None:
    """The pid of the cluster's server, if it runs."""
    lines = _lines(place.pgdata / "postmaster.pid")
    if not lines or not lines[0].isdigit():
        return None
    if _is_postmaster(place, int(lines[0])):
        return int(lines[0])
    # While a killed process ends its command line is empty already, but its socket may still answer.
    if len(lines) > 4 and _command_line(int(lines[0])) != "" and _answers(f"{lines[4]}/.s.PGSQL.{lines[3]}"):
        raise EmbeddedServerError(
            f"{place.pgdata} is served by a PostgreSQL that is not ours (started by hand, or in another container): "
            "stop it, or set DATABASE_URL to use it"
        )
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []


def _remove_stale_locks(place: Cluster) -> None:
    """PostgreSQL sees through the pid of a dead process, but takes a living one of its user for a server."""
    for path in (place.pgdata / "postmaster.pid", place.socket_dir / f".s.PGSQL.{PORT}.lock"):
        lines = _lines(path)
        if lines and lines[0].isdigit() and _command_line(int(lines[0])) is not None:
            path.unlink()


def _is_postmaster(place: Cluster, pid: int) -> bool:
    for key, child in list(_children.items()):
        if child.poll() is not None:
            del _children[key]
    if (place.pgdata, pid) in _children:  # its command line is empty for a moment after the start
        return True
    return f"/postgres -D {place.pgdata} -k " in (_command_line(pid) or "")


def _command_line(pid: int) -> str | None:
    """None for no process. Not /proc's `cwd`: to follow that, root in a container lacks the right."""
    if sys.platform == "linux":
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
        except (FileNotFoundError, ProcessLookupError):
            return None
        except PermissionError:  # another user's, and /proc is mounted with hidepid
            return ""
    listed = subprocess.run(["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], stdout=subprocess.PIPE, check=False)
    return os.fsdecode(listed.stdout) or None


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.settimeout(1)
        client.connect(path)
        return True
    return False
