"""The schema: each migration is applied once and in order, even if several servers start at the same time."""

import hashlib
import logging
import re
from dataclasses import dataclass

import asyncpg

from statsd.database import sql
from statsd.database.pool import Connection, connect
from statsd.errors import DatabaseAway, DatabaseError, SchemaTooNew

OLDEST_VERSION = 15
GONE = ("08", "57")  # SQLSTATE classes: connection exception, operator intervention
MIGRATION_LOCK = 0x57A75D  # key of an advisory lock: servers that start at the same time migrate one after the other
MIGRATION_PATIENCE_SECONDS = 60.0  # for that lock
MIGRATION_SECONDS = 86_400.0  # a day: asyncpg would take None for COMMAND_SECONDS

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


def migrations() -> list[Migration]:
    """Return the program's migrations in order."""
    files = sorted((sql.FOLDER / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Migration(int(file.name[:4]), file.stem, file.read_text()) for file in files]


async def migrate(dsn: str) -> list[str]:
    """Bring the schema up to date and return the names of the migrations applied now.

    Raises SchemaTooNew if the database has a migration this program does not know, DatabaseAway if it stops answering,
    and DatabaseError for any other reason: PostgreSQL is too old, an applied migration has changed since, a statement
    fails, or another server holds the lock for a minute.
    """
    connection = await connect(dsn, statement_timeout="0")
    names: list[str] = []
    try:
        version = connection.get_server_version().major
        if version < OLDEST_VERSION:
            raise DatabaseError(f"PostgreSQL {version} is too old: use {OLDEST_VERSION} or newer")
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


async def _apply_next(connection: Connection) -> str | None:
    """Apply the first missing migration and return its name, or None.

    The lock belongs to the transaction: behind a pooler a session's lock would stay with a session of other clients.
    """
    async with connection.transaction():
        try:
            lock = f"select pg_advisory_xact_lock({MIGRATION_LOCK})"
            await connection.execute(lock, timeout=MIGRATION_PATIENCE_SECONDS)
        except TimeoutError:
            raise DatabaseError(
                f"another server has been bringing the schema up to date for {MIGRATION_PATIENCE_SECONDS:g} s:"
                " try again later, or end its session (it holds the advisory lock in pg_locks)"
            ) from None
        applied = await _applied(connection)
        missing = next((migration for migration in migrations() if migration.number not in applied), None)
        if missing is None:
            return None
        # Distributed PostgreSQL accepts one DDL statement at a time.
        for statement in filter(str.strip, re.split(r";[ \t]*\n", missing.text + "\n")):
            await connection.execute(statement, timeout=MIGRATION_SECONDS)
        insert = "insert into schema_migrations (number, name, checksum) values ($1, $2, $3)"
        await connection.execute(insert, missing.number, missing.name, missing.checksum)
        return missing.name


async def _applied(connection: Connection) -> set[int]:
    """Return the numbers of the applied migrations, once each has been compared with its file."""
    await connection.execute("""
        create table if not exists schema_migrations (
            number integer primary key,
            name text not null,
            checksum text not null,
            applied_at timestamptz not null default now()
        )
        """)
    known = {migration.number: migration for migration in migrations()}
    rows = await connection.fetch("select number, name, checksum from schema_migrations order by number")
    for row in rows:
        migration = known.get(row["number"])
        if migration is None:
            raise SchemaTooNew(
                f"the database was migrated by a newer program (it holds {row['name']},"
                f" this program ends at {migrations()[-1].name}): start the newer program"
            )
        if migration.checksum != row["checksum"]:
            raise DatabaseError(
                f"migration {row['name']} was applied with another text than sql/migrations/{migration.name}.sql has"
                " now: restore the file, and put the change into a new migration"
            )
    return {row["number"] for row in rows}
