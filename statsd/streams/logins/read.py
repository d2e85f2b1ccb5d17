"""Reads of logins: the newest rows, and the statistics."""

from typing import Annotated

import msgspec
from aiohttp import web

from statsd.database import sql
from statsd.database.pool import POOL, ask
from statsd.live.topics import HUB
from statsd.streams.logins.answers import STORED, LoginStatistics, StoredLogin
from statsd.streams.logins.stream import STREAM
from statsd.web.answers import json_response, struct_of
from statsd.web.asked import limit, parameters
from statsd.web.operation import Answer, Operation, Parameter

MOST_LOGINS = 1_000  # in one answer
QUERIES = sql.load("logins")


@Operation(
    query={"limit": Parameter(Annotated[int, msgspec.Meta(ge=1, le=MOST_LOGINS)], "how many logins", default=100)},
    answers={200: Answer("newest first", list[StoredLogin], rows=[STORED])},
)
async def get_logins(request: web.Request) -> web.Response:
    """List the logins with the latest login times."""
    most = limit(parameters(request), 100, MOST_LOGINS)
    rows = await ask("logins", request.app[POOL].fetch(QUERIES["newest"], most))
    return json_response([struct_of(StoredLogin, row) for row in rows])


@Operation(shared="own", answers={200: Answer("the statistics", LoginStatistics)})
async def get_stats(request: web.Request) -> web.Response:
    """Get the statistics of all logins.

    The trends show each of the last 30 days, and the peak hours each hour of the day over all days. Durations are in
    seconds. The topic `logins` and `stats_update` on `/ws` have the same payload.
    """
    snapshot = await request.app[HUB].topics[STREAM.name].snapshot()
    return json_response(snapshot.payload)
