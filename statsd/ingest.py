"""The writer: group commit through a bounded queue; a bad row fails alone; a stop loses nothing.

One task per stream takes whatever is waiting, without a timer: while one batch commits the next one gathers. Callers
hear of their rows only after the commit.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import TypeAlias
from uuid import UUID, uuid5

import asyncpg
import msgspec
from aiohttp import web

from statsd import metrics, sql
from statsd.database import is_bad_data, is_conflict, is_late
from statsd.deadletters import bury, reason
from statsd.errors import DatabaseAway, InvalidEvent, Overloaded, StatsError
from statsd.outage import Outage
from statsd.stream import Row, Stream

BATCH_ROWS = 5_000
QUEUE_ROWS = 20_000  # memory stays bounded whatever comes in; two of the largest arrays fit
COMMIT_SECONDS = 5.0  # what the statement itself may take
PATIENCE_SECONDS = 0.75  # how long a caller waits for it before its rows go to the spool
PATIENCE_SECONDS_PER_ROW = 0.0002  # a batch of 5,000 is given a second more, or a slow disk would look like an outage
MOST_LATE = 2  # statements of a stream that wait for somebody's lock: each has a connection that others need
ATTEMPTS = 5  # for a statement that met another transaction
KEYS = UUID("6c1f6a5e-3c56-4f0f-9d0a-3a0a3f9b7c11")  # namespace of idempotency keys


class Spooled(Enum):
    """What becomes of a row while the database is away."""

    SPOOLED = "spooled"


Outcome: TypeAlias = asyncpg.Record | Spooled | StatsError | None
"""What became of a row: the stored record, SPOOLED (safe on disk until the database is back), None (its id was known
already), or why it was not stored."""

log = logging.getLogger("statsd.ingest")


_random = random.Random()  # seeded by the system; ids need to differ, not to be secret


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7): ordered by time, so that inserts stay at the right edge of the index."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | _random.getrandbits(80)
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | (0x7 << 76) | (0x2 << 62))


def id_of_key(stream: str, key: str) -> UUID:
    """Return the one id that an idempotency key means in a stream: a repeat lands on the same row.

    A key out of a header may hold what is no UTF-8.
    """
    return uuid5(KEYS, f"{stream}\n{key}".encode("utf-8", "backslashreplace").decode())


class Writer:
    """Stores the rows of one stream. `run` is its task; `committed` is called after every commit that stored rows."""

    def __init__(
        self,
        stream: Stream,
        pool: asyncpg.Pool[asyncpg.Record],
        committed: Callable[[str], None] = lambda stream: None,
        outage: Outage | None = None,
    ) -> None:
        self._statement = sql.load(stream.name)["insert"]
        self._stream = stream.name
        self._aside = stream.aside
        self._pool = pool
        self._committed = committed
        self._outage = outage
        self._late: set[asyncio.Task[list[asyncpg.Record]]] = set()
        self._waiting: deque[tuple[Sequence[Row], asyncio.Future[list[Outcome]]]] = deque()
        self._rows = 0
        self._wake = asyncio.Event()
        self._closing = False
        self.stored = 0
        """Rows this writer stored, whether or not their callers still waited."""
        self._tally = Tally(stream.name)
        self._commit_seconds = metrics.COMMIT_SECONDS.labels(stream.name)
        self._batch_rows = metrics.BATCH_ROWS.labels(stream.name)
        metrics.QUEUE_ROWS.labels(stream.name).set_function(lambda: self._rows)

    async def store(self, rows: Sequence[Row]) -> list[Outcome]:
        """Return what became of each row, in order, once it is committed.

        Raises Overloaded, with nothing taken, when the queue is full or the writer is stopping.
        """
        if not rows:
            return []
        if self._closing:
            raise Overloaded("the server is stopping: nothing was stored, send it again", retry_after=5)
        if self._rows + len(rows) > QUEUE_ROWS:
            raise Overloaded(f"{self._rows} rows are waiting already: nothing was stored, send it again")
        # A client that hangs up cancels its own future; the batch and its neighbours go on.
        if len(rows) <= BATCH_ROWS:
            return await self._submit(rows)
        chunks = [rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS)]
        futures = [self._submit(chunk) for chunk in chunks]
        return [outcome for future in futures for outcome in await future]

    def _submit(self, rows: Sequence[Row]) -> asyncio.Future[list[Outcome]]:
        future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, future))
        self._rows += len(rows)
        self._wake.set()
        return future

    async def run(self) -> None:
        """Commit batch after batch until `stop` was called and nothing is waiting."""
        while self._waiting or not self._closing:
            self._wake.clear()
            if not self._waiting:
                await self._wake.wait()
                continue
            await self._commit(self._take())
        self._tally.report()

    def stop(self) -> None:
        """Take nothing more; `run` ends after what is waiting is committed."""
        self._closing = True
        self._wake.set()

    def _take(self) -> list[tuple[Sequence[Row], asyncio.Future[list[Outcome]]]]:
        batch = [self._waiting.popleft()]
        size = len(batch[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= BATCH_ROWS:
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0])
        self._rows -= size
        return batch

    async def _commit(self, batch: list[tuple[Sequence[Row], asyncio.Future[list[Outcome]]]]) -> None:
        outcomes = iter(await self._write([row for rows, _ in batch for row in rows]))
        for rows, future in batch:
            mine = list(islice(outcomes, len(rows)))
            if not future.done():
                future.set_result(mine)

    async def _write(self, rows: Sequence[Row]) -> Sequence[Outcome]:
        """Store the rows in one statement; where the values are refused, halve until the guilty row stands alone."""
        if self._outage is not None and (self._outage.away or len(self._late) >= MOST_LATE):
            return await self._set_aside(rows, self._outage)
        try:
            stored = await self._execute_in_time(rows)
        except Exception as error:
            if is_bad_data(error):
                return await self._write_halves(rows, error)
            if self._outage is not None:
                begin = self._outage.suspect if is_late(error) else self._outage.begin
                begin(f"{type(error).__name__}: {error}")
                return await self._set_aside(rows, self._outage)
            self._tally.add(failed=len(rows))
            self._tally.trouble = f"{type(error).__name__}: {error}"
            return [DatabaseAway("the database is away: nothing was stored, send it again")] * len(rows)
        self.stored += len(stored)
        self._tally.add(stored=len(stored), duplicate=len(rows) - len(stored))
        if stored:
            self._committed(self._stream)
        by_id = {record["id"]: record for record in stored}
        return [by_id.pop(row[0], None) for row in rows]

    async def _write_halves(self, rows: Sequence[Row], error: Exception) -> Sequence[Outcome]:
        if len(rows) == 1:
            self._tally.add(refused=1)
            return [InvalidEvent([reason(error)], getattr(error, "constraint_name", None) or "")]
        middle = len(rows) // 2
        return [*await self._write(rows[:middle]), *await self._write(rows[middle:])]

    async def _set_aside(self, rows: Sequence[Row], outage: Outage) -> Sequence[Outcome]:
        try:
            await outage.set_aside(self._stream, [self._aside(row) for row in rows])
        except Overloaded as full:
            self._tally.add(failed=len(rows))
            self._tally.trouble = str(full)
            return [full] * len(rows)
        self._tally.add(spooled=len(rows))
        return [Spooled.SPOOLED] * len(rows)

    async def replay(self, rows: Sequence[Row]) -> None:
        """Store rows that waited in the spool; one that PostgreSQL refuses becomes a dead letter.

        Raises whatever else keeps them from being stored.
        """
        if not rows:
            return
        try:
            stored = await self._execute(rows)
        except Exception as error:
            if not is_bad_data(error):
                raise
            if len(rows) == 1:
                await bury(self._pool, rows[0][0], self._stream, msgspec.json.encode(rows[0][1:]), error)
                self._tally.add(dead=1)
                self._tally.trouble = f"dead letter: {reason(error)}"
                return
            middle = len(rows) // 2
            await self.replay(rows[:middle])
            await self.replay(rows[middle:])
            return
        self._tally.add(replayed=len(stored))
        self._committed(self._stream)  # also where all were known: nobody heard of those yet

    async def _execute_in_time(self, rows: Sequence[Row]) -> list[asyncpg.Record]:
        """Run the statement, but wait no longer than a caller should. Late, it may still commit: ids make that free."""
        task = asyncio.create_task(self._execute(rows))
        patience = PATIENCE_SECONDS + PATIENCE_SECONDS_PER_ROW * len(rows)
        if self._outage is None or (await asyncio.wait((task,), timeout=patience))[0]:
            return await task
        self._late.add(task)
        task.add_done_callback(self._forget)
        raise TimeoutError(f"no commit within {patience:g} s")

    def _forget(self, task: asyncio.Task[list[asyncpg.Record]]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # said already, in another way

    async def _execute(self, rows: Sequence[Row]) -> list[asyncpg.Record]:
        columns = [list(column) for column in zip(*rows, strict=True)]
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._commit_seconds.time():
                    stored: list[asyncpg.Record] = await self._pool.fetch(
                        self._statement, *columns, timeout=COMMIT_SECONDS
                    )
            except asyncpg.PostgresError as error:
                if not is_conflict(error) or attempt == ATTEMPTS:
                    raise
                log.info("%s: trying again after %s", self._stream, error)
            else:
                self._batch_rows.observe(len(rows))
                return stored
        raise AssertionError("unreachable")


class Tally:
    """Counts what became of events and logs one line a second while there is something to say."""

    SECONDS = 1.0

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._counts: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self.trouble = ""
        """Why the latest rows failed."""

    def add(self, **counts: int) -> None:
        """Count `stored`, `duplicate`, `refused`, `spooled`, `replayed`, `dead` or `failed` events."""
        for how, count in counts.items():
            if count:
                metrics.EVENTS.labels(self._stream, how).inc(count)
                self._counts[how] += count
        if self._timer is None and self._counts:
            self._timer = asyncio.get_running_loop().call_later(self.SECONDS, self.report)

    def report(self) -> None:
        """Log what was counted since the last line, in the words people search their logs for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts, self._counts = self._counts, Counter()
        if self.trouble:
            log.error("%s: %d events not stored: %s", self._stream, counts["failed"] + counts["dead"], self.trouble)
            self.trouble = ""
        if counts:
            rest = "".join(f", {count} {how}" for how, count in sorted(counts.items()) if how != "stored")
            log.info(
                "Processing event: %s %d. Event inserted successfully: %d%s",
                self._stream, counts.total(), counts["stored"], rest,
            )  # fmt: skip


WRITERS: web.AppKey[Mapping[str, Writer]] = web.AppKey("writers")
