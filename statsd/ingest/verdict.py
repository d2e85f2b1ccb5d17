"""What became of one row."""

from typing import Literal

import asyncpg
import msgspec

from statsd.errors import StatsError
from statsd.stream import Row


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """`stored`: committed now. `known`: its id was stored before. `spooled`: on disk until the database is back.
    `refused`: not stored, and `error` is the reason.
    """

    state: Literal["stored", "known", "spooled", "refused"]
    row: Row = ()
    """The values of the stream's columns, as stored or spooled; empty for an event that could not be decoded."""
    record: asyncpg.Record | None = None
    """What `insert` returned for a stored row, or the query `known` for a known one, if the database answered."""
    error: StatsError | None = None
