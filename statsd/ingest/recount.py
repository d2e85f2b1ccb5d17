"""The recount: whether the totals of a stream equal what its raw rows say."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from statsd.database import sql
from statsd.database.pool import Connection

RECOUNT_SECONDS = 86_400.0  # one day; with None asyncpg uses the connection's ten seconds


class Difference(NamedTuple):
    """A row of a totals table that is not what the raw rows say, in PostgreSQL's text form."""

    table: str
    key: str
    stored: str | None
    """None: the row is missing."""
    counted: str | None
    """None: there should be no row."""


async def differences(connection: Connection, stream: str, days: Iterable[date | None] = (None,)) -> list[Difference]:
    """Return the first 1,000 differences of a stream; none means that the totals are right.

    `days` restricts the comparison to the totals of some UTC days; None stands for all time. Each day, or all time, is
    compared in one statement, which has one snapshot: the result is exact while rows are stored. Rows that wait to be
    folded do not count yet. The totals of days whose raw rows were pruned are left out.
    """
    recount = sql.load(stream)["recount"]
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        return [
            Difference(*row) for day in days for row in await connection.fetch(recount, day, timeout=RECOUNT_SECONDS)
        ]


async def days(connection: Connection, stream: str) -> list[date]:
    """Return the UTC days a stream has totals of."""
    return [row["day"] for row in await connection.fetch(sql.load(stream)["days"])]
