"""Erase a person: their rows in every stream, what the totals hold of them, dead letters and the spool.

A stream is erased in one transaction, which locks its table against writers: all of the person is there, or nothing,
and totals equal a recount before and after. The rows are found before the lock; writers wait while they are deleted.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from statsd.database import sql
from statsd.database.pool import Pool, again
from statsd.ingest import dead_letters, spool
from statsd.ingest.dead_letters import type_of
from statsd.stream import Stream

ERASE_SECONDS = 3_600.0  # for one statement
DRAIN_SECONDS = 30.0  # a server that runs has this long to deliver its spool
EVER = "-infinity"

Counts = dict[str, int]
"""Numbers of rows by table."""

log = logging.getLogger("statsd.erase")


class _DryRun(Exception):
    """Undoes the transaction of a dry run."""


async def from_stream(pool: Pool, stream: Stream, person: str, dry_run: bool = False) -> Counts:
    """Erase a person from a stream and its totals; return the numbers of rows by table.

    `person` is an id for which `stream.is_person` holds. A dry run does the same, and undoes it.
    """
    queries, counts = sql.load(stream.name), Counts()
    async with pool.acquire() as connection:
        began, ids = await _find(connection, queries["person"], person)

        async def erase() -> None:
            counts.clear()
            try:
                async with connection.transaction():
                    await connection.execute("set local statement_timeout = 0")
                    await connection.execute(queries["lock"], timeout=ERASE_SECONDS)
                    late = await connection.fetch(queries["person"], person, began, timeout=ERASE_SECONDS)
                    found = [*{*ids, *(row["id"] for row in late)}]
                    (row,) = await connection.fetch(queries["erase"], found, timeout=ERASE_SECONDS)
                    counts[sql.table(stream.name)] = row["deleted"]
                    arguments = (person,) if row["touched"] is None else (person, row["touched"])
                    settled = await connection.fetch(queries["settle"], *arguments, timeout=ERASE_SECONDS)
                    counts.update(*map(dict, settled))
                    if dry_run:
                        raise _DryRun
            except _DryRun:
                pass

        await again(erase)
    return counts


async def _find(connection: Any, query: str, person: str) -> tuple[str, list[Any]]:
    """Return the ids of a person's rows, and a time before which no other row was received."""
    async with connection.transaction(readonly=True):
        await connection.execute("set local statement_timeout = 0")
        began = await connection.fetchval("select (now() - interval '1 minute')::text")
        rows = await connection.fetch(query, person, EVER, timeout=ERASE_SECONDS)
    return began, [row["id"] for row in rows]


async def from_dead_letters(pool: Pool, persons: Mapping[str, str], streams: Sequence[Stream], dry_run: bool) -> int:
    """Delete the dead letters that name a person; return their number. `persons` are the ids by stream."""
    letters = await pool.fetch(dead_letters.QUERIES["list"])
    named = [
        letter["id"]
        for letter in letters
        if _names(persons, streams, letter["stream"], letter["payload"].encode(), [str(letter["id"])])
    ]
    if not dry_run:
        await pool.execute(dead_letters.QUERIES["drop"], named)
    return len(named)


async def from_spool(
    folder: Path, persons: Mapping[str, str], streams: Sequence[Stream], dry_run: bool
) -> spool.Erased:
    """Erase a person from a spool; wait for servers that run until they have delivered theirs. Raises OSError."""
    end = time.monotonic() + DRAIN_SECONDS
    records = 0
    while True:
        erased = await asyncio.to_thread(spool.erase, folder, partial(_is_named, persons, streams), dry_run)
        records += erased.records
        if not erased.in_use or dry_run or time.monotonic() > end:
            return erased._replace(records=records)
        await asyncio.sleep(0.25)


def _is_named(persons: Mapping[str, str], streams: Sequence[Stream], payload: bytes) -> bool:
    return _names(persons, streams, "", payload, [])


def _names(
    persons: Mapping[str, str], streams: Sequence[Stream], name: str, payload: bytes, first: Sequence[str]
) -> bool:
    """Whether a record names a person. `first` are values of the row that are not in the payload.

    A spooled record begins with its stream; a dead letter has it beside (else `name` is empty). One that cannot be read
    as a row of its stream, because another version wrote it, names everybody whose id it has.
    """
    values: Any = None
    try:
        values = msgspec.json.decode(payload)
        if not name:
            name, *values = values
        stream = next(stream for stream in streams if stream.name == name)
        row = msgspec.convert([*first, *values], type_of(stream))
    except (StopIteration, TypeError, ValueError, msgspec.MsgspecError):
        return any(_has(values, person) for person in persons.values())
    return name in persons and persons[name] in stream.people(row)


def _has(value: Any, person: str) -> bool:
    if isinstance(value, dict):
        return any(_has(part, person) for part in value.values())
    if isinstance(value, list):
        return any(_has(part, person) for part in value)
    return str(value) == person


async def vacuum(pool: Pool, tables: Sequence[str], rewrite: bool) -> list[str]:
    """Free the space of deleted rows and renew the statistics; return the tables where that failed.

    PostgreSQL's statistics hold common values, such as ids. `rewrite` writes the tables anew, without the bytes that
    stay in free space otherwise; each is locked meanwhile.
    """
    failed = []
    options = "full, analyze" if rewrite else "analyze"
    async with pool.acquire() as connection:
        await connection.execute("set statement_timeout = 0")
        for table in tables:
            try:
                await connection.execute(f'vacuum ({options}) "{table}"', timeout=ERASE_SECONDS)
            except asyncpg.PostgresError as error:
                log.warning("%s cannot be vacuumed: %s", table, error)
                failed.append(table)
        for command in (f"vacuum ({'full' if rewrite else 'freeze'}) pg_catalog.pg_statistic", "checkpoint"):
            try:
                await connection.execute(command, timeout=ERASE_SECONDS)
            except asyncpg.PostgresError as error:  # these need more rights than a role on a server of others has
                log.info("%s: %s", command, error)
    return failed
