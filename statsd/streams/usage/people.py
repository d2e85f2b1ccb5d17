"""The sample accounts of `seed --usage`: ten people whose password everybody knows, and what they clicked.

Never made by `serve`, which warns of them where others can reach it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from statsd.accounts import users
from statsd.accounts.users import Registration, User, key_of
from statsd.database import sql
from statsd.errors import AccountRefused
from statsd.ingest.ids import id_of_key
from statsd.ingest.writer import Writer
from statsd.live.channel import Channel
from statsd.stream import Row
from statsd.streams import usage
from statsd.streams.usage.event import Click, row
from statsd.streams.usage.sample import SAMPLES
from statsd.streams.usage.stream import STREAM

log = logging.getLogger("statsd.samples")

PASSWORD = "password123"  # noqa: S105 - known to everybody on purpose


async def store(pool: asyncpg.Pool[asyncpg.Record], channel: Channel) -> int:
    """Make those of the accounts and clicks that are not there; return how many clicks were stored."""
    async with users.open_accounts(pool) as known:
        people = [user for person in usage.sample.PEOPLE if (user := await _user(pool, known, *person))]
    if not people:
        return 0
    writer = Writer(usage.STREAM, pool, channel.announce)
    writing = asyncio.create_task(writer.run())
    verdicts = await writer.store(sample_rows(people))
    writer.stop()
    await writing
    for verdict in verdicts:
        if verdict.error:
            raise verdict.error
    return writer.stored


async def _user(
    pool: asyncpg.Pool[asyncpg.Record], known: users.Accounts, name: str, age: int, gender: str
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


SAMPLE_CLICKS = 100
SAMPLE_DAYS = 90


def sample_rows(users: Sequence[User]) -> list[Row]:
    """Return the hundred clicks of `seed --usage`, over 90 days; the same ids every time, so that they count once."""
    rng = random.Random(SAMPLE_CLICKS)
    now = datetime.now(UTC)
    rows = []
    for number in range(SAMPLE_CLICKS):
        user = rng.choice(users)
        when = now - timedelta(days=SAMPLE_DAYS * rng.random())
        click = Click(
            user_id=user.id, feature_name=rng.choice(SAMPLES), timestamp=when, age=user.age, gender=user.gender
        )
        rows.append(row(click, id_of_key(STREAM.name, f"sample\n{number}")))
    return rows
