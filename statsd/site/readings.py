"""Readings: what health, metrics and alerts say about now. Each is taken when it is asked for, within two seconds.

What the database does not answer in that time is unknown; nothing is told from an earlier reading.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from aiohttp import web

from statsd import __version__, metrics
from statsd.database import sql
from statsd.database.pool import POOL, Pool, ask, cause
from statsd.ingest.outage import OUTAGE, Outage
from statsd.ingest.writer import WRITERS, Writer
from statsd.live.channel import CHANNEL, Channel
from statsd.settings import Settings
from statsd.web import SETTINGS

CHECK_SECONDS = 2.0  # for an answer of the database, and for one of the disk
FRESH_SECONDS = 5.0  # a batch stored so recently proves that the database can be written to
PROBE_SECONDS = 1.0  # between two writes of a probe: anybody may ask for the health, at any rate
MOMENTS_SECONDS = 10.0  # between two writes of the times at which streams last stored events
QUERIES = sql.load("health")

Durability = Literal["full", "degraded", "unknown"]
T = TypeVar("T")

log = logging.getLogger("statsd.readings")


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the data folder, in bytes, and the spool's damaged files on it."""

    free: float
    size: float
    corrupt: float


UNKNOWN = Disk(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of the server and its database. A value is None if it could not be read in time."""

    durability: Durability
    """Whether PostgreSQL's settings allow it to lose what it committed; `unknown` if it does not answer."""
    refused: str
    """Why events are refused with 503; empty if they are accepted."""
    unstored: str
    """Why the latest events were not stored, or would not be now; empty if they are."""
    dead_letters: int | None
    database_bytes: int | None
    stored_at: Mapping[str, float]
    """When streams last stored an event, in seconds since 1970. Streams that never did are not in it."""
    disk: Disk | None

    @property
    def is_up(self) -> bool:
        """Whether the database answers."""
        return self.durability != "unknown"

    @property
    def reason(self) -> str:
        """Why not all is well, for people; empty if it is."""
        away = "" if self.is_up else "the database does not answer"
        return self.refused or self.unstored or away


class Readings:
    """Takes readings. `run` keeps the times of the latest events in the database, for all servers."""

    def __init__(
        self, settings: Settings, pool: Pool, outage: Outage, writers: Mapping[str, Writer], channel: Channel
    ) -> None:
        self._settings, self._pool, self._outage = settings, pool, outage
        self._writers, self._channel = writers, channel
        self._swept: dict[str, float] = {}
        self._probed: tuple[float, Exception | None] = (-math.inf, None)  # when, and its error
        self._reading: asyncio.Task[Reading] | None = None
        metrics.BUILD.info({"version": __version__})

    async def take(self) -> Reading:
        """Return a reading; those who ask while one is taken share it."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._take(), name="reading")
        return await asyncio.shield(self._reading)

    def swept(self, stream: str) -> None:
        """Report that the aggregation found events that another program inserted."""
        self._swept[stream] = time.time()

    async def _take(self) -> Reading:
        outage = self._outage
        own, writing, letters, moments, disk = await asyncio.gather(
            self._try(self._pool.fetchrow(QUERIES["reading"])),
            self._unwritable(),
            self._try(self._pool.fetchval(sql.load("dead_letters")["number"])),
            self._try(self._pool.fetch(QUERIES["moments"])),
            self._try(asyncio.to_thread(_disk, self._settings, outage)),
        )
        stored_at = {row["stream"]: row["stored_at"].timestamp() for row in moments or ()}
        for stream, moment in self._moments().items():
            stored_at[stream] = max(moment, stored_at.get(stream, 0.0))
        return Reading(
            durability="unknown" if own is None else "full" if own["durable"] else "degraded",
            refused=self._refused(),
            unstored=self._unstored() or writing,
            dead_letters=letters,
            database_bytes=own and own["bytes"],
            stored_at=stored_at,
            disk=disk,
        )

    async def _try(self, query: Coroutine[Any, Any, T]) -> T | None:
        try:
            return await ask("a reading", query, CHECK_SECONDS)
        except Exception as error:  # every error means that the value cannot be had now
            log.debug("%s", error)
            return None

    def _refused(self) -> str:
        outage = self._outage
        database = f"the database {outage.reason}; " if outage.away else ""
        return f"events are refused: {database}{outage.refusal}" if outage.refusal else ""

    def _unstored(self) -> str:
        outage = self._outage
        if outage.away:
            return f"events wait on disk: the database {outage.reason}"
        spooled = [name for name, writer in self._writers.items() if writer.tally.latest == "spooled"]
        if spooled and outage.spool.rows:
            return f"events of {', '.join(spooled)} wait on disk, for a lock or behind others"
        return ""

    async def _unwritable(self) -> str:
        """Return why the database cannot be written to; empty if it can, which a recent batch proves as well."""
        latest = max((writer.tally.stored_at for writer in self._writers.values()), default=0.0)
        if self._outage.away or time.time() - latest < FRESH_SECONDS:
            return ""
        probed, error = self._probed
        if time.monotonic() - probed >= PROBE_SECONDS:
            error = await self._outage.probe()
            self._probed = time.monotonic(), error
        return f"events would wait on disk: the database {cause(error)}" if error else ""

    def _moments(self) -> dict[str, float]:
        stored = {name: writer.tally.stored_at for name, writer in self._writers.items() if writer.tally.stored_at}
        return stored | {name: max(moment, stored.get(name, 0.0)) for name, moment in self._swept.items()}

    async def run(self) -> None:
        """Keep the times of the latest events in the database until cancelled."""
        kept: dict[str, float] = {}
        while True:
            await asyncio.sleep(MOMENTS_SECONDS)
            moments = self._moments()
            if moments != kept and not self._outage.away:
                times = [datetime.fromtimestamp(moment, UTC) for moment in moments.values()]
                keeping = self._pool.execute(QUERIES["keep_moments"], list(moments), times)
                kept = moments if await self._try(keeping) else kept

    async def observe(self) -> None:
        """Set the gauges that no event changes, for a scrape."""
        reading, outage, channel = await self.take(), self._outage, self._channel
        now = time.time()
        metrics.DATABASE_UP.set(reading.is_up)
        metrics.DATABASE_WRITABLE.set(reading.is_up and not reading.unstored)
        metrics.DATABASE_BYTES.set(_number(reading.database_bytes))
        metrics.DEAD_LETTERS.set(_number(reading.dead_letters))
        metrics.OUTAGE.set(outage.away)
        metrics.OUTAGE_SECONDS.set(outage.seconds)
        metrics.LISTENING.set(channel.listening.is_set())
        metrics.LISTENING_SECONDS.set(time.monotonic() - channel.since)
        metrics.SPOOL_MAX_BYTES.set(outage.spool.max_bytes)
        disk = reading.disk or UNKNOWN
        metrics.SPOOL_CORRUPT.set(disk.corrupt)
        metrics.DATA_FREE_BYTES.set(disk.free)
        metrics.DATA_DISK_BYTES.set(disk.size)
        metrics.LAST_STORED_SECONDS.clear()  # of a stream that the database does not tell now, an old value is none
        for stream, moment in reading.stored_at.items():
            metrics.LAST_STORED_SECONDS.labels(stream).set(max(0.0, now - moment))


def _number(value: int | None) -> float:
    return math.nan if value is None else value


def _disk(settings: Settings, outage: Outage) -> Disk:
    disk = os.statvfs(settings.data_dir)
    return Disk(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize, outage.spool.corrupt)


def make_readings(app: web.Application) -> Readings:
    """Return what takes the readings of an application whose writers run."""
    return Readings(app[SETTINGS], app[POOL], app[OUTAGE], app[WRITERS], app[CHANNEL])


READINGS: web.AppKey[Readings] = web.AppKey("readings")
