"""Synthetic events of any streams: at a rate, dated now, or in bulk, spread over the last days."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from statsd.database import sql
from statsd.database.pool import Pool
from statsd.errors import DatabaseAway, InvalidEvent, Overloaded
from statsd.ingest.ids import new_id
from statsd.ingest.lanes import BATCH_ROWS
from statsd.ingest.writer import Writer
from statsd.stream import Stream

MOST_PER_SECOND = 10  # batches; at a rate below ten events a second, each event is a batch
RETRY_SECONDS = 1.0
DAYS = 30  # that events in bulk are spread over, by default
BULK_IN_FLIGHT = 2  # one batch is generated while the other commits


async def store_fixtures(pool: Pool, stream: Stream) -> None:
    """Store the rows that samples of a stream refer to, if its SQL has any; may run any number of times."""
    if query := sql.load(stream.name).get("fixtures"):
        await pool.execute(query, *stream.fixtures)


class Store(Protocol):
    """Where generated events go."""

    @property
    def stored(self) -> int:
        """Events that are durable so far."""
        ...

    def keeps_time(self, stream: Stream) -> bool:
        """Whether events of the stream may be dated in the past."""
        ...

    async def store(self, stream: Stream, events: Sequence[Any], stored: Callable[[int], None]) -> None:
        """Store events; call `stored` with the number of each part that is durable. Waits for the end of an outage."""
        ...


class WriterStore:
    """Stores events with the writers of the streams, by name; `make_id` makes the id of an event of a stream."""

    def __init__(self, writers: Mapping[str, Writer], make_id: Callable[[str], UUID] = lambda stream: new_id()) -> None:
        self._writers = writers
        self._make_id = make_id

    @property
    def stored(self) -> int:
        return sum(writer.stored for writer in self._writers.values())

    def keeps_time(self, stream: Stream) -> bool:
        return True

    async def store(self, stream: Stream, events: Sequence[Any], stored: Callable[[int], None]) -> None:
        rows = [stream.row(event, self._make_id(stream.name)) for event in events]
        while rows:
            try:
                verdicts = await self._writers[stream.name].store(rows)
            except Overloaded:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for verdict in verdicts:
                if isinstance(verdict.error, InvalidEvent):
                    raise verdict.error  # a defect of the sample
            # Rows that may be stored or not go again under the same ids, so that none is stored twice.
            unknown = [verdict.row for verdict in verdicts if isinstance(verdict.error, DatabaseAway)]
            stored(len(rows) - len(unknown))
            rows = unknown
            if rows:
                await asyncio.sleep(RETRY_SECONDS)


class Generator:
    """Generates events of some streams in proportion, and calls `progress` with their total so far.

    A stream stands behind those that its events refer to: of each batch, theirs are stored first.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        store: Store,
        seed: int | None = None,
        progress: Callable[[int], None] = lambda total: None,
    ) -> None:
        self._streams = streams
        self._shares = [stream.share for stream in streams]
        self._store = store
        self._rng = random.Random(seed)
        self._progress = progress
        self.total = 0

    async def at_rate(self, rate: float, count: int | None = None) -> None:
        """Store `rate` events a second, dated now, until `count` are stored (None: for ever)."""
        start, stored = time.monotonic(), 0
        while count is None or stored < count:
            due = int((time.monotonic() - start) * rate) + 1 - stored
            if due > 0:
                size = min(due, BATCH_ROWS, count - stored if count is not None else due)
                await self._store_batch(size, 0)
                stored += size
            await asyncio.sleep(1 / min(rate, MOST_PER_SECOND))

    async def in_bulk(self, count: int, days: int = DAYS) -> None:
        """Store `count` events of the last `days` days, as fast as they can be stored."""
        sizes = (min(BATCH_ROWS, count - start) for start in range(0, count, BATCH_ROWS))

        async def store_batches() -> None:
            for size in sizes:
                await self._store_batch(size, days)

        async with asyncio.TaskGroup() as group:
            for _ in range(1 if len(self._streams) > 1 else BULK_IN_FLIGHT):
                group.create_task(store_batches())

    async def _store_batch(self, size: int, days: int) -> None:
        sizes = Counter(self._rng.choices(range(len(self._streams)), self._shares, k=size))
        for number, stream in enumerate(self._streams):
            spread = days if self._store.keeps_time(stream) else 0
            events = [stream.sample(self._rng, spread) for _ in range(sizes[number])]
            await self._store.store(stream, events, self._count)

    def _count(self, stored: int) -> None:
        self.total += stored
        self._progress(self.total)
