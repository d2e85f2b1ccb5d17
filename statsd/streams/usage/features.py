"""The limit on the number of features: each one takes a row in every total, and any user can name a new one."""

from aiohttp import web

from statsd.database import sql
from statsd.database.pool import AWAY_SECONDS, POOL, ask
from statsd.errors import DatabaseAway, InvalidEvent
from statsd.streams.usage.event import NewClick

MOST = 10_000
FULL = f"feature_name must be an existing feature: the limit of {MOST:,} features is reached"
QUERY = sql.load("usage")["room"]


FEATURES: web.AppKey[set[str]] = web.AppKey("features")
"""The features that were clicked before, as far as this process knows them."""


async def admit(request: web.Request, clicks: list[NewClick | InvalidEvent]) -> list[NewClick | InvalidEvent]:
    """Return the clicks, with an InvalidEvent in place of each click on a feature over the limit."""
    refused = await _over_limit(request, {click.name for click in clicks if isinstance(click, NewClick)})
    return [
        InvalidEvent([FULL]) if isinstance(click, NewClick) and click.name in refused else click for click in clicks
    ]


async def _over_limit(request: web.Request, names: set[str]) -> set[str]:
    """Return the new names if they exceed the limit. While the database is away, no name does."""
    known = request.app[FEATURES]
    new = names - known
    if not new:
        return new
    try:
        record = await ask("features", request.app[POOL].fetchrow(QUERY, list(new)), AWAY_SECONDS)
    except DatabaseAway:
        return set()
    assert record is not None  # the query always returns one row
    known |= set(record["known"])
    new -= known
    return new if record["number"] + len(new) > MOST else set()
