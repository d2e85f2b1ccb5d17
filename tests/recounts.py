"""The program's recount, as tests ask for it."""

from __future__ import annotations

from typing import Any

from statsd.ingest import recount


async def differences(pool: Any, *streams: str) -> list[recount.Difference]:
    """Where the totals of these streams are not what their raw rows say; nowhere, if all is well."""
    async with pool.acquire() as connection:
        return [found for stream in streams for found in await recount.differences(connection, stream)]
