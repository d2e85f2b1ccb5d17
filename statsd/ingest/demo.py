"""A demo: events of all streams, a month of history once and then live ones, in a database that has nothing else.

The ids of the history follow from their numbers: a start that was cut off, or two at a time, store it once.
"""

import asyncio
import itertools
import logging
from collections.abc import Mapping, Sequence

from statsd.database import sql
from statsd.database.pool import Pool, ask
from statsd.errors import DatabaseAway, SettingsError
from statsd.ingest.generator import RETRY_SECONDS, Generator, WriterStore, store_fixtures
from statsd.ingest.ids import id_of
from statsd.ingest.writer import Writer
from statsd.stream import Stream

HISTORY_EVENTS = 20_000
SEED = 1
RATE = 5.0  # live events a second, by default
QUERIES = sql.load("demo")
FOREIGN = (
    "STATS_DEMO: the database has events that are not of a demo: give the demo a database of its own,"
    " such as with --data-dir demo"
)

log = logging.getLogger("statsd.demo")


async def claim(pool: Pool) -> None:
    """Mark the database as that of a demo. Raises SettingsError if it has other events, and DatabaseAway."""
    if not await ask("the demo", pool.fetch(QUERIES["claim"])):
        raise SettingsError([FOREIGN])


async def run(pool: Pool, streams: Sequence[Stream], writers: Mapping[str, Writer], rate: float) -> None:
    """Store the history, unless that was done before; then live events until cancelled."""
    log.warning("this is a demo: its events are synthetic; do not send it real ones")
    while True:
        try:
            await claim(pool)  # once more where the database was away at the start
            if not await ask("the demo", pool.fetchval(QUERIES["is_finished"])):
                await _store_history(pool, streams, writers)
            break
        except DatabaseAway:
            await asyncio.sleep(RETRY_SECONDS)
    await Generator(streams, WriterStore(writers)).at_rate(rate or RATE)


async def _store_history(pool: Pool, streams: Sequence[Stream], writers: Mapping[str, Writer]) -> None:
    for stream in streams:
        await store_fixtures(pool, stream)
    numbers = itertools.count()
    store = WriterStore(writers, lambda stream: id_of(stream, f"demo {next(numbers)}"))
    await Generator(streams, store, SEED).in_bulk(HISTORY_EVENTS)
    await ask("the demo", pool.execute(QUERIES["finish"]))
