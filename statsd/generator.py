"""Synthetic traffic for any stream: at a rate, or as fast as the writer takes it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
from aiohttp import ClientError, ClientSession, ClientTimeout

from statsd import sql
from statsd.errors import DatabaseAway, InvalidEvent, Overloaded, StatsError
from statsd.ingest import BATCH_ROWS, Writer, new_id
from statsd.stream import Stream

MOST_PER_SECOND = 10  # batches: below ten events a second each goes alone
RETRY_SECONDS = 1.0
PART_SHARE = 0.2
BULK_IN_FLIGHT = 2  # one batch is made while the other commits


DAYS = 30
RHYTHM = (2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 11, 10, 9, 10, 11, 11, 10, 10, 11, 13, 14, 13, 9, 5)
"""What people do at each local hour of the day, relative."""


def moment(rng: random.Random, utc_offset: int) -> datetime:
    """Return a time of the last 30 days by the rhythm of a day at `utc_offset` hours, a little denser towards today."""
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        hour = (rng.choices(range(24), RHYTHM)[0] - utc_offset) % 24
        days_ago = int(DAYS * (1 - rng.random() ** 0.8))
        when = today + timedelta(days=-days_ago, hours=hour, seconds=rng.uniform(0, 3600))
        if when <= now:
            return when


WRONG_SHARE = 0.02  # of what services deliver
WRONG_SECONDS = 5.0  # for one answer


async def send_wrong(url: str, stream: Stream, rng: random.Random) -> None:
    """Post a request that the stream refuses to the server at `url`.

    Raises StatsError when it cannot be reached, and when its answer is not that the event is wrong (400).
    """
    assert stream.wrong
    path, body = stream.wrong(rng)
    headers = {"Content-Type": "application/json"}
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=WRONG_SECONDS)) as session,
            session.post(url.rstrip("/") + path, data=body, headers=headers) as response,
        ):
            status = response.status
    except (ClientError, TimeoutError, ValueError) as error:
        raise StatsError(f"--url: {url} cannot be reached ({str(error) or type(error).__name__})") from error
    if status != 400:
        raise StatsError(
            f"--url: {url}{path} answers {status} to a wrong event where 400 would be right: name a server of ours"
            " whose webhooks are open"
        )


async def store_fixtures(pool: asyncpg.Pool[asyncpg.Record], stream: Stream) -> None:
    """Store what samples of a stream refer to, where there is such a thing."""
    if stream.fixtures:
        await pool.execute(sql.load(stream.name)["fixtures"])


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
                outcomes = await writer.store(rows)
            except Overloaded:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            # Rows whose fate is unknown go again under the same ids: what did arrive is not stored twice.
            unknown = [row for row, outcome in zip(rows, outcomes, strict=True) if isinstance(outcome, DatabaseAway)]
            wrong = next((outcome for outcome in outcomes if isinstance(outcome, InvalidEvent)), None)
            if wrong:
                raise wrong  # a sample that breaks the contract is a defect of the sample
            self.total += len(rows) - len(unknown)
            rows = unknown
            if rows:
                await asyncio.sleep(RETRY_SECONDS)
