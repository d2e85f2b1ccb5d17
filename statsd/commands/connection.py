"""The database for a command: its schema is up to date, and running servers are notified of changes."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from statsd import program
from statsd.database.embedded import open_server
from statsd.database.migrations import migrate
from statsd.database.pool import CAUSES, Pool, cause, open_pool
from statsd.errors import DatabaseAway, DatabaseError
from statsd.live.channel import Channel, count_listeners
from statsd.settings import Settings

READ_ONLY = "the database is read-only, and this command stores something: use the primary's URL"
_READER = """
    select current_user::text
    where not exists (
        select
        from pg_class
        where relnamespace = quote_ident(current_schema())::regnamespace
            and relkind in ('r', 'p')
            and has_table_privilege(oid, 'insert')
    )
"""


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[tuple[Pool, Channel]]:
    """Yield a pool, and a channel that announces changes but does not listen. Raises DatabaseError."""
    async with open_server(settings) as dsn:
        await migrate(dsn)
        async with await open_pool(dsn) as pool:
            channel = Channel(dsn, pool)
            announcing = asyncio.create_task(channel.run())
            try:
                yield pool, channel
            except Exception as error:
                if sentence := _refusal(error):
                    raise DatabaseError(sentence) from error
                raise
            finally:
                announcing.cancel()
                await asyncio.wait((announcing,))  # so that it keeps what it has not sent
                await channel.flush()


async def require_writable(pool: Pool) -> None:
    """Raise DatabaseError if the role may only read: a writer would try again for ever."""
    if await pool.fetchval("select current_setting('transaction_read_only')") == "on":
        raise DatabaseError(READ_ONLY)
    if role := await pool.fetchval(_READER):
        raise DatabaseError(f"the role {role} may only read: grant it insert, update and delete on all tables")


def _refusal(error: Exception) -> str:
    """Return what the database refused, or that it is gone; empty for another error, which is a defect of ours."""
    origin = error.__cause__ if isinstance(error, DatabaseAway) and error.__cause__ else error
    code = getattr(origin, "sqlstate", None) or ""
    if code == "25006":
        return READ_ONLY
    return f"the database {cause(origin)}: {origin}" if {code, code[:2]} & CAUSES.keys() else ""


async def unserved(pool: Pool, settings: Settings) -> str:
    """Return where events go and how to see them, if no server shows this database; else an empty text."""
    if await count_listeners(pool):
        return ""
    serve = f"{program()} serve"
    if settings.database_url:
        parts = urlsplit(settings.database_url)
        place, serve = f"PostgreSQL at {parts.netloc.rpartition('@')[2]}{parts.path}", f"DATABASE_URL=… {serve}"
    else:
        folder = settings.data_dir.resolve()
        place, serve = f"the embedded database in {folder}", f"{serve} --data-dir {shlex.quote(str(folder))}"
    return f"events go into {place}, which no server shows now; this one would: {serve}"
