"""Lanes: rows of one key stay in order, verdicts come in the order of a request's rows, and nothing is left behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recounts import differences
from waiting import until

from statsd.errors import InvalidEvent, Overloaded
from statsd.ingest import lanes, writer
from statsd.ingest.ids import new_id
from statsd.ingest.lanes import Queue
from statsd.ingest.outage import Outage
from statsd.ingest.spool import Spool
from statsd.ingest.verdict import Verdict
from statsd.ingest.writer import QUEUE_ROWS, Writer
from statsd.stream import Row
from statsd.streams import pageviews, webhooks

Pool = Any
NOW = datetime.now(UTC)
TOTALS = "select coalesce(sum(views), 0)::bigint from page_days"
RAW = "select count(*) from page_events"


@pytest.fixture(autouse=True)
def spread_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows suffice for several lanes."""
    monkeypatch.setattr(lanes, "SPREAD_ROWS", 5)
    monkeypatch.setattr(lanes, "BATCH_ROWS", 50)


class Lanes:
    """Lanes that take their time, and note what they do."""

    def __init__(self, number: int, seed: int) -> None:
        self.queue = Queue(number, itemgetter(0))
        self.stored: dict[str, list[int]] = {}
        self.under_way: list[set[str]] = []
        self.most = 0
        self._random = random.Random(seed)

    async def run(self) -> None:
        await asyncio.gather(*map(self._run, self.queue.lanes))

    async def _run(self, lane: int) -> None:
        async for batch in self.queue.batches(lane):
            rows = [row for part, _ in batch for row in part]
            assert 0 < len(rows) <= lanes.BATCH_ROWS
            keys = {key for key, _ in rows}
            assert not any(keys & others for others in self.under_way), "a key is in two batches at once"
            self.under_way.append(keys)
            self.most = max(self.most, len(self.under_way))
            for _ in range(self._random.randrange(4)):
                await asyncio.sleep(0)
            self.under_way.remove(keys)
            for key, number in rows:
                self.stored.setdefault(key, []).append(number)
            for part, waiter in batch:
                if not waiter.done():
                    waiter.set_result([Verdict("stored", row) for row in part])


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=120), max_size=30),
    st.integers(1, 4),
    st.integers(0, 99),
)
async def test_rows_of_one_key_stay_in_order(requests: list[str], number: int, seed: int) -> None:
    """Whatever comes, in whatever pieces. The verdicts on each request come in the order of its rows, too."""
    numbers = iter(range(10_000))
    submissions = [[(key, next(numbers)) for key in keys] for keys in requests]
    simulated, pauses = Lanes(number, seed), random.Random(seed)
    running = asyncio.create_task(simulated.run())
    waiting = []
    for rows in submissions:
        waiter: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
        simulated.queue.put(rows, waiter)
        waiting.append(waiter)
        for _ in range(pauses.randrange(3)):
            await asyncio.sleep(0)
    simulated.queue.close()
    await running
    assert simulated.queue.rows == 0
    assert [[verdict.row for verdict in await waiter] for waiter in waiting] == submissions
    assert all(stored == sorted(stored) for stored in simulated.stored.values())
    assert sum(map(len, simulated.stored.values())) == sum(map(len, submissions))


async def test_few_rows_share_one_batch_and_many_go_into_all_lanes() -> None:
    for rows, most in ((5, 1), (100, 2)):
        simulated = Lanes(2, seed=4)
        for number in range(rows):
            simulated.queue.put([(str(number), number)], asyncio.get_running_loop().create_future())
        simulated.queue.close()
        await simulated.run()
        assert simulated.most == most


def views(count: int) -> list[Row]:
    """Page views of 35 sites, so many that no lane is without one."""
    return [(new_id(), f"site-{n % 35}", "page_view", "/", f"u{n}", NOW) for n in range(count)]


@asynccontextmanager
async def writing(pool: Pool, number: int = 3, outage: Outage | None = None) -> AsyncIterator[Writer]:
    running = Writer(pageviews.STREAM, pool, outage=outage, lanes=number)
    task = asyncio.create_task(running.run())
    yield running
    running.stop()
    await task


async def test_requests_of_many_sites_are_stored_whole_and_counted(pool: Pool) -> None:
    requests = [views(count) for count in (1, 200, 3, 60, 1, 120, 5)]
    async with writing(pool) as running:
        answers = await asyncio.gather(*map(running.store, requests))
    assert [[verdict.row for verdict in answer] for answer in answers] == requests
    assert {verdict.state for answer in answers for verdict in answer} == {"stored"}
    assert await pool.fetchval(RAW) == await pool.fetchval(TOTALS) == sum(map(len, requests))
    assert await differences(pool, "pageviews") == []


async def test_webhooks_in_lanes_count_once(pool: Pool) -> None:
    rows: list[Row] = [(new_id(), f"type-{n % 3}", "7", NOW, None, NOW) for n in range(300)]
    running = Writer(webhooks.STREAM, pool, lanes=3)
    task = asyncio.create_task(running.run())
    answers = await asyncio.gather(*(running.store(rows[start:]) for start in range(0, 300, 25)))
    running.stop()
    await task
    states = [verdict.state for answer in answers for verdict in answer]
    assert states.count("stored") == 300
    assert states.count("known") == len(states) - 300
    assert await pool.fetchval("select events from webhook_count") == 300


async def test_bad_row_is_refused_alone_in_whichever_lane(pool: Pool) -> None:
    rows = views(150)
    for index in (0, 17, 18, 77, 149):  # PostgreSQL alone refuses an empty path
        rows[index] = (*rows[index][:3], "", *rows[index][4:])
    async with writing(pool) as running:
        verdicts = await running.store(rows)
    assert [index for index, verdict in enumerate(verdicts) if verdict.error] == [0, 17, 18, 77, 149]
    assert all(isinstance(verdicts[index].error, InvalidEvent) for index in (0, 17, 18, 77, 149))
    assert await pool.fetchval(RAW) == await pool.fetchval(TOTALS) == 145


async def test_queue_is_bounded_over_all_lanes(pool: Pool) -> None:
    running = Writer(pageviews.STREAM, pool, lanes=3)
    waiting = asyncio.create_task(running.store(views(QUEUE_ROWS)))
    await until(lambda: running._queue.rows == QUEUE_ROWS)
    with pytest.raises(Overloaded, match="queue is full"):
        await running.store(views(1))
    waiting.cancel()


async def test_stop_empties_all_lanes(pool: Pool) -> None:
    running = Writer(pageviews.STREAM, pool, lanes=3)
    taken = [asyncio.create_task(running.store(views(90))) for _ in range(4)]
    await until(lambda: running._queue.rows == 360)
    running.stop()
    with pytest.raises(Overloaded, match="stopping"):
        await running.store(views(1))
    await running.run()
    assert {verdict.state for answer in await asyncio.gather(*taken) for verdict in answer} == {"stored"}
    assert await pool.fetchval(RAW) == 360


async def test_lane_behind_a_lock_spools_and_the_others_commit(
    pool: Pool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the totals of one site: the rows of its lane go to disk, all others are stored."""
    monkeypatch.setattr(writer, "AWAY_SECONDS", 0.5)
    monkeypatch.setattr(Outage, "examine", lambda outage: None)
    spool = Spool(folder / "spool", max_bytes=1 << 20, min_free=0)
    await spool.open()
    async with writing(pool, 2, Outage(pool, spool, [pageviews.STREAM])) as running, pool.acquire() as other:
        await running.store(views(5))
        lock = other.transaction()
        await lock.start()
        await other.execute("update page_days set views = views where site_id = 'site-0'")
        verdicts = await running.store(views(70))
        await lock.rollback()
    states: dict[str, set[str]] = {}
    for verdict in verdicts:
        states.setdefault(verdict.row[1], set()).add(verdict.state)
    assert states["site-0"] == {"spooled"}
    assert {"stored"} in states.values()
    assert spool.rows == sum(verdict.state == "spooled" for verdict in verdicts)
    await spool.close()
