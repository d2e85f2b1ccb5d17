"""The embedded database moves to the major version of PostgreSQL that the program brings.

pg_upgrade copies it into a new cluster, beside the old one. Only when that is complete are the two renamed, so the old
data can be used at every moment; they stay, as `postgres-16`, until the user removes them.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from statsd.database import durable, embedded, programs, unprivileged
from statsd.database.cluster import (
    MAJOR,
    NAME,
    Cluster,
    explain_os_errors,
    initdb,
    left_by_upgrade,
    locate,
    run,
)
from statsd.errors import EmbeddedServerError

SPARE_BYTES = 256 << 20  # for an empty cluster, its log, and what pg_upgrade writes
MEGABYTE = 1_000_000


async def upgrade(data_dir: Path, old_programs: Path | None, say: Callable[[str], None]) -> Path | None:
    """Upgrade the cluster of `data_dir`; return the folder with the old data, or None if there is nothing to do.

    `old_programs` is the folder with the old `postgres`, by default that of the wheel. Raises EmbeddedServerError.
    """
    data_dir = data_dir.resolve()
    async with embedded.stopped(data_dir):
        with explain_os_errors(data_dir):
            if left := left_by_upgrade(data_dir):
                left.rename(os.path.realpath(data_dir / "postgres"))
                say(f"{left} is in its place again: the upgrade before was interrupted")
            cluster = locate(data_dir)
            version = (cluster.pgdata / "PG_VERSION").read_text().strip()
            if version == MAJOR:
                return None
            kept = cluster.pgdata.with_name(f"postgres-{version}")
            _check(cluster, version, kept)
            async with _work(cluster) as work:
                old = old_programs or _bundled(version, cluster, work)
                _check_programs(old, version, cluster)
                await _fill(cluster, work, old, say)
                cluster.pgdata.rename(kept)
                (work / "data").rename(cluster.pgdata)
                durable.sync_folder(cluster.pgdata.parent)
            return kept


def _check(cluster: Cluster, version: str, kept: Path) -> None:
    """Refuse what cannot work before anything is written."""
    if not version.isdigit() or int(version) > int(MAJOR):
        raise EmbeddedServerError(f"{cluster.pgdata} is of PostgreSQL {version}, newer than this program's {MAJOR}")
    if kept.exists():
        raise EmbeddedServerError(f"{kept} exists, from an earlier upgrade: remove it, or move it away")
    needed = SPARE_BYTES + sum(path.lstat().st_size for path in cluster.pgdata.rglob("*"))
    free = shutil.disk_usage(cluster.pgdata.parent).free
    if free < needed:
        raise EmbeddedServerError(
            f"the upgrade needs {needed / MEGABYTE:,.0f} MB on the disk of {cluster.pgdata.parent}, which has "
            f"{free / MEGABYTE:,.0f} MB free: free some space"
        )


@contextlib.asynccontextmanager
async def _work(cluster: Cluster) -> AsyncIterator[Path]:
    """Yield a folder beside the cluster. What a killed process leaves of it is removed by the next start."""
    home = cluster.pgdata.parent
    for leftover in home.glob("postgres.new-*"):
        await embedded.stop_upgrade(leftover / "data")
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=home))
    try:
        if cluster.account:
            os.chown(work, *cluster.account, follow_symlinks=False)
        yield work
    finally:
        for pgdata in (cluster.pgdata, work / "data"):
            await embedded.stop_upgrade(pgdata)
        shutil.rmtree(work, ignore_errors=True)


def _bundled(version: str, cluster: Cluster, work: Path) -> Path:
    """Return the programs of the wheel of this version, or a copy if the server's user cannot run those."""
    for install in programs.folders():
        if programs.major(install / "bin" / "postgres") == int(version):
            if cluster.account and not unprivileged.can_run(cluster.account, f"{install}/bin/postgres", "--version"):
                install = unprivileged.copy_install(install, work / "programs")  # noqa: PLW2901
            return install / "bin"
    raise EmbeddedServerError(
        f"the programs of PostgreSQL {version} are not here: install them, and name their folder with --old-bindir"
    )


def _check_programs(folder: Path, version: str, cluster: Cluster) -> None:
    found = programs.major(folder / "postgres")
    if found != int(version):
        has = f"has PostgreSQL {found}" if found else "has no postgres that runs"
        raise EmbeddedServerError(f"{folder} {has}, but the database is of version {version}")
    if cluster.account and not unprivileged.can_run(cluster.account, f"{folder}/postgres", "--version"):
        user = unprivileged.user_name(cluster.account.uid)
        raise EmbeddedServerError(f"{folder} cannot be used by {user}, who owns the database: give access to it")


async def _fill(cluster: Cluster, work: Path, old: Path, say: Callable[[str], None]) -> None:
    """Make the new cluster in `work`/data."""
    control = await run(cluster, f"{old}/pg_controldata", str(cluster.pgdata))
    if not re.search(r"^Database cluster state: +shut down$", control, re.MULTILINE):
        say("recovering the old database: it was not stopped properly")
        await run(cluster, f"{old}/postgres", "--single", "-D", str(cluster.pgdata), "template1")
    has_checksums = not re.search(r"^Data page checksum version: +0$", control, re.MULTILINE)
    new = cluster.binaries()
    await initdb(cluster, work, *(() if has_checksums else ("--no-data-checksums",)))
    say("copying the database with pg_upgrade")
    with tempfile.TemporaryDirectory(prefix="statsd-") as sockets:  # a short path: that of a socket has 103 bytes
        if cluster.account:
            os.chown(sockets, *cluster.account)
        await run(
            cluster, f"{new}/pg_upgrade", "--copy", f"--username={NAME}", f"--socketdir={sockets}",
            f"--old-bindir={old}", f"--new-bindir={new}",
            f"--old-datadir={cluster.pgdata}", f"--new-datadir={work}/data",
            folder=str(work), password=cluster.password_file.read_text(),
        )  # fmt: skip
    if not has_checksums:
        await run(cluster, f"{new}/pg_checksums", "--enable", f"--pgdata={work}/data")
