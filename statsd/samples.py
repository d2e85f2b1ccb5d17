"""The sample accounts of `seed --usage`: ten people whose password everybody knows, and what they clicked.

Never made by `serve`, which warns of them where others can reach it.
"""

from __future__ import annotations

import asyncio

import asyncpg

from statsd import accounts, sql
from statsd.accounts import Registration, User, key_of
from statsd.channel import Channel
from statsd.errors import AccountRefused
from statsd.ingest import Writer
from statsd.streams import usage

PASSWORD = "password123"  # noqa: S105 - known to everybody on purpose


async def store(pool: asyncpg.Pool[asyncpg.Record], channel: Channel) -> int:
    """Make those of the accounts and clicks that are not there; return how many clicks were stored."""
    async with accounts.opened(pool) as known:
        users = [await _user(pool, known, *person) for person in usage.PEOPLE]
    writer = Writer(usage.STREAM, pool, channel.announce)
    writing = asyncio.create_task(writer.run())
    outcomes = await writer.store(usage.sample_rows(users))
    writer.stop()
    await writing
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return writer.stored


async def _user(pool: asyncpg.Pool[asyncpg.Record], known: accounts.Accounts, name: str, age: int, gender: str) -> User:
    try:
        return await known.register(Registration(name, PASSWORD, age, gender), sample=True)
    except AccountRefused:
        found = await pool.fetchrow(sql.load("accounts")["find"], key_of(name))
        assert found is not None  # it was there a moment ago
        return User(*(found[field] for field in User.__slots__))
