"""The writer: group commit through a bounded queue. A bad row fails alone, and a stop loses nothing.

Its lanes take all rows that wait, without a timer: while one batch commits, the next one gathers. Callers get their
verdicts after the commit.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

import asyncpg
import msgspec
from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, SECONDS_PER_ROW, Pool, again, in_time, is_bad_data, is_late
from statsd.errors import DatabaseAway, InvalidEvent, Overloaded, StatsError
from statsd.ingest.dead_letters import keep_dead, reason
from statsd.ingest.ids import is_new
from statsd.ingest.lanes import Queue, Submission, Waiter
from statsd.ingest.order import key_of
from statsd.ingest.outage import Outage
from statsd.ingest.tally import Tally
from statsd.ingest.verdict import Verdict
from statsd.stream import Row, Stream

QUEUE_ROWS = 20_000  # bounds the memory; two of the largest arrays fit
COMMIT_SECONDS = 5.0  # timeout of the statement
MOST_LATE = 2  # statements of a lane past their patience, such as behind a lock; each occupies a connection

T = TypeVar("T")

log = logging.getLogger("statsd.ingest")


class Writer:
    """Stores the rows of one stream. `run` is its task; `committed` is called after every commit that stored rows."""

    def __init__(
        self,
        stream: Stream,
        pool: Pool,
        committed: Callable[[str], None] = lambda stream: None,
        outage: Outage | None = None,
        lanes: int = 1,
    ) -> None:
        statements = sql.load(stream.name)
        self._insert = statements[stream.insert]
        self._append = statements.get("append") if stream.insert == "insert" else None
        self.stream = stream
        self._pool = pool
        self._committed = committed
        self._outage = outage
        self._queue = Queue(lanes, itemgetter([*stream.columns].index(stream.lanes_by)) if stream.lanes_by else None)
        self._key = key_of(stream)
        self.turn = asyncio.Lock()
        """Held by the request that decodes a large batch for this writer."""
        self.stored = 0  # rows so far, with or without a caller still waiting for them
        self.tally = Tally(stream.name)
        self._commit_seconds = metrics.COMMIT_SECONDS.labels(stream.name)
        self._batch_rows = metrics.BATCH_ROWS.labels(stream.name)
        metrics.QUEUE_ROWS.labels(stream.name).set_function(lambda: self._queue.rows)

    async def store(self, rows: Sequence[Row]) -> list[Verdict]:
        """Return a verdict for each row, in order, once all are committed, spooled or refused.

        Raises Overloaded, with nothing stored, when the queue is full or the writer is stopping.
        """
        if not rows:
            return []
        self.require_room(len(rows))
        # A client that disconnects cancels its own future only; the batch goes on.
        verdicts: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
        self._queue.put(rows, verdicts)
        return await verdicts

    def require_room(self, rows: int) -> None:
        """Raise Overloaded if the queue cannot take so many rows now, or the writer is stopping."""
        if self._queue.closed:
            raise Overloaded("the server is stopping: nothing was stored, send it again", retry_after=5)
        if self._queue.rows + rows > QUEUE_ROWS:
            raise Overloaded(f"the queue is full ({self._queue.rows} rows): nothing was stored, send it again")

    def offer(self, rows: Sequence[Row], waiter: Waiter) -> bool:
        """Queue rows for a waiter in place of a future. Return False if they cannot be taken now."""
        if self._queue.closed or self._queue.rows + len(rows) > QUEUE_ROWS:
            return False
        self._queue.put(rows, waiter)
        return True

    async def run(self) -> None:
        """Commit batch after batch until `stop` was called and the queue is empty."""
        async with asyncio.TaskGroup() as lanes:
            for lane in self._queue.lanes:
                lanes.create_task(self._run_lane(lane), name=f"lane {lane} of {self.stream.name}")
        self.tally.report()

    def stop(self) -> None:
        """Refuse further rows; `run` ends once the queue is empty."""
        self._queue.close()

    async def _run_lane(self, lane: int) -> None:
        statements: set[asyncio.Task[Any]] = set()  # between two batches: those that are late
        async for batch in self._queue.batches(lane):
            await self._commit(batch, statements)

    async def _commit(self, batch: list[Submission], statements: set[asyncio.Task[Any]]) -> None:
        rows = [row for part, _ in batch for row in part]
        verdicts = iter(await self._halving(rows, partial(self._write, statements), self._refuse))
        for part, waiter in batch:
            own = list(islice(verdicts, len(part)))
            if not waiter.done():
                waiter.set_result(own)

    async def _write(self, statements: set[asyncio.Task[Any]], rows: Sequence[Row]) -> list[Verdict]:
        """Store the rows, or spool them. Raises only if PostgreSQL refuses the values, with nothing spooled."""
        outage = self._outage
        if outage is not None and (outage.away or len(statements) >= MOST_LATE):
            return await self._spool(rows, outage)
        if outage is None or self._key is None or not outage.spool.keys.records:
            return await self._write_all(statements, rows)
        if not self._queue.closed and any(self._key(row) in outage.spool.keys for row in rows):
            await outage.near_end()
        behind = [self._key(row) in outage.spool.keys for row in rows]
        ahead = [row for row, waits in zip(rows, behind, strict=True) if not waits]
        written = iter(await self._write_all(statements, ahead) if ahead else ())
        spooled = iter(await self._spool([row for row, waits in zip(rows, behind, strict=True) if waits], outage))
        return [next(spooled if waits else written) for waits in behind]

    async def _write_all(self, statements: set[asyncio.Task[Any]], rows: Sequence[Row]) -> list[Verdict]:
        """Store the rows in one statement; if that fails or is late, spool them."""
        execution = self._store(rows)
        if self._outage is not None:  # a late statement may still commit: the replay skips known ids
            execution = in_time(execution, AWAY_SECONDS + SECONDS_PER_ROW * len(rows), statements)
        try:
            verdicts = await execution
        except Exception as error:
            if is_bad_data(error):
                raise
            if self._outage is not None:
                self._outage.examine() if is_late(error) else self._outage.begin(error)
                return await self._spool(rows, self._outage)
            away = DatabaseAway("the database is away: nothing was stored, send it again")
            return self._fail(rows, away, f"{type(error).__name__}: {error}")
        stored = sum(verdict.state == "stored" for verdict in verdicts)
        self.stored += stored
        self.tally.add(stored=stored, duplicate=len(rows) - stored)
        if stored:
            self._committed(self.stream.name)
        return verdicts

    async def _store(self, rows: Sequence[Row]) -> list[Verdict]:
        if self._append and all(is_new(row[0]) for row in rows):
            try:
                records = {record["id"]: record for record in await self._execute(self._append, rows)}
            except asyncpg.UniqueViolationError:
                log.debug("%s: some of %d rows were stored before", self.stream.name, len(rows))
            else:
                return [Verdict("stored", row, records.get(row[0])) for row in rows]
        records = {record["id"]: record for record in await self._execute(self._insert, rows)}
        # Of two rows with the same id, the first is stored and the second is known.
        return [
            Verdict("stored", row, record) if (record := records.pop(row[0], None)) else Verdict("known", row)
            for row in rows
        ]

    async def _refuse(self, row: Row, error: Exception) -> list[Verdict]:
        self.tally.add(refused=1)
        rule = getattr(error, "constraint_name", None) or ""
        return [Verdict("refused", row, error=InvalidEvent([reason(error)], rule))]

    def _fail(self, rows: Sequence[Row], error: StatsError, reason: str) -> list[Verdict]:
        self.tally.add(failed=len(rows))
        self.tally.last_error = reason
        return [Verdict("refused", row, error=error) for row in rows]

    async def _spool(self, rows: Sequence[Row], outage: Outage) -> list[Verdict]:
        rows = [self.stream.as_spooled(row) for row in rows]
        try:
            await outage.spool_rows(self.stream.name, rows)
        except Overloaded as error:
            return self._fail(rows, error, str(error))
        self.tally.add(spooled=len(rows))
        return [Verdict("spooled", row) for row in rows]

    async def replay(self, rows: Sequence[Row]) -> None:
        """Store rows from the spool; a row that PostgreSQL refuses becomes a dead letter.

        Raises every other error of the database.
        """
        if rows:
            await self._halving(rows, self._replay, self._keep_dead)

    async def _replay(self, rows: Sequence[Row]) -> list[None]:
        stored = await self._execute(self._insert, rows)
        self.tally.add(replayed=len(stored))
        self._committed(self.stream.name)  # even if all rows were known: their own commit was not announced
        return []

    async def _keep_dead(self, row: Row, error: Exception) -> list[None]:
        await keep_dead(self._pool, row[0], self.stream.name, msgspec.json.encode(row[1:]), error)
        self.tally.add(dead=1)
        self.tally.last_error = f"dead letter: {reason(error)}"
        return []

    async def _halving(
        self,
        rows: Sequence[Row],
        store: Callable[[Sequence[Row]], Awaitable[list[T]]],
        refuse: Callable[[Row, Exception], Awaitable[list[T]]],
    ) -> list[T]:
        """Store rows at once. If PostgreSQL refuses a value, halve them until the bad row is alone; refuse that one."""
        try:
            return await store(rows)
        except Exception as error:
            if not is_bad_data(error):
                raise
            if len(rows) == 1:
                return await refuse(rows[0], error)
        middle = len(rows) // 2
        halves = (rows[:middle], rows[middle:])
        return [result for half in halves for result in await self._halving(half, store, refuse)]

    async def _execute(self, statement: str, rows: Sequence[Row]) -> list[asyncpg.Record]:
        """Run `insert` or `append`."""
        arguments = [*map(list, zip(*rows, strict=True)), *self.stream.sent(len(rows))]
        stored = await again(partial(self._fetch, statement, arguments))
        self._batch_rows.observe(len(rows))
        return stored

    async def _fetch(self, statement: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        with self._commit_seconds.time():
            return await self._pool.fetch(statement, *arguments, timeout=COMMIT_SECONDS)


WRITERS: web.AppKey[Mapping[str, Writer]] = web.AppKey("writers")
