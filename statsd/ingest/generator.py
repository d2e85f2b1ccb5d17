"""Synthetic events for any stream: at a rate, or as fast as the writer stores them."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from statsd.database import sql
from statsd.database.pool import Pool
from statsd.errors import DatabaseAway, InvalidEvent, Overloaded
from statsd.ingest.ids import new_id
from statsd.ingest.lanes import BATCH_ROWS
from statsd.ingest.writer import Writer
from statsd.stream import Stream

MOST_PER_SECOND = 10  # batches; at a rate below ten events a second, each event is a batch
RETRY_SECONDS = 1.0
PART_SHARE = 0.2  # of the events, for each part
BULK_IN_FLIGHT = 2  # one batch is generated while the other commits


async def store_fixtures(pool: Pool, stream: Stream) -> None:
    """Store the rows that samples of a stream refer to, if its SQL has any; may run any number of times."""
    if query := sql.load(stream.name).get("fixtures"):
        await pool.execute(query)


class Generator:
    """Generates events of a stream, stores them with its writer, and calls `progress` with their total so far.

    The writers of the stream's parts stand before its own. A fifth of the events belong to each part, and are stored
    first, because the others refer to them.
    """

    def __init__(
        self, writers: Sequence[Writer], seed: int | None = None, progress: Callable[[int], None] = lambda total: None
    ) -> None:
        *self._parts, self._writer = writers
        self._rng = random.Random(seed)
        self._progress = progress
        self.total = 0

    async def at_rate(self, rate: float, count: int | None = None) -> None:
        """Store `rate` events a second until `count` are stored (None: for ever); wait for the end of an outage."""
        start, stored = time.monotonic(), 0
        while count is None or stored < count:
            due = int((time.monotonic() - start) * rate) + 1 - stored
            if due > 0:
                size = min(due, BATCH_ROWS, count - stored if count is not None else due)
                await self._store(size)
                stored += size
            await asyncio.sleep(1 / min(rate, MOST_PER_SECOND))

    async def in_bulk(self, count: int) -> None:
        """Store `count` events as fast as the writer can."""
        sizes = (min(BATCH_ROWS, count - start) for start in range(0, count, BATCH_ROWS))

        async def store_batches() -> None:
            for size in sizes:
                await self._store(size)

        async with asyncio.TaskGroup() as group:
            for _ in range(1 if self._parts else BULK_IN_FLIGHT):
                group.create_task(store_batches())

    async def _store(self, size: int) -> None:
        for part in self._parts:
            share = sum(self._rng.random() < PART_SHARE for _ in range(size))
            await self._store_batch(part, share)
            size -= share
        await self._store_batch(self._writer, size)
        self._progress(self.total)

    async def _store_batch(self, writer: Writer, size: int) -> None:
        stream = writer.stream
        rows = [stream.row(stream.sample(self._rng), new_id()) for _ in range(size)]
        while rows:
            try:
                verdicts = await writer.store(rows)
            except Overloaded:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for verdict in verdicts:
                if isinstance(verdict.error, InvalidEvent):
                    raise verdict.error  # a defect of the sample
            # Rows that may be stored or not go again under the same ids, so that none is stored twice.
            unknown = [verdict.row for verdict in verdicts if isinstance(verdict.error, DatabaseAway)]
            self.total += len(rows) - len(unknown)
            rows = unknown
            if rows:
                await asyncio.sleep(RETRY_SECONDS)
