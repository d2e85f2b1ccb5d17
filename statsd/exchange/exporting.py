"""Export: all rows of a stream in one snapshot, in constant memory."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any

from statsd.database import sql
from statsd.database.pool import connect, reaching
from statsd.exchange import forms
from statsd.streams.files import csv_line, steps

STEP_ROWS = 4_096  # there is no event loop to share with others
STEP_SECONDS = 86_400.0  # a day: the first step may sort the whole table; None would be the connection's ten seconds


async def export(  # noqa: PLR0913 - what the command lets one choose
    dsn: str,
    stream: str,
    form: str,
    span: tuple[datetime, datetime],
    write: Callable[[bytes], Any],
    *,
    guard: bool = True,
) -> AsyncGenerator[int]:
    """Write the rows of a stream from one time until before another; yield their number so far after each step.

    `guard`: in CSV, texts that a spreadsheet would calculate get an apostrophe in front.

    Raises DatabaseAway.
    """
    raws = forms.raws_of(stream)
    header = forms.header_of(raws)
    connection = await connect(dsn, statement_timeout="0")
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if form == "csv":
                write(csv_line(header).encode())
            count = 0
            for raw in raws:
                file = forms.file_of(raw, form, header, guard)
                query = sql.load(raw.stream.name)[raw.export]
                arguments = span if "$2" in query else ()
                rows_read = steps(connection, query, arguments, most_rows=STEP_ROWS, seconds=STEP_SECONDS)
                async with aclosing(rows_read):
                    while rows := await _next(rows_read):
                        write(file.encode(rows))
                        count += len(rows)
                        yield count
    finally:
        connection.terminate()


async def _next(rows_read: Any) -> Any:
    with reaching("the export"):
        return await anext(rows_read, [])
