"""The writer: durable before it answers, bad rows alone, bounded, and nothing lost at the stop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from waiting import until

from statsd.database import sql
from statsd.database.pool import connect
from statsd.errors import DatabaseAway, InvalidEvent, Overloaded
from statsd.ingest import ids
from statsd.ingest.ids import new_id
from statsd.ingest.lanes import BATCH_ROWS
from statsd.ingest.writer import QUEUE_ROWS, Writer
from statsd.stream import Row
from statsd.streams import logins

RNG = random.Random(7)

BLOCKED = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
TERMINATE_BLOCKED = f"select pg_terminate_backend(pid) from ({BLOCKED}) as blocked"


def rows(count: int) -> list[Row]:
    return [logins.event.row(logins.sample.sample(RNG), new_id()) for _ in range(count)]


def refused_row() -> Row:
    """A row that passed our own checks somehow and that only PostgreSQL refuses."""
    row = list(rows(1)[0])
    row[list(logins.STREAM.columns).index("region")] = ""
    return tuple(row)


@asynccontextmanager
async def writing(
    pool: asyncpg.Pool[asyncpg.Record], committed: Callable[[str], None] = print
) -> AsyncIterator[Writer]:
    writer = Writer(logins.STREAM, pool, committed)
    task = asyncio.create_task(writer.run())
    yield writer
    writer.stop()
    await task


async def stored(pool: asyncpg.Pool[asyncpg.Record]) -> tuple[int, int]:
    """Rows in the raw table, and rows counted in the totals."""
    counted = "select coalesce(sum(logins), 0)::bigint from login_devices"
    return await pool.fetchval("select count(*) from user_logins"), await pool.fetchval(counted)


async def test_rows_are_committed_and_counted_when_store_returns(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    async with writing(pool) as writer:
        verdicts = await writer.store(rows(3))
        assert await stored(pool) == (3, 3)
    assert all(verdict.state == "stored" and verdict.record for verdict in verdicts)


async def test_verdicts_come_in_the_order_of_the_rows(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    mine = rows(200)
    async with writing(pool) as writer:
        parts = await asyncio.gather(*(writer.store(mine[start : start + 20]) for start in range(0, 200, 20)))
    assert [verdict.record and verdict.record["id"] for part in parts for verdict in part] == [row[0] for row in mine]


async def test_same_id_is_one_event_within_a_batch_and_after_it(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    (row,) = rows(1)
    async with writing(pool) as writer:
        first, second = await writer.store([row, row])
        (third,) = await writer.store([row])
    assert [first.state, second.state, third.state] == ["stored", "known", "known"]
    assert await stored(pool) == (1, 1)


async def prepared(pool: asyncpg.Pool[asyncpg.Record]) -> set[str]:
    """The heads that the pool's one connection has run."""
    statements = {record["statement"] for record in await pool.fetch("select statement from pg_prepared_statements")}
    return {head for head in ("insert", "append") if sql.load("logins")[head] in statements}


async def test_rows_with_new_ids_are_appended_and_those_with_keys_inserted(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    async with writing(pool) as writer:
        await writer.store(rows(20))
        assert await prepared(pool) == {"append"}
        keyed = (ids.id_of("logins", "a key"), *rows(1)[0][1:])
        assert [verdict.state for verdict in await writer.store([*rows(2), keyed])] == ["stored"] * 3
        assert await prepared(pool) == {"append", "insert"}
    assert await stored(pool) == (23, 23)


async def test_new_id_that_was_stored_before_is_known_and_its_neighbours_are_stored(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    """As when a commit went through, its answer was lost, and the caller tries again."""
    mine = rows(40)
    mine[30] = refused_row()
    async with writing(pool) as writer:
        await writer.store(mine[10:12])
        verdicts = await writer.store(mine)
    known, wrong = (
        [index for index, verdict in enumerate(verdicts) if verdict.state == state] for state in ("known", "refused")
    )
    assert (known, wrong) == ([10, 11], [30])
    assert await stored(pool) == (39, 39)


async def test_rows_that_wait_together_are_committed_together(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """While one batch commits the next one gathers: a hundred callers need few commits."""
    commits: list[str] = []
    async with writing(pool, commits.append) as writer:
        await asyncio.gather(*(writer.store(rows(1)) for _ in range(100)))
    assert len(commits) <= 3
    assert await stored(pool) == (100, 100)


async def test_refused_row_fails_alone(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    mine = rows(50)
    mine[17] = refused_row()
    mine[33] = refused_row()
    async with writing(pool) as writer:
        verdicts = await writer.store(mine)
    wrong = [index for index, verdict in enumerate(verdicts) if isinstance(verdict.error, InvalidEvent)]
    assert wrong == [17, 33]
    assert isinstance(verdicts[17].error, InvalidEvent)
    assert verdicts[17].error.faults == ("breaks the rule region_length",)
    assert await stored(pool) == (48, 48)


async def test_refused_row_does_not_hurt_other_callers(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    async with writing(pool) as writer:
        good, bad = await asyncio.gather(writer.store(rows(2)), writer.store([refused_row()]))
    assert all(verdict.state == "stored" for verdict in good)
    assert isinstance(bad[0].error, InvalidEvent)


async def test_array_larger_than_a_batch_is_stored_whole(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    async with writing(pool) as writer:
        verdicts = await writer.store(rows(BATCH_ROWS + 500))
    assert len(verdicts) == BATCH_ROWS + 500
    assert await stored(pool) == (BATCH_ROWS + 500,) * 2


async def test_full_queue_refuses_before_anything_is_taken(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """The table is locked, so that nothing can leave the queue."""
    row = rows(1)[0]
    async with writing(pool) as writer, pool.acquire() as other:
        lock = other.transaction()
        await lock.start()
        await other.execute("lock table user_logins")
        first = asyncio.create_task(writer.store([row]))
        await until(lambda: pool.fetchval(BLOCKED))
        waiting = [asyncio.create_task(writer.store([row] * 5_000)) for _ in range(4)]
        await until(lambda: writer._queue.rows == QUEUE_ROWS)
        with pytest.raises(Overloaded) as caught:
            await writer.store([row])
        assert caught.value.retry_after >= 1
        await lock.rollback()
        await asyncio.gather(first, *waiting)
    assert await stored(pool) == (1, 1)


async def test_stop_stores_what_was_taken_and_takes_no_more(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    writer = Writer(logins.STREAM, pool)
    taken = [asyncio.create_task(writer.store(rows(10))) for _ in range(20)]
    await until(lambda: writer._queue.rows == 200)
    writer.stop()
    with pytest.raises(Overloaded, match="stopping"):
        await writer.store(rows(1))
    await writer.run()
    await asyncio.gather(*taken)
    assert await stored(pool) == (200, 200)


async def test_caller_that_goes_away_does_not_take_its_neighbours_along(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    async with writing(pool) as writer:
        leaving = asyncio.create_task(writer.store(rows(1)))
        staying = asyncio.create_task(writer.store(rows(1)))
        await asyncio.wait([leaving], timeout=0)
        leaving.cancel()
        assert (await staying)[0].state == "stored"
        await until(leaving.done)
    assert await stored(pool) == (2, 2)


async def test_lost_connection_is_no_fault_of_the_event(pool: asyncpg.Pool[asyncpg.Record], database_url: str) -> None:
    """The backend is terminated while the statement waits: the caller hears that nothing is known to be stored."""
    other = await connect(database_url)
    async with writing(pool) as writer:
        async with other.transaction():
            await other.execute("lock table user_logins")
            storing = asyncio.create_task(writer.store(rows(2)))
            await until(lambda: pool.fetchval(TERMINATE_BLOCKED))
            verdicts = await storing
        assert [type(verdict.error) for verdict in verdicts] == [DatabaseAway] * 2
        assert [verdict.state for verdict in await writer.store(rows(1))] == ["stored"]
    await other.close()
    assert await stored(pool) == (1, 1)


async def test_deadlock_is_tried_again(pool: asyncpg.Pool[asyncpg.Record], database_url: str) -> None:
    """Another transaction holds one total and wants the raw table; PostgreSQL ends whichever it finds."""
    other = await connect(database_url)
    mine = rows(5)
    async with writing(pool) as writer:
        await writer.store(mine[:1])
        device = mine[0][list(logins.STREAM.columns).index("device_type")]
        again = [(new_id(), *mine[0][1:])]
        with pytest.raises(asyncpg.DeadlockDetectedError):  # noqa: PT012 - the block is the deadlock
            async with other.transaction():
                await other.execute("set local deadlock_timeout = '50ms'")
                await other.execute("update login_devices set logins = logins where device_type = $1", device)
                storing = asyncio.create_task(writer.store(again))
                await until(lambda: pool.fetchval(BLOCKED))
                await other.execute("lock table user_logins in exclusive mode")
                raise asyncpg.DeadlockDetectedError  # the writer was the one that was ended, and waits again
        assert (await storing)[0].state == "stored"
    await other.close()
    assert await stored(pool) == (2, 2)


def test_ids_are_version_7_and_ordered_by_time() -> None:
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert {(one.version, one.variant) for one in ids} == {(7, "specified in RFC 4122")}
    assert all(before <= one.int >> 80 <= after for one in ids)
    assert len(set(ids)) == 1000


def test_key_means_one_id_in_its_stream_and_another_elsewhere() -> None:
    assert ids.id_of("logins", "a") == ids.id_of("logins", "a")
    assert len({ids.id_of(s, k) for s in ("logins", "webhooks") for k in ("a", "b")}) == 4
