"""The sample accounts of `seed --usage`: ten people whose password everybody knows, and what they clicked.

Never made by `serve`, which warns of them where others can reach it.
"""

from __future__ import annotations

import asyncio
import logging

import asyncpg

from statsd import accounts, sql
from statsd.accounts import Registration, User, key_of
from statsd.channel import Channel
from statsd.errors import AccountRefused
from statsd.ingest import Writer
from statsd.streams import usage

log = logging.getLogger("statsd.samples")

PASSWORD = "password123"  # noqa: S105 - known to everybody on purpose


async def store(pool: asyncpg.Pool[asyncpg.Record], channel: Channel) -> int:
    """Make those of the accounts and clicks that are not there; return how many clicks were stored."""
    async with accounts.opened(pool) as known:
        users = [user for person in usage.PEOPLE if (user := await _user(pool, known, *person))]
    if not users:
        return 0
    writer = Writer(usage.STREAM, pool, channel.announce)
    writing = asyncio.create_task(writer.run())
    outcomes = await writer.store(usage.sample_rows(users))
    writer.stop()
    await writing
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return writer.stored


async def _user(
    pool: asyncpg.Pool[asyncpg.Record], known: accounts.Accounts, name: str, age: int, gender: str
) -> User | None:
    """The sample account of this name; None where somebody else has the name."""
    try:
        return await known.add(Registration(name, PASSWORD, age, gender), sample=True)
    except AccountRefused:
        found = await pool.fetchrow(sql.load("accounts")["find"], key_of(name))
    if found is None or not found["sample"]:
        log.warning("%s is somebody's own account: it stays as it is, and gets no sample clicks", name)
        return None
    return User(*(found[field] for field in User.__slots__))
