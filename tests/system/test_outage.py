"""The database goes away, in every way it can: what was answered 202 is stored exactly once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from outside import Outside
from program import Program
from waiting import until

from statsd.accounts.checks import CHECKS
from statsd.database import sql
from statsd.database.pool import COMMAND_SECONDS, POOL, POOL_SIZE
from statsd.ingest.outage import OUTAGE
from statsd.live.topics import HUB

EVENT = {"site_id": "s", "event_type": "page_view", "path": "/", "user_id": "u", "timestamp": "2026-01-01T00:00:00Z"}
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "Opera"}
BATCH = 50
ADA = "30f6df32-03cf-4779-833b-aef9b1e3f61f"
ITEM = "850bbe50-4686-4026-9de0-94ba4b8bafa7"


@pytest.fixture
async def served(outside: Outside, start: Callable[..., Awaitable[Any]], folder: Any) -> tuple[Any, Outside]:
    """The application on a PostgreSQL that the test may break."""
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn, data_dir=folder / "data", spool_min_free=0)
    return client, outside


async def post(client: Any, body: object = EVENT) -> tuple[int, dict[str, Any]]:
    async with client.post("/event", json=body) as response:
        return response.status, await response.json()


async def drained(client: Any) -> None:
    """Wait until nothing waits on disk any more."""
    away = client.app[OUTAGE]
    await until(lambda: not away.away and not away.spool.rows)


async def state(client: Any, job: str) -> str:
    async with client.get(f"/jobs/{job}") as response:
        return (await response.json())["state"]


def stopped(outside: Outside) -> None:
    outside.stop()


def killed(outside: Outside) -> None:
    outside.stop(signal.SIGKILL)


def frozen(outside: Outside) -> None:
    outside.signal(signal.SIGSTOP)


def thawed(outside: Outside) -> None:
    outside.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [(stopped, Outside.start), (killed, Outside.start), (frozen, thawed)],
    ids=lambda f: f.__name__,
)
async def test_spool_takes_over_and_drains_by_itself(
    served: tuple[Any, Outside], breaks: Callable[[Outside], None], mends: Callable[[Outside], None]
) -> None:
    client, outside = served
    jobs = [(await post(client))[1]["jobId"]]
    breaks(outside)
    answers = await asyncio.gather(*(post(client) for _ in range(40)))
    assert {status for status, _ in answers} == {202}
    waiting = answers[0][1]["jobId"]
    assert await state(client, waiting) == "spooled"
    mends(outside)
    await drained(client)
    jobs += [answer["jobId"] for _, answer in answers]
    assert {await state(client, job) for job in jobs} == {"stored"}
    async with client.get("/stats?site_id=s&date=2026-01-01") as response:
        assert (await response.json())["total_views"] == len(jobs)


async def test_outage_is_said_by_health_and_metrics(served: tuple[Any, Outside]) -> None:
    client, outside = served
    outside.stop()
    await post(client, [EVENT] * 3)
    async with client.get("/health") as response:
        assert response.status == 503
        spool = (await response.json())["checks"]["spool"]
    assert (spool["state"], spool["rows"]) == ("filling", 3)
    async with client.get("/metrics") as response:
        assert "\nstatsd_spool_rows 3.0\n" in await response.text()
    outside.start()
    await drained(client)


async def test_health_answers_though_every_connection_hangs(served: tuple[Any, Outside]) -> None:
    """A database that is there and says nothing: all connections of the pool are taken by reads that wait for it."""
    client, outside = served
    pool = client.app[POOL]
    frozen(outside)
    hanging = [asyncio.create_task(pool.fetchval("select 1")) for _ in range(POOL_SIZE)]
    sooner = aiohttp.ClientTimeout(COMMAND_SECONDS / 2)  # than the reads let go
    async with client.get("/health", timeout=sooner) as response:
        assert response.status == 503
        checks = (await response.json())["checks"]
    assert (checks["database"], checks["dead_letters"]) == ("away", None)
    thawed(outside)
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_read_only_database_refuses_and_the_spool_takes(served: tuple[Any, Outside]) -> None:
    client, outside = served
    admin = await outside.ready()
    await admin.execute("alter system set default_transaction_read_only = on")
    await admin.execute("select pg_reload_conf()")

    async def read_only() -> bool:
        async with client.app[POOL].acquire() as one:
            return await one.fetchval("show default_transaction_read_only") == "on"

    await until(read_only)
    status, answer = await post(client)
    assert (status, await state(client, answer["jobId"])) == (202, "spooled")
    await admin.execute("set default_transaction_read_only = off")
    await admin.execute("alter system reset default_transaction_read_only")
    await admin.execute("select pg_reload_conf()")
    await admin.close()
    await drained(client)
    assert await state(client, answer["jobId"]) == "stored"


async def test_repeats_across_an_outage_count_once(served: tuple[Any, Outside]) -> None:
    """Before, during and after: the same event_id is one event."""
    client, outside = served
    event = {**EVENT, "event_id": "once"}
    first = (await post(client, event))[1]["jobId"]
    outside.stop()
    again = [(await post(client, event))[1]["jobId"] for _ in range(3)]
    outside.start()
    await drained(client)
    last = (await post(client, event))[1]["jobId"]
    assert {first, *again, last} == {first}
    async with client.get("/stats?site_id=s&date=2026-01-01") as response:
        assert (await response.json())["total_views"] == 1


async def test_logins_wait_too_and_say_so_with_202(served: tuple[Any, Outside]) -> None:
    client, outside = served
    outside.stop()
    async with client.post("/logins", json=LOGIN) as response:
        waiting = await response.json()
        assert response.status == 202
    outside.start()
    await drained(client)
    async with client.get("/logins") as response:
        (stored,) = await response.json()
    assert {name: stored[name] for name in waiting} == waiting


async def test_full_spool_is_503_and_half_takes_nothing(
    outside: Outside, start: Callable[..., Awaitable[Any]], folder: Any
) -> None:
    await (await outside.ready()).close()
    client = await start(database_url=outside.dsn, data_dir=folder / "data", spool_max_bytes=1 << 20, spool_min_free=0)
    outside.stop()
    accepted = 0
    while True:
        async with client.post("/event", json=[EVENT] * BATCH) as response:
            if response.status != 202:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) >= 1
                break
            accepted += BATCH
    assert client.app[OUTAGE].state == "full"
    outside.start()
    await drained(client)
    async with client.get("/stats?site_id=s&date=2026-01-01") as response:
        assert (await response.json())["total_views"] == accepted > 1_000
    assert (await post(client))[0] == 202


async def test_row_that_postgresql_refuses_becomes_a_dead_letter_and_blocks_nobody(
    served: tuple[Any, Outside],
) -> None:
    """Accepted by our own checks, refused by a rule of the database that was not there when it was accepted."""
    client, outside = served
    admin = await outside.ready()
    await admin.execute("alter table page_events add constraint no_secrets check (path <> '/secret')")
    await admin.close()
    outside.stop()
    jobs = [(await post(client, {**EVENT, "path": path}))[1]["jobId"] for path in ("/a", "/secret", "/b")]
    outside.start()
    await drained(client)
    assert [await state(client, job) for job in jobs] == ["stored", "dead", "stored"]
    async with client.get(f"/jobs/{jobs[1]}") as response:
        assert (await response.json())["reason"] == "breaks the rule no_secrets"
    async with client.get("/health") as response:
        assert (await response.json())["checks"]["dead_letters"] == 1


async def test_record_of_another_version_of_the_program_is_kept_and_blocks_nobody(served: tuple[Any, Outside]) -> None:
    client, outside = served
    outside.stop()
    first = (await post(client))[1]["jobId"]
    await client.app[OUTAGE].spool.append([b'["no-such-stream",1]', b'["pageviews","x"]', b"nonsense", b"5"])
    last = (await post(client))[1]["jobId"]
    outside.start()
    await drained(client)
    assert [await state(client, job) for job in (first, last)] == ["stored", "stored"]
    kept = await client.app[POOL].fetch("select payload from dead_letters order by payload")
    assert [row["payload"] for row in kept] == [b"5", b'["no-such-stream",1]', b'["pageviews","x"]', b"nonsense"]


async def test_event_with_a_key_waits_behind_a_lock_as_others_do(served: tuple[Any, Outside]) -> None:
    client, outside = served
    admin = await outside.ready()
    async with admin.transaction():
        await admin.execute("lock table page_events")
        status, answer = await post(client, {**EVENT, "event_id": "once"})
        assert (status, await state(client, answer["jobId"])) == (202, "spooled")
    await admin.close()
    await drained(client)
    assert (await post(client, {**EVENT, "event_id": "once"}))[1]["jobId"] == answer["jobId"]
    assert await state(client, answer["jobId"]) == "stored"


async def test_commit_that_comes_late_is_not_counted_twice(served: tuple[Any, Outside]) -> None:
    """The statement waits behind a lock for longer than a caller does: it is spooled, and commits after all."""
    client, outside = served
    admin = await outside.ready()
    lock = admin.transaction()
    await lock.start()
    await admin.execute("lock table page_days")
    status, answer = await post(client)
    assert (status, await state(client, answer["jobId"])) == (202, "spooled")
    await lock.rollback()
    await admin.close()
    await drained(client)
    assert await state(client, answer["jobId"]) == "stored"
    async with client.get("/stats?site_id=s&date=2026-01-01") as response:
        assert (await response.json())["total_views"] == 1


async def test_stop_during_an_outage_keeps_what_waits_for_the_next_start(
    outside: Outside, start: Callable[..., Awaitable[Any]], folder: Any
) -> None:
    await (await outside.ready()).close()
    first = await start(database_url=outside.dsn, data_dir=folder / "data", spool_min_free=0)
    outside.stop()
    job = (await post(first))[1]["jobId"]
    await first.close()
    outside.start()
    await (await outside.ready()).close()
    second = await start(database_url=outside.dsn, data_dir=folder / "data", spool_min_free=0)
    await drained(second)
    assert await state(second, job) == "stored"


async def test_start_without_the_database_it_knows_accepts_at_once(
    run: Callable[..., Program], outside: Outside
) -> None:
    """Restarted while its database is away, the program takes events, and stores them when it is back."""
    await (await outside.ready()).close()
    program = run("serve", "--port", "0", DATABASE_URL=outside.dsn)
    await program.address()
    program.process.kill()
    await program.ended()
    outside.stop()
    program = run("serve", "--port", "0", DATABASE_URL=outside.dsn)
    address = await program.address()
    async with aiohttp.ClientSession(address) as session:
        async with session.get("/readyz") as response:
            assert response.status == 503
        status, answer = await post(session)
        assert status == 202
        outside.start()
        await until(lambda: _is(session, answer["jobId"], "stored"))


async def _is(session: Any, job: str, expected: str) -> bool:
    async with session.get(f"/jobs/{job}") as response:
        return response.status == 200 and (await response.json())["state"] == expected


async def test_lock_on_one_row_keeps_nobody_else_waiting(served: tuple[Any, Outside]) -> None:
    """Somebody holds an item: its transfer waits on disk, everything else is stored at once."""
    client, outside = served
    admin = await outside.ready()
    await admin.execute(sql.load("transfers")["seed"])
    lock = admin.transaction()
    await lock.start()
    await admin.execute("select from items where id = $1 for update", ITEM)
    assert await transfer(client, ITEM) == 202
    assert not client.app[OUTAGE].away
    async with client.post("/logins", json=LOGIN) as response:
        assert response.status == 201
    other = await admin.fetchval("select id::text from items where id <> $1", ITEM)
    assert await transfer(client, other) == 204
    assert not client.app[OUTAGE].away
    assert client.app[OUTAGE].spool.rows
    await lock.rollback()
    await drained(client)
    assert await admin.fetchval("select owner_id::text from items where id = $1", ITEM) == ADA
    assert await admin.fetchval("select count(*) from transfers") == 2
    await admin.close()


async def transfer(client: Any, item: str) -> int:
    async with client.put(f"/items/{item}/ownership", json={"to": ADA}) as response:
        return response.status


async def test_reads_are_answered_while_the_database_is_frozen(served: tuple[Any, Outside]) -> None:
    """A query that a frozen server has cannot be cancelled; nobody waits for that."""
    client, outside = served
    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    token = (await (await client.post("/register", json=sent)).json())["token"]
    headers = {"Authorization": f"Bearer {token}"}
    paths = ("/analytics", "/usage", "/logins", "/events", "/items", "/stats?site_id=s", "/health")

    async def statuses() -> set[int]:
        return {one.status for one in await asyncio.gather(*(client.get(path, headers=headers) for path in paths))}

    assert await statuses() == {200}
    frozen(outside)
    async with asyncio.timeout(9):  # asyncpg gives up after ten
        assert await statuses() == {503}
    async with asyncio.timeout(9), client.post("/track", json={"feature_name": "a"}, headers=headers) as response:
        assert response.status == 202
    await until(lambda: client.app[OUTAGE].away)
    before = len(client.app[CHECKS]._queries)
    for clicks in ({"feature_name": "b"}, [{"feature_name": f"f{n % 9}"} for n in range(3_000)]):
        async with client.post("/track", json=clicks, headers=headers) as response:
            assert response.status == 202
    assert len(client.app[CHECKS]._queries) == before  # the database is not asked while it is known to be away
    thawed(outside)
    await drained(client)


async def test_logout_takes_the_cookies_back_though_the_token_cannot_be_revoked(served: tuple[Any, Outside]) -> None:
    client, outside = served
    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    assert (await client.post("/register", json=sent)).status == 201
    outside.stop()
    async with client.post("/logout") as response:
        assert response.status == 503
        assert [cookie.split(";")[0] for cookie in response.headers.getall("Set-Cookie")] == [
            "auth_token=",
            "user_data=",
        ]


async def test_change_is_told_when_its_statistics_can_be_had_again(client: Any, pool: Any) -> None:
    async with client.ws_connect("/ws") as ws, pool.acquire() as admin:
        await ws.send_json({"type": "subscribe", "topics": ["logins"]})
        assert (await ws.receive_json())["topics"] == ["logins"]
        assert (await ws.receive_json())["payload"]["totalSessions"] == 0
        await client.post("/logins", json=LOGIN)
        while (await ws.receive_json())["payload"]["totalSessions"] == 0:
            pass
        lock = admin.transaction()
        await lock.start()
        await admin.execute("lock table login_days in access exclusive mode")
        client.app[HUB].changed("logins")
        await until(lambda: client.app[HUB].topics["logins"]._failing)
        await lock.rollback()
        assert (await ws.receive_json())["payload"]["totalSessions"] == 1
