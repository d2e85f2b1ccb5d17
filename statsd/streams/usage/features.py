"""The limits on the number of features: each one takes a row in every total, and any user can name a new one."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence

import asyncpg
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, POOL, Pool, ask
from statsd.errors import DatabaseAway, InvalidEvent
from statsd.ingest.outage import OUTAGE
from statsd.streams.usage.event import NewClick

MOST = 10_000
SHARE = 100  # new ones of a user and a UTC day
FULL = f"feature_name must be an existing feature: the limit of {MOST:,} features is reached"
USED_UP = f"feature_name must be an existing feature: you have named {SHARE} new ones today"
KNOWN_SECONDS = 600.0  # a feature may be dropped, or lose its last click
DROP_SECONDS = 86_400.0
QUERIES = sql.load("usage")


class Features:
    """The features that were clicked before, as far as this process knows, and those it has let users name."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._forgotten_at = 0.0
        self._away: Counter[int] = Counter()  # new names by user, since the database is away

    @property
    def names(self) -> set[str]:
        """The names that need no query."""
        if (now := time.monotonic()) >= self._forgotten_at:
            self._forgotten_at = now + KNOWN_SECONDS
            self._names.clear()
        return self._names

    async def refused(self, pool: Pool, user_id: int, names: Iterable[str], is_away: bool = False) -> dict[str, str]:
        """Return why names are refused to a user: new ones beyond the limits. While the database is away, a user may
        name as many as on a day.
        """
        known = self.names
        new = [name for name in names if name not in known]
        if not new:
            return {}
        try:
            if is_away:
                raise DatabaseAway("the database is away")
            record = await ask("features", self._grant(pool, user_id, new), AWAY_SECONDS)
        except DatabaseAway:
            granted, reason = SHARE - self._away[user_id], USED_UP
            self._away[user_id] += min(granted, len(new))
        else:
            self._away.clear()
            known.update(record["known"])
            granted, reason = record["granted"], USED_UP if record["free"] > record["granted"] else FULL
        new = [name for name in new if name not in known]
        known.update(new[:granted])
        return dict.fromkeys(new[granted:], reason)

    async def _grant(self, pool: Pool, user_id: int, names: Sequence[str]) -> asyncpg.Record:
        record = await pool.fetchrow(QUERIES["grant_features"], names, user_id, MOST, SHARE)
        assert record is not None  # the query always returns one row
        return record


FEATURES: web.AppKey[Features] = web.AppKey("features")


async def admit(
    request: web.Request, user_id: int, clicks: list[NewClick | InvalidEvent]
) -> list[NewClick | InvalidEvent]:
    """Return the clicks of a user, with an InvalidEvent in place of each click on a new feature beyond the limits."""
    names = dict.fromkeys([click.name for click in clicks if isinstance(click, NewClick)])
    refused = await request.app[FEATURES].refused(request.app[POOL], user_id, names, request.app[OUTAGE].away)
    return [
        InvalidEvent([refused[click.name]]) if isinstance(click, NewClick) and click.name in refused else click
        for click in clicks
    ]


async def drop(pool: Pool, names: Sequence[str]) -> int:
    """Delete features with all their clicks; return the number of clicks. Writers wait meanwhile."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(QUERIES["lock"], timeout=DROP_SECONDS)
        clicks: int = await connection.fetchval(QUERIES["drop"], names, timeout=DROP_SECONDS)
    return clicks
