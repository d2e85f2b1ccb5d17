"""`restore`: fill an empty database and data folder from a backup, and recount it.

The dump is restored in one transaction. Spool and secrets are put in place before, under the mark `restoring`: while it
is there, no server starts on the folder, and `restore` may run again.
"""

import argparse
import asyncio
import contextlib
import fcntl
import os
import re
import sys
import time
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

from statsd.commands import archive
from statsd.commands.archive import Manifest
from statsd.commands.backup import MEGABYTE, SECONDS, count_rows
from statsd.commands.progress import Progress
from statsd.database import durable, embedded, ledger, programs, sql
from statsd.database.cluster import make_data_dir
from statsd.database.migrations import make_schema, migrate, migrations
from statsd.database.pool import Connection, connect
from statsd.errors import SchemaTooNew, StatsError
from statsd.ingest import recount
from statsd.settings import Settings
from statsd.streams import STREAMS

EXAMPLE = "restore /var/backups/statsd-2026-11-28.tar"

QUERIES = sql.load("restore")
KEPT = ("users", "access_keys", "invitations", "owners", "base_items", "dead_letters")
"""Tables with something to lose, beside the raw rows of the streams."""
HEAD_BYTES = 65_536  # the settings of a session stand before this many bytes of pg_restore's script
UNKNOWN_SETTINGS = re.compile(rb"^SET transaction_timeout = 0;\n", re.MULTILINE)  # to servers before version 17
SPOOL_FILE = re.compile(r"spool/room-\d+/[0-9.]+\.(seg|corrupt)")
SECRET = re.compile(r"secrets/[a-z_]+")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what backup wrote")
    parser.add_argument("--force", action="store_true", help="drop what the database holds and set the spool aside")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    started, data_dir = time.monotonic(), settings.data_dir
    with archive.reading(arguments.file) as backup:
        manifest = backup.manifest
        _check_version(manifest)
        async with _alone(settings) as dsn:
            mark = data_dir / embedded.RESTORING
            url = settings.listen_url or dsn
            connection = await connect(url, statement_timeout="0")
            try:
                await make_schema(connection, url)
                drops = await _check_target(connection, manifest, data_dir, arguments.force or mark.exists())
                durable.replace(mark, f"{arguments.file.resolve()}\n")
                _restore_files(backup, data_dir)
                await _restore_database(backup, url, drops, arguments.quiet)
                faults = await _faults(connection, manifest)
                await migrate(dsn)
                await connection.execute("analyze", timeout=SECONDS)
                faults += await recount_all(connection)
            finally:
                connection.terminate()
            mark.unlink()
            durable.sync_folder(data_dir)
    if faults:
        raise StatsError(f"{arguments.file} was restored, but differs: {'; '.join(faults)}")
    waiting = sum(name.endswith(".seg") for name in manifest.files)
    spooled = f"; events in {waiting} spool files are stored at the next start" if waiting else ""
    print(
        f"restored {sum(manifest.rows.values()):,} rows of {manifest.created} in {time.monotonic() - started:.1f} s:"
        f" every table has its rows, and all totals equal a recount{spooled}",
        file=sys.stderr,
    )


def _check_version(manifest: Manifest) -> None:
    known = {migration.name: migration.checksum for migration in migrations()}
    for name, checksum in manifest.migrations.items():
        if name not in known:
            raise SchemaTooNew(
                f"the backup was made by a newer program (statsd-live {manifest.program}, schema {name}): use that one"
            )
        if known[name] != checksum:
            raise StatsError(f"migration {name} of the backup has another text than this program's: they do not fit")
    unexpected = [
        name
        for name in manifest.files
        if name != archive.DUMP and not (SPOOL_FILE.fullmatch(name) or SECRET.fullmatch(name))
    ]
    if unexpected:
        raise StatsError(f"the backup holds files this program does not know: {', '.join(unexpected)}")


@asynccontextmanager
async def _alone(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN while no other process uses the data folder. Raises StatsError if one does."""
    data_dir = settings.data_dir.resolve()
    busy = f"a server uses {data_dir}: stop it first"
    slots = [os.open(slot, os.O_RDONLY | os.O_DIRECTORY) for slot in (data_dir / "spool").glob("room-*")]
    try:
        for slot in slots:
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StatsError(busy) from None
        if settings.database_url:
            make_data_dir(data_dir)
            yield settings.database_url
        elif embedded.is_used(data_dir):
            raise StatsError(busy)
        else:
            async with embedded.running(data_dir, embedded.tuning(settings)) as server:
                yield settings.in_schema(server.dsn)
    finally:
        for slot in slots:
            os.close(slot)


async def _check_target(connection: Connection, manifest: Manifest, data_dir: Path, force: bool) -> list[str]:
    """Return the statements that drop what the restore replaces. Raises StatsError where it must not begin."""
    schema = await connection.fetchval("select current_schema()")
    if schema != manifest.schema:
        raise StatsError(
            f"the backup is of the schema {manifest.schema}, but the database URL leads to {schema}: set STATS_SCHEMA"
        )
    if servers := await connection.fetchval(QUERIES["servers"]):
        raise StatsError(f"servers have {servers} connections to this database: stop them first")
    objects = await connection.fetch(QUERIES["objects"])
    tables = {record["name"] for record in objects if record["is_table"]}
    ours = ledger.created(migration.text for migration in migrations()) | {ledger.NAME} | manifest.rows.keys()
    if await ledger.find(connection) and ledger.OLD_NAME not in tables:  # then it is our view of that name
        ours.add(ledger.OLD_NAME)
    if strangers := sorted(tables - ours):
        raise StatsError(
            f"the schema {schema} has tables of other programs ({', '.join(strangers[:3])}): use another database"
        )
    if not force:
        for table in sorted(tables & {*map(sql.table, [stream.name for stream in STREAMS]), *KEPT}):
            if await connection.fetchval(f"select exists (select from {table})"):  # noqa: S608
                raise StatsError(
                    f"the database has rows in {table}: restore into an empty one, or drop what it holds with --force"
                )
        if any((data_dir / "spool").glob("room-*/*.seg")):
            raise StatsError(
                f"events wait in {data_dir / 'spool'}: start a server to store them, or set them aside with --force"
            )
    return [record["statement"] for record in objects if record["name"] in ours]


def _restore_files(backup: archive.Reader, data_dir: Path) -> None:
    spool = data_dir / "spool"
    if any(spool.glob("room-*/*")):
        aside = spool.with_name(f"spool-set-aside-{time.time_ns() // 1000}")
        spool.rename(aside)
        print(f"the spool that was there is now {aside}", file=sys.stderr)
    for name in backup.manifest.files:
        if SPOOL_FILE.fullmatch(name):
            path = data_dir / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif SECRET.fullmatch(name):
            path = data_dir / Path(name).name
        else:
            continue
        with durable.writing(path, overwrite=True) as file:
            for chunk in backup.chunks(name):
                file.write(chunk)
    for folder in (*spool.glob("room-*"), spool, data_dir):
        if folder.exists():
            durable.sync_folder(folder)


async def _restore_database(backup: archive.Reader, dsn: str, drops: list[str], quiet: bool) -> None:
    """Run the script that pg_restore makes of the dump, with psql, in one transaction.

    The transaction is committed by our last line alone: psql would commit by itself at the end of its input, and that
    ends early if this process is killed.
    """
    manifest = backup.manifest
    pg_restore = programs.newest(
        "pg_restore", manifest.pg_dump, f"the backup was made by pg_dump {manifest.pg_dump}, ", dsn
    )
    url, environment = programs.connection(dsn)
    options = ("--no-owner", "--no-privileges", f"--schema={manifest.schema}", "--file=-")
    script = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={url}")
    async with (
        programs.piped(environment, pg_restore, *options, stdin=PIPE, stdout=PIPE) as restoring,
        programs.piped(environment, pg_restore.with_name("psql"), *script, stdin=PIPE, stdout=DEVNULL) as running,
    ):
        psql, output = running.process.stdin, restoring.process.stdout
        assert psql
        assert output
        feeding = asyncio.create_task(_feed(backup, restoring.process, quiet))
        try:
            with contextlib.suppress(ConnectionError):  # psql ended early, and says why on stderr
                psql.write("".join(f"{line};\n" for line in ("begin", *drops)).encode())
                await _pass_on(output, psql)
                await restoring.finished()
                psql.write(b"\ncommit;\n")
                await psql.drain()
            psql.close()
            await running.finished()
        finally:
            feeding.cancel()
            await asyncio.wait((feeding,))


async def _feed(backup: archive.Reader, restoring: Process, quiet: bool) -> None:
    """Write the dump to pg_restore. Whatever happens its input ends, so that it does and says what it lacks."""
    assert restoring.stdin
    progress, size = Progress("MB", backup.manifest.files[archive.DUMP].bytes // MEGABYTE or None, quiet), 0
    with contextlib.suppress(ConnectionError), contextlib.closing(restoring.stdin):
        for chunk in backup.chunks(archive.DUMP):
            restoring.stdin.write(chunk)
            await restoring.stdin.drain()
            size += len(chunk)
            progress.show(size // MEGABYTE)
    progress.finish(size // MEGABYTE)


async def _pass_on(script: StreamReader, psql: StreamWriter) -> None:
    head = b""
    while len(head) < HEAD_BYTES and (chunk := await script.read(HEAD_BYTES)):
        head += chunk
    psql.write(UNKNOWN_SETTINGS.sub(b"", head))
    await psql.drain()
    while chunk := await script.read(archive.CHUNK_BYTES):
        psql.write(chunk)
        await psql.drain()


async def _faults(connection: Connection, manifest: Manifest) -> list[str]:
    """Compare the rows of every table with the manifest, and all totals with a recount; return what differs."""
    rows = await count_rows(connection, manifest.schema)
    return [
        f"{table} has {rows.get(table, 0):,} rows in place of {number:,}"
        for table, number in manifest.rows.items()
        if rows.get(table) != number
    ]


async def recount_all(connection: Connection) -> list[str]:
    """Compare all totals with the raw rows; return what differs."""
    faults = []
    for stream in STREAMS:
        print(f"recounting {stream.name}", file=sys.stderr)
        if found := await recount.differences(connection, stream.name):
            first = found[0]
            faults.append(
                f"{first.table} {first.key} is {first.stored}, counted {first.counted} ({len(found)} differences)"
            )
    return faults
