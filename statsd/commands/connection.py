"""The database for a command: its schema is up to date, and running servers are notified of changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from statsd.database.embedded import open_server
from statsd.database.migrations import migrate
from statsd.database.pool import Pool, open_pool
from statsd.live.channel import Channel
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
