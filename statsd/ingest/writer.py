"""The writer: group commit through a bounded queue; a bad row fails alone; a stop loses nothing.

One task per stream takes whatever is waiting, without a timer: while one batch commits the next one gathers. Callers
hear of their rows only after the commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import asyncpg
import msgspec
from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import again, is_bad_data, is_late
from statsd.errors import DatabaseAway, InvalidEvent, Overloaded
from statsd.ingest.dead_letters import keep_dead, reason
from statsd.ingest.outage import Outage
from statsd.ingest.tally import Tally
from statsd.ingest.verdict import Verdict
from statsd.stream import Row, Stream

BATCH_ROWS = 5_000
QUEUE_ROWS = 20_000  # memory stays bounded whatever comes in; two of the largest arrays fit
COMMIT_SECONDS = 5.0  # what the statement itself may take
PATIENCE_SECONDS = 0.75  # how long a caller waits for it before its rows go to the spool
PATIENCE_SECONDS_PER_ROW = 0.0002  # a batch of 5,000 is given a second more, or a slow disk would look like an outage
MOST_LATE = 2  # statements of a stream that wait for somebody's lock: each has a connection that others need


T = TypeVar("T")

log = logging.getLogger("statsd.ingest")


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
        self._as_spooled = stream.as_spooled
        self._pool = pool
        self._committed = committed
        self._outage = outage
        self._late: set[asyncio.Task[list[asyncpg.Record]]] = set()
        self._waiting: deque[tuple[Sequence[Row], asyncio.Future[list[Verdict]]]] = deque()
        self._rows = 0
        self._wake = asyncio.Event()
        self._closing = False
        self.stored = 0
        """Rows this writer stored, whether or not their callers still waited."""
        self._tally = Tally(stream.name)
        self._commit_seconds = metrics.COMMIT_SECONDS.labels(stream.name)
        self._batch_rows = metrics.BATCH_ROWS.labels(stream.name)
        metrics.QUEUE_ROWS.labels(stream.name).set_function(lambda: self._rows)

    async def store(self, rows: Sequence[Row]) -> list[Verdict]:
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
        return [verdict for future in futures for verdict in await future]

    def _submit(self, rows: Sequence[Row]) -> asyncio.Future[list[Verdict]]:
        future: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
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

    def _take(self) -> list[tuple[Sequence[Row], asyncio.Future[list[Verdict]]]]:
        batch = [self._waiting.popleft()]
        size = len(batch[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= BATCH_ROWS:
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0])
        self._rows -= size
        return batch

    async def _commit(self, batch: list[tuple[Sequence[Row], asyncio.Future[list[Verdict]]]]) -> None:
        verdicts = iter(await self._halving([row for rows, _ in batch for row in rows], self._write, self._refuse))
        for rows, future in batch:
            mine = list(islice(verdicts, len(rows)))
            if not future.done():
                future.set_result(mine)

    async def _write(self, rows: Sequence[Row]) -> list[Verdict]:
        """Store the rows in one statement, or spool them. Raises only where PostgreSQL refuses the values."""
        if self._outage is not None and (self._outage.away or len(self._late) >= MOST_LATE):
            return await self._spool(rows, self._outage)
        try:
            stored = await self._execute_in_time(rows)
        except Exception as error:
            if is_bad_data(error):
                raise
            if self._outage is not None:
                begin = self._outage.examine if is_late(error) else self._outage.begin
                begin(f"{type(error).__name__}: {error}")
                return await self._spool(rows, self._outage)
            self._tally.add(failed=len(rows))
            self._tally.trouble = f"{type(error).__name__}: {error}"
            away = DatabaseAway("the database is away: nothing was stored, send it again")
            return [Verdict("refused", row, error=away) for row in rows]
        self.stored += len(stored)
        self._tally.add(stored=len(stored), duplicate=len(rows) - len(stored))
        if stored:
            self._committed(self._stream)
        records = {record["id"]: record for record in stored}
        # Of two rows with one id the first was stored, and the second is known.
        return [
            Verdict("stored", row, record) if (record := records.pop(row[0], None)) else Verdict("known", row)
            for row in rows
        ]

    async def _refuse(self, row: Row, error: Exception) -> list[Verdict]:
        self._tally.add(refused=1)
        rule = getattr(error, "constraint_name", None) or ""
        return [Verdict("refused", row, error=InvalidEvent([reason(error)], rule))]

    async def _spool(self, rows: Sequence[Row], outage: Outage) -> list[Verdict]:
        rows = [self._as_spooled(row) for row in rows]
        try:
            await outage.set_aside(self._stream, rows)
        except Overloaded as full:
            self._tally.add(failed=len(rows))
            self._tally.trouble = str(full)
            return [Verdict("refused", row, error=full) for row in rows]
        self._tally.add(spooled=len(rows))
        return [Verdict("spooled", row) for row in rows]

    async def replay(self, rows: Sequence[Row]) -> None:
        """Store rows that waited in the spool; one that PostgreSQL refuses becomes a dead letter.

        Raises whatever else keeps them from being stored.
        """
        if rows:
            await self._halving(rows, self._replay, self._keep_dead)

    async def _replay(self, rows: Sequence[Row]) -> list[None]:
        stored = await self._execute(rows)
        self._tally.add(replayed=len(stored))
        self._committed(self._stream)  # also where all were known: nobody heard of those yet
        return []

    async def _keep_dead(self, row: Row, error: Exception) -> list[None]:
        await keep_dead(self._pool, row[0], self._stream, msgspec.json.encode(row[1:]), error)
        self._tally.add(dead=1)
        self._tally.trouble = f"dead letter: {reason(error)}"
        return []

    async def _halving(
        self,
        rows: Sequence[Row],
        store: Callable[[Sequence[Row]], Awaitable[list[T]]],
        refuse: Callable[[Row, Exception], Awaitable[list[T]]],
    ) -> list[T]:
        """Store rows at once; where PostgreSQL refuses the values, halve until the guilty row stands alone."""
        try:
            return await store(rows)
        except Exception as error:
            if not is_bad_data(error):
                raise
            if len(rows) == 1:
                return await refuse(rows[0], error)
        middle = len(rows) // 2
        return [
            *await self._halving(rows[:middle], store, refuse),
            *await self._halving(rows[middle:], store, refuse),
        ]

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
        stored = await again(partial(self._fetch, columns))
        self._batch_rows.observe(len(rows))
        return stored

    async def _fetch(self, columns: list[list[Any]]) -> list[asyncpg.Record]:
        with self._commit_seconds.time():
            return await self._pool.fetch(self._statement, *columns, timeout=COMMIT_SECONDS)


WRITERS: web.AppKey[Mapping[str, Writer]] = web.AppKey("writers")
