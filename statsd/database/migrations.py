"""The schema: each migration is applied once and in order, even if several servers start at the same time."""

import hashlib
import logging
import re
from dataclasses import dataclass

import asyncpg

from statsd import program
from statsd.database import ledger, sql
from statsd.database.pool import Connection, connect
from statsd.errors import DatabaseAway, DatabaseError, SchemaTooNew
from statsd.libpq import options
from statsd.libpq.forms import schema

OLDEST_VERSION = 15
GONE = ("08", "57")  # SQLSTATE classes: connection exception, operator intervention
MIGRATION_PATIENCE_SECONDS = 60.0  # for the lock
MIGRATION_SECONDS = 86_400.0  # a day: asyncpg would take None for COMMAND_SECONDS

MIGRATION_LOCK = 0x57A75D  # key of an advisory lock, in the schema `public`
LOCK = f"""
    select pg_advisory_xact_lock(
        case current_schema()
            when 'public' then {MIGRATION_LOCK} else hashtextextended(current_schema(), {MIGRATION_LOCK})
        end
    )
"""
"""Servers that start at the same time migrate a schema one after the other.

The lock belongs to the transaction: behind a pooler a session's lock would stay with a session of other clients.
"""

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

    A schema that is up to date is only read: a role that may not change it can use it. The first migrations of a schema
    are one transaction, each later one is its own.

    Raises SchemaTooNew if the database has a migration this program does not know, DatabaseAway if it stops answering
    or cannot be written to, and DatabaseError for any other reason: PostgreSQL is too old, something of another program
    has one of our names, the role lacks a privilege, an applied migration has changed since, a statement fails, or
    another server holds the lock for a minute.
    """
    connection = await connect(dsn, statement_timeout="0")
    names: list[str] = []
    try:
        version = connection.get_server_version().major
        if version < OLDEST_VERSION:
            raise DatabaseError(f"PostgreSQL {version} is too old: use {OLDEST_VERSION} or newer")
        await make_schema(connection, dsn)
        table, missing = await _pending(connection)
        if await connection.fetchval("select current_setting('transaction_read_only')") == "on":
            _accept_read_only(table, missing)
        elif missing or table != ledger.NAME:
            names = await _apply_all(connection, schema(dsn) not in (None, "public"))
    except DatabaseError:
        raise
    except Exception as error:
        if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] not in GONE:
            raise DatabaseError(f"the schema could not be brought up to date: {error}") from error
        raise DatabaseAway(f"PostgreSQL stopped answering: {str(error) or type(error).__name__}") from error
    finally:
        connection.terminate()
    if names:
        log.info("migrations applied: %d, the last is %s", len(names), names[-1])
    return names


async def make_schema(connection: Connection, dsn: str) -> None:
    """Create the schema that the URL leads into, if it names one that is missing. Raises DatabaseError."""
    name = schema(dsn)
    if name is None:
        return
    quoted, role = options.identifier(name), await connection.fetchval("select current_user")
    query = "select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = $1"
    may_use = await connection.fetchval(query, name)  # None: there is no such schema
    if may_use:
        return
    if may_use is False:
        raise DatabaseError(f"the role {role} may not use the schema {name}: grant usage on schema {quoted} to {role}")
    try:
        await connection.execute(f"create schema {quoted}")
    except (asyncpg.DuplicateSchemaError, asyncpg.UniqueViolationError):
        return  # another server was faster
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseError(
            f"the role {role} may not create the schema {name} ({error}): as the database's owner, run"
            f" create schema {quoted} authorization {role}"
        ) from error
    log.info("the schema %s is created: statistics begin with nothing in it", name)


async def _pending(connection: Connection) -> tuple[str | None, list[Migration]]:
    """Return the name of the table that says what was applied, and what it lacks."""
    table = await ledger.find(connection)
    return table, _missing(await ledger.applied(connection, table) if table else [])


def _missing(applied: list[tuple[int, str, str]]) -> list[Migration]:
    """Return the migrations that were not applied yet, once each of the others has been compared with its file."""
    known = {migration.number: migration for migration in migrations()}
    for number, name, checksum in applied:
        migration = known.pop(number, None)
        if migration is None:
            raise SchemaTooNew(
                f"the database was migrated by a newer program (it holds {name},"
                f" this program ends at {migrations()[-1].name}): start the newer program"
            )
        if migration.checksum != checksum:
            raise DatabaseError(
                f"migration {name} was applied with another text than sql/migrations/{migration.name}.sql has"
                " now: restore the file, and put the change into a new migration"
            )
    return [*known.values()]


def _accept_read_only(table: str | None, missing: list[Migration]) -> None:
    """Raise DatabaseAway if the schema would have to be changed."""
    about = "the database is read-only (a standby, or default_transaction_read_only is on)"
    if missing or table is None:
        raise DatabaseAway(f"{about}, and its schema is not up to date: use the primary's URL")
    log.warning("%s: it answers, but stores nothing", about)


async def _apply_all(connection: Connection, marked: bool) -> list[str]:
    names: list[str] = []
    try:
        while applied := await _apply_next(connection, marked):
            for name in applied:
                log.debug("migration %s applied", name)
            names += applied
    except asyncpg.InsufficientPrivilegeError as error:
        table, missing = await _pending(connection)
        pending = ", ".join(migration.name for migration in missing) or f"{ledger.OLD_NAME} becomes {ledger.NAME}"
        role = await connection.fetchval("select current_user")
        raise DatabaseError(
            f"the role {role} may not change the schema ({error}); pending: {pending if table else 'all migrations'}."
            " Run this once with the URL of the role that owns the tables:"
            f" {program()} aggregate --database-url URL"
        ) from error
    return names


async def _apply_next(connection: Connection, marked: bool) -> list[str]:
    """Apply the first missing migration, or all in a schema that has none yet; return their names."""
    async with connection.transaction():
        try:
            await connection.execute(LOCK, timeout=MIGRATION_PATIENCE_SECONDS)
        except TimeoutError:
            raise DatabaseError(
                f"another server has been bringing the schema up to date for {MIGRATION_PATIENCE_SECONDS:g} s:"
                " try again later, or end its session (it holds the advisory lock in pg_locks)"
            ) from None
        table, missing = await _pending(connection)
        await _require_room(connection, table, missing)
        if table is None:
            await ledger.create(connection, marked)
        elif table == ledger.OLD_NAME:
            await ledger.move(connection)
        batch = missing[:1] if table else missing
        for migration in batch:
            # Distributed PostgreSQL accepts one DDL statement at a time.
            for statement in filter(str.strip, re.split(r";[ \t]*\n", migration.text + "\n")):
                await connection.execute(statement, timeout=MIGRATION_SECONDS)
            await ledger.add(connection, migration.number, migration.name, migration.checksum)
        return [migration.name for migration in batch]


async def _require_room(connection: Connection, table: str | None, missing: list[Migration]) -> None:
    """Raise DatabaseError if something of another program has a name that the missing migrations need."""
    current = await connection.fetchval("select current_schema()")
    if current is None:
        raise DatabaseError(
            "the search path has no schema that exists: STATS_SCHEMA=statsd gives the program one of its own"
        )
    ours = ledger.created(migration.text for migration in migrations() if migration not in missing)
    needed = ledger.created(migration.text for migration in missing) - ours
    if taken := await ledger.taken(connection, needed | {ledger.NAME} if table != ledger.NAME else needed):
        raise DatabaseError(
            f"the schema {current} holds what another program made under our names: {', '.join(taken)}. Nothing was"
            " changed; STATS_SCHEMA=statsd gives this program a schema of its own"
        )
    if table is None and current != "public" and await connection.fetchval(ledger.IN_PUBLIC):
        log.warning("the tables of statsd-live in the schema public stay as they are, and are not used")
