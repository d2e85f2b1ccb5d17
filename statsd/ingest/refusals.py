"""Counts of the events that a stream refused as invalid. They are in the database, the same for all servers.

Counts are grouped as events are: the refusals that arrive while one statement runs are counted by the next.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, Pool

RETRY_SECONDS = 1.0

log = logging.getLogger("statsd.refusals")


class Refusals:
    """The counter of one stream, whose SQL has the query `refuse`; `changed` is called after every commit.

    Counts at least once: if the connection is lost before PostgreSQL answers, the same refusals are counted again.
    """

    def __init__(self, stream: str, pool: Pool, changed: Callable[[str], None]) -> None:
        self._stream = stream
        self._pool = pool
        self._changed = changed
        self._query = sql.load(stream)["refuse"]
        self._pending = 0
        self._counted = asyncio.Event()  # set once the pending refusals are counted
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()

    async def count(self, number: int) -> None:
        """Count refused events. Returns after 0.75 s at the latest; if the database is away they are counted later."""
        if not number:
            return
        metrics.EVENTS.labels(self._stream, "invalid").inc(number)
        self._pending += number
        self._wake.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._counted.wait(), AWAY_SECONDS)

    async def run(self) -> None:
        """Count pending refusals until cancelled; retry while the database is away."""
        while True:
            await self._wake.wait()
            if not await self.flush():
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> bool:
        """Count the pending refusals, after any count that is under way; return whether that succeeded."""
        async with self._flushing:
            self._wake.clear()
            number = self._pending
            counted, self._counted = self._counted, asyncio.Event()
            try:
                if number:
                    await self._pool.execute(self._query, datetime.now(UTC).date(), number)
            except Exception as error:
                self._wake.set()
                log.warning("%s: %d refused events wait to be counted: %s", self._stream, number, error)
                return False
            self._pending -= number
        counted.set()
        if number:
            self._changed(self._stream)
        return True


REFUSALS: web.AppKey[Mapping[str, Refusals]] = web.AppKey("refusals")
