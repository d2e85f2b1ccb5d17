"""The schema: migrations, applied once each and in order, however many servers start at once."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from statsd.database import sql
from statsd.database.embedded import open_server
from statsd.database.pool import connect
from statsd.errors import DatabaseAway, DatabaseError, SchemaTooNew
from statsd.settings import Settings

OLDEST_VERSION = 15
GONE = ("08", "57")  # SQLSTATE classes: the connection broke, or its server was told to stop
MIGRATION_LOCK = 0x57A75D  # any number of ours: two servers that start at once migrate one after the other
MIGRATION_PATIENCE_SECONDS = 60.0
MIGRATION_SECONDS = 86_400.0  # asyncpg reads None as the ten seconds of the connection

log = logging.getLogger("statsd.database")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `sql/migrations`; `checksum` is the SHA-256 of its text in hexadecimal."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements one by one: distributed PostgreSQL takes one DDL statement at a time."""
        return [part for part in re.split(r";[ \t]*\n", self.text + "\n") if part.strip()]


def migrations() -> list[Migration]:
    """Return the program's migrations in order."""
    files = sorted((sql.FOLDER / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Migration(int(file.name[:4]), file.stem, file.read_text()) for file in files]


async def migrate(dsn: str) -> list[str]:
    """Bring the schema up to date and return the names of what was applied now.

    Raises SchemaTooNew, or DatabaseError where a migration that was applied has been changed since, or another server
    is at it for long. Of two that start at once each migration is applied by one.
    """
    connection = await connect(dsn, statement_timeout="0")
    names: list[str] = []
    try:
        if connection.get_server_version().major < OLDEST_VERSION:
            version = connection.get_server_version().major
            raise DatabaseError(f"PostgreSQL {version} is too old: {OLDEST_VERSION} or newer is needed")
        while name := await _apply_next(connection):
            names.append(name)
            log.info("migration %s applied", name)
    except DatabaseError:
        raise
    except Exception as error:
        if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] not in GONE:
            raise DatabaseError(f"the schema could not be brought up to date: {error}") from error
        raise DatabaseAway(f"PostgreSQL stopped answering: {str(error) or type(error).__name__}") from error
    finally:
        connection.terminate()
    return names


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN of a database whose schema is up to date. Raises DatabaseError."""
    async with open_server(settings) as dsn:
        await migrate(dsn)
        yield dsn


async def _apply_next(connection: asyncpg.Connection[asyncpg.Record]) -> str | None:
    """Apply the first migration that is missing, and return its name.

    The lock ends with the transaction: one of the session would stay with a pooler's connection, and lock nobody else
    out of it.
    """
    async with connection.transaction():
        try:
            await connection.execute(
                f"select pg_advisory_xact_lock({MIGRATION_LOCK})", timeout=MIGRATION_PATIENCE_SECONDS
            )
        except TimeoutError:
            raise DatabaseError(
                f"another server has been bringing the schema up to date for {MIGRATION_PATIENCE_SECONDS:g} s:"
                " start again when it has done so, or end its session (the advisory lock in pg_locks)"
            ) from None
        applied = await _applied(connection)
        missing = next((one for one in migrations() if one.number not in applied), None)
        return await _apply(connection, missing) if missing else None


async def _applied(connection: asyncpg.Connection[asyncpg.Record]) -> set[int]:
    await connection.execute("""
        create table if not exists schema_migrations (
            number integer primary key,
            name text not null,
            checksum text not null,
            applied_at timestamptz not null default now()
        )
        """)
    known = {one.number: one for one in migrations()}
    rows = await connection.fetch("select number, name, checksum from schema_migrations order by number")
    for row in rows:
        ours = known.get(row["number"])
        if ours is None:
            raise SchemaTooNew(
                f"the database was migrated by a newer program (it holds {row['name']},"
                f" this program ends at {migrations()[-1].name}): start the newer program"
            )
        if ours.checksum != row["checksum"]:
            raise DatabaseError(
                f"migration {row['name']} was applied with another text than sql/migrations/{ours.name}.sql has now:"
                " restore the file, and put the change into a new migration"
            )
    return {row["number"] for row in rows}


async def _apply(connection: asyncpg.Connection[asyncpg.Record], migration: Migration) -> str:
    for statement in migration.statements:
        await connection.execute(statement, timeout=MIGRATION_SECONDS)
    await connection.execute(
        "insert into schema_migrations (number, name, checksum) values ($1, $2, $3)",
        migration.number,
        migration.name,
        migration.checksum,
    )
    return migration.name
