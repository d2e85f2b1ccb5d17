"""Checks of tokens: one query for all of a moment, and never one that began before the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from databases import renamed
from waiting import until

from statsd.accounts import checks
from statsd.accounts.checks import Checks
from statsd.accounts.tokens import Claims, Tokens
from statsd.accounts.users import User
from statsd.database.pool import Pool, connect
from statsd.errors import DatabaseAway, Overloaded, Unauthenticated

TOKENS = Tokens("0123456789abcdef0123456789abcdef")
GATE = """
    create schema gate;
    create table gate.queries (id xid8 primary key);
    create function gate.passed() returns boolean language plpgsql as $$
    begin
        insert into gate.queries values (pg_current_xact_id()) on conflict do nothing;
        perform pg_advisory_xact_lock_shared(1);
        return true;
    end $$;
    create view gate.users as select * from public.users where gate.passed();
"""
"""Queries of users count themselves, and wait where somebody holds the lock; their snapshot is older than the wait."""
WAITING = """
    select count(*) from pg_locks join pg_database on oid = database
    where datname = current_database() and locktype = 'advisory' and not granted
"""


@pytest.fixture
async def gate(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection that holds the gate closed; with three users."""
    connection = await connect(database_url)
    name = await connection.fetchval("select current_database()")
    await connection.execute(GATE)
    await connection.execute(f"alter database {name} set search_path = gate, public")
    await connection.execute("""
        insert into public.users (username, username_key, password, age, gender)
        select name, name, '', 34, 'Female' from unnest(array['anna', 'bert', 'carl']) as name
    """)
    await connection.execute("select pg_advisory_lock(1)")
    yield connection
    await connection.close()


async def opened(gate: asyncpg.Connection[asyncpg.Record]) -> None:
    await gate.execute("select pg_advisory_unlock(1)")


@asynccontextmanager
async def running(pool: Pool) -> AsyncIterator[Checks]:
    made = Checks(pool)
    task = asyncio.create_task(made.run())
    yield made
    made.stop()
    await task


def claims(id: int) -> Claims:
    return TOKENS.read(TOKENS.make(id, "", 1))


def asked(made: Checks, *tokens: Claims) -> list[asyncio.Task[User]]:
    return [asyncio.create_task(made.seen(token)) for token in tokens]


async def is_waiting(gate: asyncpg.Connection[asyncpg.Record]) -> bool:
    return bool(await gate.fetchval(WAITING))


async def test_tokens_that_come_during_a_query_share_the_next_one(gate: Any, pool: Pool) -> None:
    tokens = [claims(1 + number % 3) for number in range(200)]
    async with running(pool) as made:
        first = asked(made, *tokens[:3])
        await until(lambda: is_waiting(gate))
        others = asked(made, *tokens)
        await asyncio.sleep(0)
        assert await gate.fetchval(WAITING) == 1
        await opened(gate)
        users = await asyncio.gather(*first, *others)
        assert [user.id for user in users] == [1, 2, 3] + [token.user_id for token in tokens]
    assert await gate.fetchval("select count(*) from gate.queries") == 2


async def test_query_under_way_is_not_believed_by_requests_that_come_later(gate: Any, pool: Pool) -> None:
    token = claims(1)
    async with running(pool) as made:
        (before,) = asked(made, token)
        await until(lambda: is_waiting(gate))
        await made.revoke(token)
        (after,) = asked(made, token)
        await opened(gate)
        assert (await before).username == "anna"
        with pytest.raises(Unauthenticated):
            await after


async def test_client_that_leaves_hurts_no_other(gate: Any, pool: Pool) -> None:
    token = claims(1)
    async with running(pool) as made:
        leaving, staying = asked(made, token, token)
        await until(lambda: is_waiting(gate))
        leaving.cancel()
        await opened(gate)
        assert (await staying).id == 1
        assert (await made.seen(token)).id == 1


async def test_stop_answers_all_that_wait_and_refuses_the_others(gate: Any, pool: Pool) -> None:
    async with running(pool) as made:
        first = asked(made, claims(1))
        await until(lambda: is_waiting(gate))
        others = asked(made, claims(2), claims(9))
        await asyncio.sleep(0)
        made.stop()
        with pytest.raises(Overloaded):
            await made.seen(claims(1))
        await opened(gate)
        known, second, unknown = await asyncio.gather(*first, *others, return_exceptions=True)
        assert isinstance(known, User)
        assert isinstance(second, User)
        assert isinstance(unknown, Unauthenticated)


async def test_database_that_left_lets_in_only_who_was_seen(gate: Any, pool: Pool, server_dsn: str) -> None:
    seen, other = claims(1), claims(2)
    admin = await connect(renamed(server_dsn, "postgres"))
    await opened(gate)
    async with running(pool) as made:
        await made.seen(seen)
        name = await gate.fetchval("select current_database()")
        await admin.execute(f"alter database {name} allow_connections false")
        await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        known, unknown = await asyncio.gather(*asked(made, seen, other), return_exceptions=True)
        assert isinstance(known, User)
        assert isinstance(unknown, DatabaseAway)
    await admin.execute(f"alter database {name} allow_connections true")
    await admin.close()


async def test_users_last_seen_are_bounded(gate: Any, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "REMEMBERED", 10)
    await opened(gate)
    async with running(pool) as made:
        await asyncio.gather(*asked(made, *(claims(1) for _ in range(50))))
        await made.seen(claims(2))
        assert len(made._seen) == 10


async def test_token_is_refused_from_the_logout_on_while_many_requests_run(client: Any) -> None:
    sent = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
    token = (await (await client.post("/register", json=sent)).json())["token"]
    client.session.cookie_jar.clear()
    headers = {"Authorization": f"Bearer {token}"}
    statuses: dict[bool, list[int]] = {False: [], True: []}
    revoked = False

    async def send() -> None:
        sent_late = 0
        while sent_late < 5:
            is_late = revoked
            async with client.post("/track", json={"feature_name": "a"}, headers=headers) as response:
                statuses[is_late].append(response.status)
            sent_late += is_late

    senders = [asyncio.create_task(send()) for _ in range(32)]
    await until(lambda: len(statuses[False]) >= 200)
    assert set(statuses[False]) == {201}
    assert (await client.post("/logout", headers=headers)).status == 200
    revoked = True
    await asyncio.gather(*senders)
    assert set(statuses[True]) == {401}
