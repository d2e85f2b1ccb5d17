"""Rows as a file of any size: read through a server-side cursor, and encoded step by step in constant memory.

A line of CSV is written here for all exports. A value that is missing is empty (nothing between the commas), and every
text is in quotes, an empty one too: so `COPY` of PostgreSQL tells them apart. Lines end in a line feed, without a BOM.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from statsd.database.pool import COMMAND_SECONDS, Connection

STEP_ROWS = 256  # of one step, at most: encoding them blocks the event loop for about a millisecond
STEP_CHARACTERS = 256 * 1024  # of one step: fewer rows if they are long; an event's metadata may have 16 KiB
FIRST_ROWS = 16  # of the first step: their size is not known yet
FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # how a spreadsheet recognises one; the last are full-width
GUARDED = ("'", *FORMULA)  # an apostrophe, too: else nobody could tell whether one belongs to the text

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


def csv_line(values: Iterable[Any], guard: bool = True) -> str:
    """Return a line of CSV (RFC 4180, with a line feed): of texts, JSON (`Raw`), None, and values that need no quotes.

    With a guard, a text that begins with any of `GUARDED` gets an apostrophe in front, so that no spreadsheet
    calculates it. `unguarded` takes it away again.
    """
    return ",".join([_cell(value, guard) for value in values]) + "\n"


def _cell(value: Any, guard: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _quoted("'" + value if guard and value.startswith(GUARDED) else value)
    return _quoted(bytes(value).decode()) if isinstance(value, msgspec.Raw) else str(value)


def _quoted(text: str) -> str:
    return f'"{text.replace(chr(34), chr(34) * 2)}"'


def unguarded(text: str) -> str:
    """Return a text without its guard. An apostrophe that guards nothing belongs to the text."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(GUARDED) else text
