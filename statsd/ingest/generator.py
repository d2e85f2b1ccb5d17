"""Synthetic traffic for any stream: at a rate, or as fast as the writer takes it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import asyncpg

from statsd.database import sql
from statsd.errors import DatabaseAway, InvalidEvent, Overloaded
from statsd.ingest.ids import new_id
from statsd.ingest.writer import BATCH_ROWS, Writer
from statsd.stream import Stream

MOST_PER_SECOND = 10  # batches: below ten events a second each goes alone
RETRY_SECONDS = 1.0
PART_SHARE = 0.2
BULK_IN_FLIGHT = 2  # one batch is made while the other commits


async def store_fixtures(pool: asyncpg.Pool[asyncpg.Record], stream: Stream) -> None:
    """Store the rows that samples of a stream refer to, where its SQL has such; any number of times."""
    if query := sql.load(stream.name).get("fixtures"):
        await pool.execute(query)


class Generator:
    """Makes events of one stream and stores them with its writer. `total` counts what was stored.

    A fifth of them are events of its `parts`, where it has some: these are stored first, for the others to refer to.
    """

    def __init__(
        self, stream: Stream, writer: Writer, seed: int | None = None, parts: Sequence[tuple[Stream, Writer]] = ()
    ) -> None:
        self._makers = [*parts, (stream, writer)]
        self._rng = random.Random(seed)
        self.total = 0

    async def at_rate(self, rate: float, count: int | None = None) -> None:
        """Store `rate` events a second until `count` are stored (None: for ever), outages of the database included."""
        start, made = time.monotonic(), 0
        while count is None or made < count:
            due = int((time.monotonic() - start) * rate) + 1 - made
            if due > 0:
                size = min(due, BATCH_ROWS, count - made if count is not None else due)
                await self._store(size)
                made += size
            await asyncio.sleep(max(1 / MOST_PER_SECOND if rate > MOST_PER_SECOND else 1 / rate, 0))

    async def in_bulk(self, count: int, progress: Callable[[int], None]) -> None:
        """Store `count` events as fast as they are taken; call `progress` with the total after every batch."""
        sizes = iter([BATCH_ROWS] * (count // BATCH_ROWS) + [count % BATCH_ROWS] * (count % BATCH_ROWS > 0))

        async def store_batches() -> None:
            for size in sizes:
                await self._store(size)
                progress(self.total)

        async with asyncio.TaskGroup() as group:
            for _ in range(BULK_IN_FLIGHT if len(self._makers) == 1 else 1):
                group.create_task(store_batches())

    async def _store(self, size: int) -> None:
        for stream, writer in self._makers[:-1]:
            some = sum(self._rng.random() < PART_SHARE for _ in range(size))
            await self._store_one(stream, writer, some)
            size -= some
        await self._store_one(*self._makers[-1], size)

    async def _store_one(self, stream: Stream, writer: Writer, size: int) -> None:
        rows = [stream.row(stream.sample(self._rng), new_id()) for _ in range(size)]
        while rows:
            try:
                verdicts = await writer.store(rows)
            except Overloaded:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            wrong = next((verdict.error for verdict in verdicts if isinstance(verdict.error, InvalidEvent)), None)
            if wrong:
                raise wrong  # a sample that breaks the contract is a defect of the sample
            # Rows whose fate is unknown go again under the same ids: what did arrive is not stored twice.
            unknown = [verdict.row for verdict in verdicts if isinstance(verdict.error, DatabaseAway)]
            self.total += len(rows) - len(unknown)
            rows = unknown
            if rows:
                await asyncio.sleep(RETRY_SECONDS)
