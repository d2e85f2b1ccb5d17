"""The limit on the number of features: each one takes a row in every total, and any user can name a new one."""

from __future__ import annotations

import asyncpg
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, ask
from statsd.errors import DatabaseAway, InvalidEvent
from statsd.streams.usage.event import NewClick

MOST = 10_000
FULL = f"feature_name must be an existing feature: the limit of {MOST:,} features is reached"
QUERY = sql.load("usage")["room"]


class Features:
    """The features that were clicked before, as far as this process knows them."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._known: set[str] = set()

    async def admit(self, clicks: list[NewClick | InvalidEvent]) -> list[NewClick | InvalidEvent]:
        """Return the clicks, with an InvalidEvent in place of each click on a feature over the limit."""
        refused = await self._over_limit({click.name for click in clicks if isinstance(click, NewClick)})
        return [
            InvalidEvent([FULL]) if isinstance(click, NewClick) and click.name in refused else click for click in clicks
        ]

    async def _over_limit(self, names: set[str]) -> set[str]:
        """Return the new names if they exceed the limit. While the database is away, no name does."""
        new = names - self._known
        if not new:
            return new
        try:
            record = await ask("features", self._pool.fetchrow(QUERY, list(new)), AWAY_SECONDS)
        except DatabaseAway:
            return set()
        assert record is not None  # the query always returns one row
        self._known |= set(record["known"])
        new -= self._known
        return new if record["number"] + len(new) > MOST else set()


FEATURES: web.AppKey[Features] = web.AppKey("features")
