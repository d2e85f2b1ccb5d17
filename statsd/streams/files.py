"""Rows as a file of any size: read through a server-side cursor, and encoded step by step in constant memory."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from statsd.database.pool import COMMAND_SECONDS, Connection

STEP_ROWS = 256  # of one step, at most: encoding them blocks the event loop for about a millisecond
STEP_CHARACTERS = 256 * 1024  # of one step: fewer rows if they are long; an event's metadata may have 16 KiB
FIRST_ROWS = 16  # of the first step: their size is not known yet
FORMULA = (*"=+-@\t\r", *"\uff1d\uff0b\uff0d\uff20")  # how a spreadsheet recognises one; the last four are full-width

Rows = Sequence[asyncpg.Record]


@dataclass(frozen=True, slots=True)
class File:
    """How rows become a file: `head`, the rows of each step, `separator` between steps, and `tail` of their number."""

    encode: Callable[[Rows], bytes]
    head: bytes = b""
    separator: bytes = b""
    tail: Callable[[int], bytes] = lambda count: b""


async def steps(
    connection: Connection,
    query: str,
    arguments: Sequence[Any],
    *,
    most_rows: int = STEP_ROWS,
    seconds: float = COMMAND_SECONDS,
) -> AsyncGenerator[Rows]:
    """Yield the rows of a query, at most `most_rows` at a time; `seconds` is the timeout of each step.

    In the open transaction of the connection, or in one of its own.
    """
    number = min(FIRST_ROWS, most_rows)
    characters = STEP_CHARACTERS * most_rows // STEP_ROWS
    async with connection.transaction(readonly=True):
        # Without a name: behind a pooler in transaction mode, a named statement would outlive the transaction.
        cursor = await (await connection.prepare(query, name="")).cursor(*arguments)
        while rows := await cursor.fetch(number, timeout=seconds):
            yield rows
            # No other value of an event is long but a text.
            longest = max([len(value) for row in rows for value in row.values() if type(value) is str], default=0)
            number = max(1, min(most_rows, characters // max(1, longest)))


async def encoded(file: File, rows: Rows, further: AsyncIterator[Rows]) -> AsyncIterator[bytes]:
    """Yield the parts of a file, from its first rows and those of further steps."""
    yield file.head
    count = 0
    while rows:
        yield file.separator * (count > 0) + file.encode(rows)
        count += len(rows)
        rows = await anext(further, [])
    yield file.tail(count)


def csv_line(fields: Iterable[str]) -> str:
    """Return a line of CSV (RFC 4180, with a line feed): every field is quoted, none is a formula to a spreadsheet."""
    return ",".join([csv_field(text, FORMULA) for text in fields]) + "\n"


def csv_field(text: str, guarded: tuple[str, ...]) -> str:
    """Return a quoted field. An apostrophe before one that begins with any of `guarded` keeps it from being read so."""
    guard = "'" if text.startswith(guarded) else ""
    return f'"{guard}{text.replace(chr(34), chr(34) * 2)}"'
