"""`backup`: write the database, the spool and the secrets into one file, while servers go on storing events.

An event that was acknowledged before the backup began is in it. The spool is opened before the snapshot of the database
is taken: an event that leaves the spool in between is in both, and counts once because of its id.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE
from typing import IO

from statsd import __version__
from statsd.commands import archive
from statsd.commands.progress import Progress
from statsd.database import durable, embedded, ledger, pooler, programs
from statsd.database.migrations import MIGRATION_SECONDS, OLDEST_VERSION
from statsd.database.pool import Connection, connect
from statsd.errors import DatabaseError, StatsError
from statsd.libpq.options import identifier
from statsd.settings import Settings

EXAMPLE = "backup /var/backups/statsd-$(date +%F).tar"

SECRETS = ("jwt_secret",)
"""Files of the data folder. The password of the embedded database is not among them: a new cluster has a new one."""
SPOOL_FILES = ("room-*/*.seg", "room-*/*.corrupt")
SECONDS = MIGRATION_SECONDS  # for one statement: counting a large table takes as long as it takes
MEGABYTE = 1_000_000


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup, a tar archive that only you can read")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    path, started = arguments.file, time.monotonic()
    if not settings.database_url:
        embedded.require_cluster(settings.data_dir)
    try:
        with durable.writing(path, arguments.force) as file, ExitStack() as files:
            spooled = _open_spool(settings.data_dir / "spool", files)
            async with embedded.open_server(settings) as dsn:
                manifest = await _write(archive.Writer(file), settings, dsn, spooled, arguments.quiet)
    except OSError as error:  # of a write it does not say to which file
        raise StatsError(f"no backup was made: {error.filename or path}: {error.strerror or error}") from error
    size, seconds = path.stat().st_size / MEGABYTE, time.monotonic() - started
    print(
        f"{path}: {sum(manifest.rows.values()):,} rows in {len(manifest.rows)} tables, {len(spooled)} spool files,"
        f" {size:,.1f} MB in {seconds:.1f} s; secrets: {', '.join(SECRETS) if has_secrets(manifest) else 'none'};"
        " not in it: .env and other settings, the spools of other servers",
        file=sys.stderr,
    )


def has_secrets(manifest: archive.Manifest) -> bool:
    return any(name.startswith("secrets/") for name in manifest.files)


async def _write(
    tar: archive.Writer, settings: Settings, dsn: str, spooled: dict[str, IO[bytes]], quiet: bool
) -> archive.Manifest:
    url = settings.listen_url or dsn
    connection = await connect(url, statement_timeout="0", idle_in_transaction_session_timeout="0")
    try:
        if type(connection) is pooler.Pooled:  # asyncpg calls every connection an instance
            raise DatabaseError("pg_dump cannot go through a pooler: set STATS_LISTEN_URL to PostgreSQL itself")
        server = connection.get_server_version().major
        if server < OLDEST_VERSION:
            raise DatabaseError(f"PostgreSQL {server} is too old: use {OLDEST_VERSION} or newer")
        pg_dump = programs.newest("pg_dump", server, f"the server is PostgreSQL {server}, ", url)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            [(snapshot, schema, created)] = await connection.fetch(
                'select pg_export_snapshot(), current_schema(), to_char(now(), \'YYYY-MM-DD"T"HH24:MI:SS"Z"\')'
            )
            migrations = await _migrations(connection, schema)
            counting = asyncio.create_task(count_rows(connection, schema))
            try:
                async with contextlib.aclosing(_dump(pg_dump, url, snapshot, schema, quiet)) as chunks:
                    await tar.stream(archive.DUMP, chunks)
                rows = await counting
            finally:
                counting.cancel()
                await asyncio.wait((counting,))
    finally:
        connection.terminate()
    for name, segment in spooled.items():
        tar.add(f"spool/{name}", segment.read())
    for name in SECRETS:
        with contextlib.suppress(FileNotFoundError):
            tar.add(f"secrets/{name}", (settings.data_dir / name).read_bytes())
    manifest = archive.Manifest(
        program=__version__, created=created, server=server, pg_dump=programs.major(pg_dump), schema=schema,
        migrations=migrations, rows=rows, files=tar.files,
    )  # fmt: skip
    tar.finish(manifest)
    return manifest


def _open_spool(folder: Path, files: ExitStack) -> dict[str, IO[bytes]]:
    """Open every file of the spool, by its name below the folder.

    A replay that cannot store rows yet appends them to a new file before it deletes the old one. So if a file vanished
    between the listing and its opening, the folder is listed again.
    """
    opened: dict[str, IO[bytes]] = {}
    vanished = True
    while vanished:
        vanished = False
        for path in sorted(path for pattern in SPOOL_FILES for path in folder.glob(pattern)):
            name = str(path.relative_to(folder))
            try:
                if name not in opened:
                    opened[name] = files.enter_context(path.open("rb"))
            except FileNotFoundError:
                vanished = True
    return opened


async def _migrations(connection: Connection, schema: str | None) -> dict[str, str]:
    table = await ledger.find(connection)
    if not table:
        raise StatsError(f"there is nothing to back up: the schema {schema} of the database has no tables of ours")
    return {name: checksum for _, name, checksum in await ledger.applied(connection, table)}


async def count_rows(connection: Connection, schema: str) -> dict[str, int]:
    """Return the number of rows of each table."""
    tables = await connection.fetch(
        "select format('%I.%I', schemaname, tablename) as place, tablename from pg_tables where schemaname = $1"
        " order by tablename", schema,
    )  # fmt: skip
    count = "select count(*) from {}"
    return {
        table["tablename"]: await connection.fetchval(count.format(table["place"]), timeout=SECONDS) for table in tables
    }


async def _dump(pg_dump: Path, dsn: str, snapshot: str, schema: str, quiet: bool) -> AsyncGenerator[bytes, None]:
    url, environment = programs.connection(dsn)
    options = ("--format=custom", "--compress=1", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
    argv = (pg_dump, *options, f"--schema={identifier(schema)}", f"--dbname={url}")
    progress, size = Progress("MB", None, quiet), 0
    async with programs.piped(environment, *argv, stdout=PIPE) as running:
        output = running.process.stdout
        assert output
        while chunk := await output.read(archive.CHUNK_BYTES):
            size += len(chunk)
            progress.show(size // MEGABYTE)
            yield chunk
        await running.finished()
    progress.finish(size // MEGABYTE)
