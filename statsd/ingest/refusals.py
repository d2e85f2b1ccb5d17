"""How many events a stream refused as invalid, counted in the database, so that every server and every restart agrees.

Group commit as for events: whatever was refused while one statement runs is counted by the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import asyncpg
from aiohttp import web

from statsd import metrics
from statsd.database import sql

PATIENCE_SECONDS = 0.75  # how long an answer waits for its count, as events wait for their commit
RETRY_SECONDS = 1.0

log = logging.getLogger("statsd.refusals")


class Refusals:
    """Counts for one stream, whose SQL file has the query `refuse`; `changed` is called after every commit.

    A count that was cut off from its answer by a lost connection may be made twice; none is dropped.
    """

    def __init__(self, stream: str, pool: asyncpg.Pool[asyncpg.Record], changed: Callable[[str], None]) -> None:
        self._stream = stream
        self._pool = pool
        self._changed = changed
        self._query = sql.load(stream)["refuse"]
        self._number = 0
        self._counted = asyncio.Event()  # of the number that waits now
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()

    async def count(self, number: int) -> None:
        """Return once they are counted, or after a moment where the database is away: then they are counted later."""
        if not number:
            return
        metrics.EVENTS.labels(self._stream, "invalid").inc(number)
        self._number += number
        self._wake.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._counted.wait(), PATIENCE_SECONDS)

    async def run(self) -> None:
        """Count whatever waits, again and again while the database is away."""
        while True:
            await self._wake.wait()
            if not await self.flush():
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> bool:
        """Count what waits now, after whatever is being counted; tell whether that succeeded."""
        async with self._flushing:
            self._wake.clear()
            number, self._number = self._number, 0
            counted, self._counted = self._counted, asyncio.Event()
            try:
                if number:
                    await self._pool.execute(self._query, datetime.now(UTC).date(), number)
            except BaseException as error:  # also where we are cancelled: what was not counted waits on
                self._number += number
                self._wake.set()
                if not isinstance(error, Exception):
                    raise
                log.warning("%s: %d refused events wait to be counted: %s", self._stream, number, error)
                return False
        counted.set()
        if number:
            self._changed(self._stream)
        return True


REFUSALS: web.AppKey[Mapping[str, Refusals]] = web.AppKey("refusals")
