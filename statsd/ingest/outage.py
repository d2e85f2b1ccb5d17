"""While the database is away, batches wait in the spool; when it is back, they are replayed.

An outage begins when a batch cannot be committed in time. It ends when the first batch of the spool was stored, or, if
nothing waits there, when a probe could write. Then the rest of the spool is replayed in order while new events go
straight to the database, except those that must not overtake a row in the spool (`order.py`). A row that was committed
before has a known id and counts once.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import msgspec
from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import Pool, ask, cause, is_late
from statsd.errors import SchemaTooNew
from statsd.ingest.dead_letters import Deliver, keep_dead, retry_orphans, type_of
from statsd.ingest.order import key_of
from statsd.ingest.spool import Spool, SpoolFull
from statsd.stream import Row, Stream

PROBE_SECONDS = 1.0
PAUSE_SECONDS = 0.25  # between replays that left something in the spool
FEW_ROWS = 500  # in the spool: they are replayed soon
NEAR_END_SECONDS = 0.5  # to wait for that, instead of adding to the spool
UNREADABLE = UUID("b0b7a4fd-7a5e-4f35-8ac6-4e7ea9d3c4a5")  # namespace of ids for records that cannot be decoded
WARNING_SECONDS = 60.0  # between two lines about an outage; its end is always logged if its beginning was
QUERIES = sql.load("health")

log = logging.getLogger("statsd.outage")


class Outage:
    """Knows whether the database is away, spools meanwhile and replays afterwards. `run` is its task."""

    def __init__(self, pool: Pool, spool: Spool, streams: Sequence[Stream]) -> None:
        self.spool = spool
        self.away = False
        self.reason = ""
        """Why the latest outage began, for clients: it follows "the database"."""
        self.refusal = ""
        """Why the spool refused the latest batch; empty if it did not."""
        self.prepare: Callable[[], Awaitable[Any]] | None = None
        """Runs before the first replay: the migrations, if the database was away when the program started."""
        self._pool = pool
        self._streams = streams
        self._rows = {stream.name: type_of(stream) for stream in streams}
        self._keys = {stream.name: key_of(stream) for stream in streams}
        self._replayed = asyncio.Condition()  # notified after each replay
        self._is_locked = False  # whether the latest replay left rows that wait for a lock
        self._began = 0.0
        self._warned = -WARNING_SECONDS
        self._is_logged = False  # whether the outage under way is in the log
        self._wake = asyncio.Event()
        self._examining: asyncio.Task[None] | None = None
        metrics.SPOOL_ROWS.set_function(lambda: spool.rows)
        metrics.SPOOL_BYTES.set_function(lambda: spool.size)
        metrics.SPOOL_OLDEST_SECONDS.set_function(lambda: spool.oldest_seconds)

    @property
    def state(self) -> str:
        """`empty`, `filling`, `draining`, or `full`: the spool refused the latest batch."""
        if self.refusal:
            return "full"
        return "filling" if self.away else "draining" if self.spool.rows else "empty"

    @property
    def seconds(self) -> float:
        """How long the outage has lasted; 0.0 without one."""
        return time.monotonic() - self._began if self.away else 0.0

    def begin(self, error: Exception) -> None:
        """Report that the database failed to store a batch: it is away."""
        self.reason = cause(error)
        if not self.away:
            self.away, self._began = True, time.monotonic()
            if self._is_due():
                log.error("the database is away, events wait on disk: %s: %s", type(error).__name__, error)
                self._is_logged = True
        self._wake.set()

    def examine(self) -> None:
        """Report that a batch was late: probe whether the database is away, or the rows only wait for a lock."""
        if self._examining is None or self._examining.done():
            self._examining = asyncio.create_task(self._examine(), name="examine the database")

    async def _examine(self) -> None:
        if error := await self.probe():
            self.begin(error)

    async def probe(self) -> Exception | None:
        """Write one row; return the error if that fails."""
        try:
            await ask("the database", self._pool.execute(QUERIES["write"]), PROBE_SECONDS)
        except Exception as error:
            return error.__cause__ if isinstance(error.__cause__, Exception) else error
        return None

    async def spool_rows(self, stream: str, rows: Sequence[Row]) -> None:
        """Append rows to the spool; return once they are synced to disk. Raises SpoolFull, with none accepted."""
        try:
            await self.spool.append([_encode(stream, row) for row in rows])
        except SpoolFull as error:
            self.refusal = str(error)
            self._wake.set()
            raise
        self.refusal = ""
        self._wake.set()

    async def near_end(self) -> None:
        """If few rows are left to replay, wait until they are stored, at most half a second.

        Otherwise a client that moves one item again and again would never let it leave the spool.
        """
        if self.away or self._is_locked or self.spool.rows > FEW_ROWS:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(NEAR_END_SECONDS), self._replayed:
                await self._replayed.wait_for(lambda: not self.spool.keys.records)

    async def run(self, deliver: Mapping[str, Deliver]) -> None:
        """Probe while the database is away, and replay the spool with the `deliver` of each stream, until cancelled."""
        try:
            while True:
                if not self.away and not self.spool.rows and not self.refusal:
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
        if failure := await self.probe() or await self._allocate():
            self.reason = cause(failure)
            self._warn(failure)
            return False
        self._end()
        return True

    async def _allocate(self) -> Exception | None:
        """Take some disk space of the database and give it back; return the error if that fails."""
        try:
            await ask("the database", self._pool.execute(QUERIES["allocate"]), PROBE_SECONDS)
        except asyncpg.InsufficientPrivilegeError:
            return None  # it must not make temporary tables: then only a batch can find out
        except Exception as error:
            return error.__cause__ if isinstance(error.__cause__, Exception) else error
        return None

    async def _replay(self, deliver: Mapping[str, Deliver]) -> bool:
        """Replay the spool; return whether it is empty now."""
        requeued = 0
        locked: set[str] = set()  # keys of requeued rows: later rows must not overtake these

        async def batch(payloads: list[bytes]) -> None:
            nonlocal requeued
            by_stream = await self._by_stream(payloads)
            is_stored = not by_stream
            for stream in self._rows:  # in the order of STREAMS: a stream comes before those that refer to it
                if stream in by_stream:
                    late = await self._deliver(stream, by_stream[stream], deliver[stream], locked)
                    is_stored |= late < len(by_stream[stream])
                    requeued += late
            if is_stored:
                self._end()  # after the first batch: new events need not wait behind the rest

        try:
            count = await self.spool.replay(batch)
            await retry_orphans(self._pool, self._streams, deliver)  # letters of other servers may refer to our events
        except Exception as error:
            self.begin(error)
            self._warn(error)
            return False
        finally:
            self._is_locked = requeued > 0
            async with self._replayed:
                self._replayed.notify_all()
        if count > requeued:
            log.warning("%d events were replayed from disk into the database", count - requeued)
        return not self.spool.rows

    async def _deliver(self, stream: str, rows: Sequence[Row], deliver: Deliver, locked: set[str]) -> int:
        """Deliver rows. Append those that wait for a lock, or whose key is `locked`, to the spool again.

        Returns the number of the appended rows, and adds their keys to `locked`.
        """
        key = self._keys[stream]
        behind = [row for row in rows if key(row) in locked] if key and locked else []
        ahead = [row for row in rows if key is None or key(row) not in locked] if behind else rows
        try:
            await deliver(ahead)
        except Exception as error:
            if not is_late(error) or await self.probe():
                raise
            behind = list(rows)
            locked.update(map(key, rows) if key else ())
            self._warn(error)
        if behind:
            await self.spool_rows(stream, behind)
        return len(behind)

    def _end(self) -> None:
        self.refusal = ""
        if self.away:
            if self._is_logged:
                log.warning("the database is back after %.0f s", self.seconds)
            self.away = self._is_logged = False

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
        if self._is_due():
            percent = 100 * self.spool.size / self.spool.max_bytes
            reason = str(error) or type(error).__name__
            log.warning("%d events wait on disk (the spool is %.0f %% full): %s", self.spool.rows, percent, reason)
            self._is_logged = self.away

    def _is_due(self) -> bool:
        """Whether a line may be logged: one a minute, also if the database is away and back every second."""
        is_due = time.monotonic() - self._warned >= WARNING_SECONDS
        if is_due:
            self._warned = time.monotonic()
        return is_due


def _encode(stream: str, row: Row) -> bytes:
    """A row as ASCII JSON: the stream, then the values of its columns."""
    return json.dumps([stream, *row], default=_text, separators=(",", ":")).encode()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else repr(value)


OUTAGE: web.AppKey[Outage] = web.AppKey("outage")
