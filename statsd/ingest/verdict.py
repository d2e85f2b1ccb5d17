"""What became of one row."""

from __future__ import annotations

from typing import Literal

import asyncpg
import msgspec

from statsd.errors import StatsError
from statsd.stream import Row


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """`stored`: committed now. `known`: its id was stored before. `spooled`: on disk until the database is back.
    `refused`: not stored, and `error` says why.
    """

    state: Literal["stored", "known", "spooled", "refused"]
    row: Row = ()
    """The values of the stream's columns, as they were stored or spooled; empty for what was no event."""
    record: asyncpg.Record | None = None
    """What the statement says of a stored row; of a known one, what the query `known` says, if it could be asked."""
    error: StatsError | None = None
