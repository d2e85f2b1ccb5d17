"""Order through an outage: of the transfers of an item, the one that was acknowledged last gives it its owner."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from items import ADA, BIKE, GRACE, ITEM, get, post
from outside import Outside
from ports import free_port
from program import Program
from waiting import until

from statsd.database import sql
from statsd.ingest.ids import new_id
from statsd.ingest.outage import OUTAGE

EVENT = {"site_id": "s", "event_type": "page_view", "path": "/", "user_id": "u", "timestamp": "2026-01-01T00:00:00Z"}
EVENTS = 100_000


@pytest.fixture
async def served(outside: Outside, start: Callable[..., Awaitable[Any]], folder: Any) -> tuple[Any, Outside]:
    """The application on a PostgreSQL that the test may break; the item is Ada's."""
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn, data_dir=folder / "data", spool_min_free=0)
    await seed(outside)
    assert await move(client, ADA) == 204
    return client, outside


async def seed(outside: Outside) -> None:
    connection = await outside.ready()
    await connection.execute(sql.load("transfers")["seed"])
    await connection.close()


async def move(client: Any, owner: str, item: str = ITEM) -> int:
    async with client.put(f"/items/{item}/ownership", json={"to": owner}) as response:
        return response.status


async def owner_of(client: Any, item: str = ITEM) -> str:
    return (await get(client, f"/items/{item}"))["owner_id"]


async def drained(client: Any) -> None:
    outage = client.app[OUTAGE]
    await until(lambda: not outage.away and not outage.spool.rows)


async def fill(client: Any, number: int = EVENTS) -> None:
    """Let page views wait in the spool."""
    now = datetime.now(UTC)
    for _ in range(number // 1_000):
        rows = [(new_id(), "s", "page_view", "/", "u", now) for _ in range(1_000)]
        await client.app[OUTAGE].spool_rows("pageviews", rows)


async def test_transfers_go_behind_those_that_wait_and_the_last_one_counts(served: tuple[Any, Outside]) -> None:
    """The database still says Ada while Grace's transfer waits: a further one to Ada is no 409."""
    client, outside = served
    outside.stop()
    assert await move(client, GRACE) == 202
    await fill(client)
    assert await move(client, GRACE) == 202
    outside.start()
    outage = client.app[OUTAGE]
    await until(lambda: not outage.away)
    assert await move(client, ADA) == 202
    assert outage.spool.rows > EVENTS / 2
    await drained(client)
    assert await owner_of(client) == ADA
    assert await move(client, ADA) == 409
    assert await move(client, GRACE) == 204


async def test_item_that_moves_all_the_time_leaves_the_spool(served: tuple[Any, Outside]) -> None:
    """A client without pauses: its transfers wait for the end of the replay, in place of adding to it for ever."""
    client, outside = served
    outside.stop()
    assert await move(client, GRACE) == 202
    await fill(client, 5_000)
    outside.start()
    answers = [202]
    owners = [GRACE]
    while answers[-1] == 202:
        owners.append(ADA if owners[-1] == GRACE else GRACE)
        answers.append(await move(client, owners[-1]))
        assert len(answers) < 5_000
    assert answers[-1] == 204
    await drained(client)
    assert await owner_of(client) == owners[-1]


async def test_everything_else_is_stored_at_once_while_transfers_wait(served: tuple[Any, Outside]) -> None:
    client, outside = served
    other = (await post(client, "/items", {"base_item_id": BIKE}, 201))["id"]
    outside.stop()
    await post(client, "/items", {"base_item_id": BIKE}, 202)
    await fill(client)
    waiting = (await post(client, "/items", {"base_item_id": BIKE}, 202))["id"]
    assert await move(client, GRACE) == 202
    outside.start()
    outage = client.app[OUTAGE]
    await until(lambda: not outage.away)
    assert await move(client, ADA, other) == 204
    assert await move(client, ADA, waiting) == 202
    assert await move(client, GRACE, waiting) == 202
    await post(client, "/items", {"base_item_id": BIKE}, 201)
    async with client.post("/event", json=EVENT) as response:
        job = (await response.json())["jobId"]
    async with client.get(f"/jobs/{job}") as response:
        assert (await response.json())["state"] == "stored"
    assert outage.spool.rows
    await drained(client)
    assert [await owner_of(client, item) for item in (ITEM, other, waiting)] == [GRACE, ADA, GRACE]


async def test_statement_that_is_late_and_commits_after_all_does_not_become_the_last(
    served: tuple[Any, Outside],
) -> None:
    """Both transfers are answered while a lock delays the first one's statement, which commits when it is released."""
    client, outside = served
    admin = await outside.ready()
    async with admin.transaction():
        await admin.execute("select from items where id = $1 for update", ITEM)
        assert await move(client, GRACE) == 202
        assert await move(client, ADA) == 202
    await drained(client)
    assert await owner_of(client) == ADA
    stored = await admin.fetch('select owner_id::text from transfers order by "timestamp"')
    assert [row["owner_id"] for row in stored] == [ADA, GRACE, ADA]
    await admin.close()


async def test_statement_in_a_frozen_postgresql_does_not_become_the_last(served: tuple[Any, Outside]) -> None:
    client, outside = served
    outside.signal(signal.SIGSTOP)
    assert await move(client, GRACE) == 202
    assert await move(client, ADA) == 202
    outside.signal(signal.SIGCONT)
    await drained(client)
    assert await owner_of(client) == ADA


async def test_item_that_is_locked_keeps_its_transfers_behind_it(served: tuple[Any, Outside]) -> None:
    """The replay meets a lock on the table of items: their transfers become no dead letters."""
    client, outside = served
    outside.stop()
    item = (await post(client, "/items", {"base_item_id": BIKE}, 202))["id"]
    assert await move(client, GRACE, item) == 202
    assert await move(client, ADA, item) == 202
    outside.start()
    admin = await outside.ready()
    async with admin.transaction():
        await admin.execute("lock table items in share row exclusive mode")
        outage = client.app[OUTAGE]
        await until(lambda: outage._is_locked)
        assert outage.spool.rows == 3
    await drained(client)
    assert await owner_of(client, item) == ADA
    assert await admin.fetchval("select count(*) from dead_letters") == 0
    await admin.close()


async def test_kill_during_the_replay_changes_no_order(run: Callable[..., Program], outside: Outside) -> None:
    """Killed while it replays, and started again: what it adopts is waited for as well."""
    await (await outside.ready()).close()
    begin = ("serve", "--port", str(free_port()))
    program = run(*begin, DATABASE_URL=outside.dsn, STATS_SPOOL_MIN_FREE="0")
    acknowledged = []

    async def put(session: aiohttp.ClientSession, owner: str) -> int:
        status = await move(session, owner)
        if status in (202, 204):
            acknowledged.append(owner)
        return status

    async with aiohttp.ClientSession(await program.address()) as session:
        await seed(outside)
        assert await put(session, ADA) == 204
        outside.stop()
        assert await put(session, GRACE) == 202
        for _ in range(6):
            async with session.post("/event", json=[EVENT] * 5_000) as response:
                assert response.status == 202
        assert await put(session, ADA) == 202
        assert await put(session, GRACE) == 202
        outside.start()
        connection = await outside.ready()
        await until(lambda: connection.fetchval("select count(*) > 5000 from page_events"))
        program.process.kill()
        await program.ended()
    program = run(*begin, DATABASE_URL=outside.dsn, STATS_SPOOL_MIN_FREE="0")
    async with aiohttp.ClientSession(await program.address()) as session:
        assert await put(session, ADA) == 202
        program.process.kill()
        await program.ended()
    program = run(*begin, DATABASE_URL=outside.dsn, STATS_SPOOL_MIN_FREE="0")
    async with aiohttp.ClientSession(await program.address()) as session:
        owners = (GRACE, ADA)
        statuses = [await put(session, owner) for owner in owners * 5]
        assert 409 not in statuses

        async def empty() -> bool:
            return (await get_health(session))["state"] == "empty"

        await until(empty)
        assert await owner_of(session) == acknowledged[-1]
    assert await connection.fetchval("select count(*) from page_events") == 30_000
    assert await connection.fetchval("select views from page_days") == 30_000
    await connection.close()


async def get_health(session: aiohttp.ClientSession) -> Any:
    async with session.get("/health") as response:
        return (await response.json())["checks"]["spool"]


async def test_transfers_of_many_clients_through_an_outage(served: tuple[Any, Outside]) -> None:
    """Each client moves an item of its own without end: the owner is always who was acknowledged last."""
    client, outside = served
    items = [(await post(client, "/items", {"base_item_id": BIKE}, 201))["id"] for _ in range(4)]
    acknowledged: dict[str, str] = {}
    statuses: list[int] = []
    stop = asyncio.Event()

    async def run(item: str) -> None:
        owner = ADA
        while not stop.is_set():
            statuses.append(status := await move(client, owner, item))
            if status in (202, 204):
                acknowledged[item] = owner
                owner = GRACE if owner == ADA else ADA

    moving = [asyncio.create_task(run(item)) for item in items]

    async def further(number: int) -> None:
        target = len(statuses) + number
        await until(lambda: len(statuses) >= target)

    await further(50)
    outside.stop(signal.SIGKILL)
    await further(100)
    outside.start()
    await further(100)
    outage = client.app[OUTAGE]
    await until(lambda: not outage.away)
    outside.signal(signal.SIGSTOP)
    await further(40)
    outside.signal(signal.SIGCONT)
    await further(200)
    stop.set()
    await asyncio.gather(*moving)
    await drained(client)
    assert set(statuses) == {202, 204}
    assert {item: await owner_of(client, item) for item in items} == acknowledged
