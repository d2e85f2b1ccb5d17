"""The database for a command: its schema is up to date, and running servers are notified of changes."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from statsd import program
from statsd.database.embedded import open_server
from statsd.database.migrations import migrate
from statsd.database.pool import Pool, open_pool
from statsd.live.channel import Channel, count_listeners
from statsd.settings import Settings


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
            finally:
                announcing.cancel()
                await asyncio.wait((announcing,))  # so that it keeps what it has not sent
                await channel.flush()


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
