"""How many features there may be: every one is a row in every total, and anybody who may click can name one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, POOL, ask
from statsd.errors import DatabaseAway, InvalidEvent
from statsd.streams.usage.event import NewClick

MOST = 10_000
FULL = f"feature_name must be one of the {MOST:,} that are there: there is no room for another"
QUERY = sql.load("usage")["room"]


class Features:
    """The names that are known to have been clicked."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._known: set[str] = set()

    async def admit(self, clicks: list[NewClick | InvalidEvent]) -> list[NewClick | InvalidEvent]:
        """Return the clicks; in place of one whose name is new and has no room what is wrong with it."""
        refused = await self._without_room({click.name for click in clicks if isinstance(click, NewClick)})
        return [
            InvalidEvent([FULL]) if isinstance(click, NewClick) and click.name in refused else click for click in clicks
        ]

    async def _without_room(self, names: set[str]) -> set[str]:
        """Return which of the names are new and have no room; none while the database is away."""
        new = names - self._known
        if not new:
            return new
        try:
            found = await ask("features", self._pool.fetchrow(QUERY, list(new)), AWAY_SECONDS)
        except DatabaseAway:
            return set()
        assert found is not None  # the query has no condition
        self._known |= set(found["known"])
        new -= self._known
        return new if found["number"] + len(new) > MOST else set()


FEATURES: web.AppKey[Features] = web.AppKey("features")


async def known_features(app: web.Application) -> AsyncIterator[None]:
    """They are asked for when somebody first clicks one, and are kept."""
    app[FEATURES] = Features(app[POOL])
    yield
