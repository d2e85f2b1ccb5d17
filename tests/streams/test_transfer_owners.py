"""Who owns an item: exact whatever transfers come at once, late, or from another program."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from items import ADA, BIKE, GRACE, ITEM, NOBODY, get, put
from recounts import differences
from waiting import until

from statsd.database import sql
from statsd.errors import InvalidEvent
from statsd.ingest import aggregate, generator, ids
from statsd.ingest.writer import WRITERS
from statsd.streams import transfers
from statsd.streams.transfers.event import Transfer, transfer_row
from statsd.streams.transfers.sample import sample_transfer

Start = Callable[..., Awaitable[Any]]


@pytest.fixture
async def pool(pool: Any) -> Any:
    """The database of the test, with the well-known rows."""
    await pool.execute(sql.load("transfers")["seed"])
    return pool


async def test_owner_is_who_the_latest_transfer_went_to(client: Any, pool: Any) -> None:
    assert await put(client, ITEM, ADA, 204) == b""
    assert (await get(client, f"/items/{ITEM}"))["owner_id"] == ADA
    await put(client, ITEM, GRACE, 204)
    found = await get(client, f"/items/{ITEM}")
    assert (found["owner_id"], found["owner_name"]) == (GRACE, "Grace")
    assert [one["owner_id"] for one in found["history"]] == [GRACE, ADA]
    assert len((await get(client, f"/items/{ITEM}?limit=1"))["history"]) == 1


async def test_guilty_row_fails_alone_and_its_neighbours_are_stored(client: Any, pool: Any) -> None:
    """In one batch of the writer, as requests at the same time come together in it."""
    item, owners = UUID(ITEM), [UUID(ADA), UUID(NOBODY), UUID(GRACE), UUID(ADA)]
    rows = [transfer_row(Transfer(item_id=item, owner_id=owner), ids.new_id()) for owner in owners]
    verdicts = await client.app[WRITERS]["transfers"].store(rows)
    assert isinstance(verdicts[1].error, InvalidEvent) and verdicts[1].error.rule == "transfer_to_known_owner"
    assert [verdict.record["owner_id"] for verdict in (verdicts[0], *verdicts[2:])] == [owners[0], *owners[2:]]
    assert (await get(client, f"/items/{ITEM}"))["owner_id"] == ADA


async def test_of_transfers_at_once_to_one_owner_one_is_stored_whichever_server_they_come_to(
    start: Start, pool: Any
) -> None:
    servers = [await start(), await start()]

    async def status(number: int) -> int:
        async with servers[number % 2].put(f"/items/{ITEM}/ownership", json={"to": ADA}) as response:
            return response.status

    assert Counter(await asyncio.gather(*(status(number) for number in range(40)))) == {204: 1, 409: 39}
    assert await pool.fetchval("select count(*) from transfers") == 1


async def test_history_never_names_an_owner_twice_in_a_row_and_ends_with_the_owner(start: Start, pool: Any) -> None:
    servers = [await start(), await start()]
    rng = random.Random(8)

    async def move(client: Any) -> int:
        async with client.put(f"/items/{ITEM}/ownership", json={"to": rng.choice([ADA, GRACE])}) as response:
            return response.status

    statuses = Counter(await asyncio.gather(*(move(rng.choice(servers)) for _ in range(150))))
    assert set(statuses) <= {204, 409}
    found = await get(servers[0], f"/items/{ITEM}?limit=1000")
    owners = [one["owner_id"] for one in found["history"]]
    assert len(owners) == statuses[204]
    assert all(one != other for one, other in pairwise(owners))
    assert owners[0] == found["owner_id"]


async def test_transfer_now_is_the_latest_whatever_the_clock_of_another_program_said(client: Any, pool: Any) -> None:
    await pool.execute(
        "insert into transfers (item_id, owner_id, timestamp) values ($1, $2, now() + interval '1 day')", ITEM, ADA
    )
    assert await aggregate.sweep(pool, "transfers") == 1
    await put(client, ITEM, ADA, 409)
    await put(client, ITEM, GRACE, 204)
    assert (await get(client, f"/items/{ITEM}"))["owner_id"] == GRACE


async def test_transfer_of_another_program_counts_at_once_where_the_item_is_asked_for_or_moved(
    client: Any, pool: Any
) -> None:
    """Before any sweep: its owner is who has it, and whoever had it before may have it back."""
    await put(client, ITEM, ADA, 204)
    await pool.execute("insert into transfers (item_id, owner_id) values ($1, $2)", ITEM, GRACE)
    found = await get(client, f"/items/{ITEM}")
    newest = found["history"][0]
    assert (found["owner_id"], found["owner_name"], found["owned_since"]) == (GRACE, "Grace", newest["timestamp"])
    assert newest["owner_id"] == GRACE
    await put(client, ITEM, GRACE, 409)
    await put(client, ITEM, ADA, 204)
    await put(client, ITEM, ADA, 409)
    assert await aggregate.sweep(pool, "transfers") == 1
    found = await get(client, f"/items/{ITEM}")
    assert (found["owner_id"], [one["owner_id"] for one in found["history"]]) == (ADA, [ADA, GRACE, ADA])
    assert await differences(pool, "transfers") == []


async def test_item_whose_latest_transfer_no_other_can_follow_says_so(client: Any, pool: Any) -> None:
    await pool.execute(
        "insert into transfers (item_id, owner_id, timestamp) values ($1, $2, '2099-12-31 23:59:59.999999Z')", ITEM, ADA
    )
    answer = await put(client, ITEM, GRACE, 409)
    assert answer["error"].startswith("the item's latest transfer is dated at the end of 2099")
    await pool.execute("update transfers set timestamp = now() where item_id = $1", ITEM)
    await put(client, ITEM, GRACE, 204)


async def test_of_two_transfers_at_the_same_time_the_greater_id_decides(pool: Any) -> None:
    when = datetime.now(UTC)
    insert = "insert into transfers (id, item_id, owner_id, timestamp) values ($1, $2, $3, $4)"
    ids = sorted(uuid4() for _ in range(3))
    for id, owner in [(ids[1], ADA), (ids[2], GRACE), (ids[0], ADA)]:
        await pool.execute(insert, id, ITEM, owner, when)
        await aggregate.sweep(pool, "transfers")
    await pool.execute(insert, uuid4(), ITEM, ADA, when - timedelta(seconds=1))  # late, and so no longer the latest
    await aggregate.sweep(pool, "transfers")
    assert str(await pool.fetchval("select owner_id from items where id = $1", ITEM)) == GRACE
    await aggregate.rebuild(pool, "transfers")
    assert str(await pool.fetchval("select owner_id from items where id = $1", ITEM)) == GRACE


async def test_owners_equal_a_recount_whatever_comes_at_once(client: Any, pool: Any) -> None:
    await generator.store_fixtures(pool, transfers.TRANSFERS)
    writer = client.app[WRITERS]["transfers"]

    async def store(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(10):
            await writer.store([transfer_row(sample_transfer(rng), ids.new_id()) for _ in range(20)])

    async def insert() -> None:
        for _ in range(10):
            await pool.execute("""
                insert into transfers (item_id, owner_id)
                select item_id, owner_id from transfers order by id limit 20
            """)
            await aggregate.sweep(pool, "transfers")

    await asyncio.gather(store(1), store(2), insert(), insert(), aggregate.rebuild(pool, "transfers"))
    assert await differences(pool, "transfers") == []


async def test_transfer_of_an_item_that_came_while_its_batch_waited_has_its_owner_in_the_end(
    client: Any, pool: Any
) -> None:
    """Another program stores the item after the statement began and before the foreign key is looked at."""
    late = uuid4()
    async with pool.acquire() as other:
        holding = other.transaction()
        await holding.start()
        await other.execute("select from items where id = $1 for update", ITEM)
        orders = [(UUID(ITEM), ADA), (late, ADA), (late, ADA), (late, GRACE)]
        rows = [transfer_row(Transfer(item_id=item, owner_id=UUID(to)), ids.new_id()) for item, to in orders]
        storing = asyncio.create_task(client.app[WRITERS]["transfers"].store(rows))
        await until(lambda: _waits_for_a_lock(pool))
        await pool.execute("insert into items (id, base_item_id) values ($1, $2)", late, BIKE)
        await holding.commit()
    assert [verdict.state for verdict in await storing] == ["stored", "stored", "known", "stored"]
    assert await differences(pool, "transfers") == []  # what the sweep has before it does not count yet
    assert await aggregate.sweep(pool, "transfers") == 2
    assert await differences(pool, "transfers") == []
    found = await get(client, f"/items/{late}")
    assert (found["owner_id"], [one["owner_id"] for one in found["history"]]) == (GRACE, [GRACE, ADA])
    await put(client, late, GRACE, 409)


async def _waits_for_a_lock(pool: Any) -> bool:
    waiting = "select true from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return await pool.fetchval(waiting)
