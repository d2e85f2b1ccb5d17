"""What a stream refused: counts of invalid events, and the latest refused deliveries. Both are in the database, the
same for all servers.

Counts are grouped as events are: the refusals that arrive while one statement runs are counted by the next. The latest
ones are written once a second at most, so that a flood of refusals is no flood of writes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import msgspec
from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, Pool, again, cause
from statsd.ingest.ids import new_id

RETRY_SECONDS = 1.0
MOST_LATEST = 100  # that are kept; `keep_refused` in the SQL has the same number
MOST_CHARACTERS = 200  # of each of their texts
PACE_SECONDS = 1.0  # between two writes of the latest

log = logging.getLogger("statsd.refusals")


class Refused(msgspec.Struct, frozen=True):
    """A refused delivery, with the columns of its table."""

    id: UUID
    refused_at: datetime
    address: str
    path: str
    status: int
    reasons: list[str]


class Latest:
    """The latest refused deliveries of a stream; `changed` is called after every write.

    While the database is away, the latest hundred of this server wait in memory.
    """

    def __init__(self, stream: str, pool: Pool, changed: Callable[[], None]) -> None:
        self._pool = pool
        self._changed = changed
        self._query = sql.load(stream)["keep_refused"]
        self._pending: deque[Refused] = deque(maxlen=MOST_LATEST)
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()

    def note(self, address: str, path: str, status: int, reasons: list[str]) -> None:
        """Note a refused delivery. Never waits."""
        when, texts = datetime.now(UTC), [_plain(reason) for reason in reasons]
        self._pending.append(Refused(new_id(), when, _plain(address), _plain(path), status, texts))
        self._wake.set()

    async def run(self) -> None:
        """Write what is pending, once a second at most, until cancelled."""
        while True:
            await self._wake.wait()
            try:
                await self.write()
            except Exception as error:  # they are only a help for people: no error of theirs may end the program
                log.debug("refused deliveries wait to be written: %s", error)
            await asyncio.sleep(PACE_SECONDS)

    async def write(self) -> None:
        """Write what is pending now. Raises the errors of the database; then it stays pending."""
        async with self._writing:
            if not self._pending:
                self._wake.clear()
                return
            rows = list(self._pending)
            await again(partial(self._pool.execute, self._query, msgspec.json.encode(rows).decode()))
            written = {row.id for row in rows}
            self._pending = deque((row for row in self._pending if row.id not in written), MOST_LATEST)
            if not self._pending:
                self._wake.clear()
        self._changed()


def _plain(text: str) -> str:
    """Return a text as PostgreSQL takes it: a client may send any character in a header."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:MOST_CHARACTERS])


class Refusals:
    """The counter of one stream, whose SQL has the query `refuse`; `changed` is called after every commit.

    Counts at least once: if the connection is lost before PostgreSQL answers, the same refusals are counted again.
    """

    def __init__(self, stream: str, pool: Pool, changed: Callable[[str], None]) -> None:
        self._stream = stream
        self._pool = pool
        self._changed = changed
        self._query = sql.load(stream)["refuse"]
        self.latest = Latest(stream, pool, partial(changed, f"{stream} refused"))
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
        """Count pending refusals, and write the latest, until cancelled; retry while the database is away."""
        await asyncio.gather(self._run_counts(), self.latest.run())

    async def _run_counts(self) -> None:
        while True:
            await self._wake.wait()
            if not await self._count_pending():
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> None:
        """Count the pending refusals, after any count that is under way, and write the latest, as far as possible."""
        if await self._count_pending():
            with suppress(Exception):
                await self.latest.write()

    async def _count_pending(self) -> bool:
        """Return whether that succeeded."""
        async with self._flushing:
            self._wake.clear()
            number = self._pending
            counted, self._counted = self._counted, asyncio.Event()
            try:
                if number:
                    await self._pool.execute(self._query, datetime.now(UTC).date(), number)
            except Exception as error:
                self._wake.set()
                words = "%s: %d refused events wait to be counted: the database %s"
                log.warning(words, self._stream, number, cause(error))
                return False
            self._pending -= number
        counted.set()
        if number:
            self._changed(self._stream)
        return True


REFUSALS: web.AppKey[Mapping[str, Refusals]] = web.AppKey("refusals")
