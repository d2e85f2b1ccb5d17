"""What every stream keeps: accepted once, posted twice counts once, folded equals recounted, outside rows count."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from recounts import differences

from statsd.database import sql
from statsd.database.pool import open_pool
from statsd.ingest import aggregate, generator, ids
from statsd.ingest.writer import Writer
from statsd.stream import Row, Stream
from statsd.streams import STREAMS

pytestmark = pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)

Pool = Any


def rows(stream: Stream, count: int, seed: int = 1) -> list[Row]:
    rng = random.Random(seed)
    return [stream.row(stream.sample(rng), ids.new_id()) for _ in range(count)]


@asynccontextmanager
async def writing(stream: Stream, pool: Pool) -> AsyncIterator[Writer]:
    await generator.store_fixtures(pool, stream)
    writer = Writer(stream, pool)
    task = asyncio.create_task(writer.run())
    yield writer
    writer.stop()
    await task


async def totals(stream: Stream, pool: Pool) -> dict[str, list[tuple[Any, ...]]]:
    """Every totals table of the stream, whole, and in an order of its own."""
    tables = await pool.fetch("""
        select relname from pg_class
        where relkind = 'r' and relnamespace = 'public'::regnamespace
        order by relname
    """)
    names = [
        table["relname"]
        for table in tables
        if table["relname"] not in (*(sql.table(one.name) for one in STREAMS), "statsd_migrations")
    ]
    return {name: sorted(map(tuple, await pool.fetch(f"select * from {name}")), key=repr) for name in names}


async def equal_a_recount(stream: Stream, pool: Pool) -> bool:
    """Whether the totals are what the raw rows say, and a rebuild makes the same ones."""
    before = await totals(stream, pool)
    found = await differences(pool, stream.name)
    await aggregate.rebuild(pool, stream.name)
    return found == [] and before == await totals(stream, pool) and any(before.values())


async def test_what_is_stored_twice_counts_once(stream: Stream, pool: Pool) -> None:
    mine = rows(stream, 300)
    async with writing(stream, pool) as writer:
        await asyncio.gather(*(writer.store(mine) for _ in range(3)), *(writer.store([row]) for row in mine[:50]))
    assert await pool.fetchval(f"select count(*) from {sql.table(stream.name)}") == 300
    assert await equal_a_recount(stream, pool)


async def test_each_row_is_compared_with_what_is_stored_under_its_id(stream: Stream, pool: Pool) -> None:
    """Also where several have one id: each has its own answer, in its place."""
    known = sql.load(stream.name)["known"]
    stored, new = rows(stream, 2)
    other = next(row for seed in count() if _told(row := (stored[0], *rows(stream, 1, seed)[0][1:])) != _told(stored))
    async with writing(stream, pool) as writer:
        await writer.store([stored])
    given = [new, stored, other, stored, other]
    found = await pool.fetch(known, *(list(column) for column in zip(*given, strict=True)))
    assert {record["number"]: record["same"] for record in found} == {2: True, 3: False, 4: True, 5: False}
    assert {record["id"] for record in found} == {stored[0]}


def _told(row: Row) -> list[Any]:
    """What a client said, and not when."""
    return [value for value in row if not isinstance(value, datetime)]


async def test_totals_hold_in_whatever_batches_rows_come(stream: Stream, pool: Pool) -> None:
    mine = rows(stream, 400)
    rng = random.Random(3)
    async with writing(stream, pool) as writer:
        while mine:
            size = min(len(mine), rng.choice([1, 1, 2, 7, 60]))
            await writer.store(mine[:size])
            mine = mine[size:]
    assert await equal_a_recount(stream, pool)


async def test_row_of_another_program_counts_at_the_next_sweep_and_once(stream: Stream, pool: Pool) -> None:
    raw = sql.table(stream.name)
    async with writing(stream, pool) as writer:
        await writer.store(rows(stream, 20))
    whole = await totals(stream, pool)
    # The same rows again, as another program would insert them: without our ids and our mark.
    columns = ", ".join(stream.columns.keys() - {"id"})
    await pool.execute(f"insert into {raw} ({columns}) select {columns} from {raw}")
    assert await totals(stream, pool) == whole
    assert await aggregate.sweep(pool, stream.name) == 20
    assert await aggregate.sweep(pool, stream.name) == 0
    assert await totals(stream, pool) != whole
    assert await equal_a_recount(stream, pool)


async def test_writers_sweepers_and_strangers_at_once_stay_exact(stream: Stream, pool: Pool, database_url: str) -> None:
    """Two writers, two sweepers and an outside program for 4,000 rows; a rebuild in the middle of it."""
    columns = ", ".join(stream.columns.keys() - {"id"})
    raw = sql.table(stream.name)
    async with (
        await open_pool(database_url) as other,
        writing(stream, pool) as one,
        writing(stream, other) as two,
    ):
        await one.store(rows(stream, 200, seed=9))

        async def store(writer: Writer, seed: int) -> None:
            for step in range(10):
                await writer.store(rows(stream, 100, seed=100 * seed + step))

        async def insert() -> None:
            for _ in range(10):
                await other.execute(f"insert into {raw} ({columns}) select {columns} from {raw} order by id limit 100")

        async def sweep() -> None:
            for _ in range(10):
                await aggregate.sweep(pool, stream.name)

        await asyncio.gather(
            store(one, 1), store(two, 2), insert(), sweep(), sweep(), aggregate.rebuild(pool, stream.name)
        )
        await aggregate.sweep(pool, stream.name)
    assert await pool.fetchval(f"select count(*) from {raw} where folded") == 200 + 2000 + 1000
    assert await equal_a_recount(stream, pool)


async def test_sample_is_the_same_for_the_same_seed(stream: Stream, pool: Pool) -> None:
    first, second = (stream.sample(random.Random(5)) for _ in range(2))
    assert {name: value for name, value in _plain(first).items() if "time" not in name} == {
        name: value for name, value in _plain(second).items() if "time" not in name
    }


def _plain(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}
