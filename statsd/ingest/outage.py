"""While the database is away, batches wait in the spool; when it is back, they are replayed.

An outage begins when a batch cannot be committed in time, and ends when a probe succeeds. Then the spool is replayed in
order while new events go straight to the database. A row that was committed before has a known id and counts once.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
from aiohttp import web

from statsd import metrics
from statsd.database.pool import Pool, ask, is_late
from statsd.errors import SchemaTooNew
from statsd.ingest.dead_letters import Deliver, keep_dead, retry_orphans, type_of
from statsd.ingest.spool import Spool, SpoolFull
from statsd.stream import Row, Stream

PROBE_SECONDS = 1.0
PAUSE_SECONDS = 0.25  # between replays that left something in the spool
PROBE = "insert into dead_letters select * from dead_letters where false"  # a write: a read-only server counts as away
UNREADABLE = UUID("b0b7a4fd-7a5e-4f35-8ac6-4e7ea9d3c4a5")  # namespace of ids for records that cannot be decoded
WARNING_SECONDS = 60.0

log = logging.getLogger("statsd.outage")


class Outage:
    """Knows whether the database is away, spools meanwhile and replays afterwards. `run` is its task."""

    def __init__(self, pool: Pool, spool: Spool, streams: Sequence[Stream]) -> None:
        self.spool = spool
        self.away = False
        self.prepare: Callable[[], Awaitable[Any]] | None = None
        """Runs before the first replay: the migrations, if the database was away when the program started."""
        self._pool = pool
        self._streams = streams
        self._rows = {stream.name: type_of(stream) for stream in streams}
        self._began = 0.0
        self._full = False
        self._warned = -WARNING_SECONDS
        self._wake = asyncio.Event()
        self._examining: asyncio.Task[None] | None = None
        metrics.SPOOL_ROWS.set_function(lambda: spool.rows)
        metrics.SPOOL_BYTES.set_function(lambda: spool.size)
        metrics.SPOOL_OLDEST_SECONDS.set_function(lambda: spool.oldest_seconds)
        metrics.SPOOL_CORRUPT.set_function(lambda: spool.corrupt)

    @property
    def state(self) -> str:
        """`empty`, `filling`, `draining`, or `full`: the spool refused the latest batch."""
        if self._full:
            return "full"
        return "filling" if self.away else "draining" if self.spool.rows else "empty"

    def begin(self, reason: str) -> None:
        """Report that the database failed to store a batch: it is away."""
        if not self.away:
            log.error("the database is away, events wait on disk: %s", reason)
            self.away, self._began = True, time.monotonic()
        self._wake.set()

    def examine(self, reason: str) -> None:
        """Report that a batch was late: probe whether the database is away, or the rows only wait for a lock."""
        if self._examining is None or self._examining.done():
            self._examining = asyncio.create_task(self._examine(reason), name="examine the database")

    async def _examine(self, reason: str) -> None:
        if not await self._answers():
            self.begin(reason)

    async def _answers(self) -> bool:
        try:
            await ask("the database", self._pool.execute(PROBE), PROBE_SECONDS)
        except Exception as error:
            self._warn(error)
            return False
        return True

    async def spool_rows(self, stream: str, rows: Sequence[Row]) -> None:
        """Append rows to the spool; return once they are synced to disk. Raises SpoolFull, with none accepted."""
        try:
            await self.spool.append([_encode(stream, row) for row in rows])
        except SpoolFull:
            self._full = True
            raise
        self._full = False
        self._wake.set()

    async def run(self, deliver: Mapping[str, Deliver]) -> None:
        """Probe while the database is away, and replay the spool with the `deliver` of each stream, until cancelled."""
        try:
            while True:
                if not self.away and not self.spool.rows:
                    self._wake.clear()
                    await self._wake.wait()
                if not await (self._replay(deliver) if self.spool.rows and not self.prepare else self._probe()):
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            if self._examining is not None:
                self._examining.cancel()

    async def _probe(self) -> bool:
        try:
            if self.prepare:
                await self.prepare()
                self.prepare = None
        except SchemaTooNew:
            raise  # a newer program migrated it: waiting does not help
        except Exception as error:
            self._warn(error)
            return False
        if not await self._answers():
            return False
        self._end()
        return True

    async def _replay(self, deliver: Mapping[str, Deliver]) -> bool:
        """Replay the spool; return whether it is empty now."""
        requeued = 0

        async def batch(payloads: list[bytes]) -> None:
            nonlocal requeued
            by_stream = await self._by_stream(payloads)
            for stream in self._rows:  # in the order of STREAMS: a stream comes before those that refer to it
                if stream in by_stream and not await self._deliver(stream, by_stream[stream], deliver[stream]):
                    requeued += len(by_stream[stream])
            self._end()  # after the first batch: new events need not wait behind the rest

        try:
            count = await self.spool.replay(batch)
            await retry_orphans(self._pool, self._streams, deliver)  # letters of other servers may refer to our events
        except Exception as error:
            self.begin(f"{type(error).__name__}: {error}")
            self._warn(error)
            return False
        if count > requeued:
            log.warning("%d events were replayed from disk into the database", count - requeued)
        return not self.spool.rows

    async def _deliver(self, stream: str, rows: Sequence[Row], deliver: Deliver) -> bool:
        """Deliver rows and return True. If they wait for a lock, append them to the spool again and return False."""
        try:
            await deliver(rows)
        except Exception as error:
            if not is_late(error) or not await self._answers():
                raise
            await self.spool_rows(stream, rows)
            self._warn(error)
            return False
        return True

    def _end(self) -> None:
        self._full = False
        if self.away:
            self.away = False
            log.warning("the database is back after %.0f s", time.monotonic() - self._began)

    async def _by_stream(self, payloads: list[bytes]) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = {}
        for payload in payloads:
            try:
                stream, *values = msgspec.json.decode(payload)
                row = msgspec.convert(values, self._rows[stream])
            except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
                # another version of the program wrote it
                await keep_dead(self._pool, uuid5(UNREADABLE, payload.decode()), "", payload, error)
            else:
                rows.setdefault(stream, []).append(row)
        return rows

    def _warn(self, error: Exception) -> None:
        if time.monotonic() - self._warned >= WARNING_SECONDS:
            self._warned = time.monotonic()
            percent = 100 * self.spool.size / self.spool.max_bytes
            reason = str(error) or type(error).__name__
            log.warning("%d events wait on disk (the spool is %.0f %% full): %s", self.spool.rows, percent, reason)


def _encode(stream: str, row: Row) -> bytes:
    """A row as ASCII JSON: the stream, then the values of its columns."""
    return json.dumps([stream, *row], default=_text, separators=(",", ":")).encode()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else repr(value)


OUTAGE: web.AppKey[Outage] = web.AppKey("outage")
