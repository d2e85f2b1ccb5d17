"""Any number of rows as a file: read through a server-side cursor, sent as fast as the client receives them.

Memory does not grow with the file. A file that cannot be finished is cut off, so that it does not look complete.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiohttp import web

from statsd.database.pool import COMMAND_SECONDS, Connection, connect, reaching
from statsd.errors import Overloaded

STEP_ROWS = 256  # of one step, at most: encoding them blocks the event loop for about a millisecond
STEP_CHARACTERS = 256 * 1024  # of one step: fewer rows if they are long; an event's metadata may have 16 KiB
FIRST_ROWS = 16  # of the first step: their size is not known yet
SLICE_BYTES = 64 * 1024  # a client that receives one in time is slow, not gone
STALL_SECONDS = 120.0  # a client with 20 kB/s may buffer two megabytes at once, and then receive nothing for a minute
MOST_EXPORTS = 4  # each holds a connection, and a snapshot that keeps vacuum from removing rows
FORMULA = (*"=+-@\t\r", *"\uff1d\uff0b\uff0d\uff20")  # how a spreadsheet recognises one; the last four are full-width

Rows = Sequence[asyncpg.Record]

log = logging.getLogger("statsd.export")


@dataclass(frozen=True, slots=True)
class File:
    """How rows become a file: `head`, the rows of each step, `separator` between steps, and `tail` of their number."""

    encode: Callable[[Rows], bytes]
    head: bytes = b""
    separator: bytes = b""
    tail: Callable[[int], bytes] = lambda count: b""


class Exports:
    """The exports that run in this process."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.running = 0

    async def send(
        self, request: web.Request, headers: dict[str, str], file: File, query: str, *arguments: Any
    ) -> web.StreamResponse:
        """Send the rows of `query` as a file.

        Raises Overloaded if too many exports are running, and DatabaseAway, both before the first byte.
        """
        if self.running >= MOST_EXPORTS:
            raise Overloaded(f"{MOST_EXPORTS} exports are running: try again when one has ended", retry_after=10)
        connection = None
        self.running += 1
        try:
            connection = await connect(self._dsn)
            async with aclosing(_steps(connection, query, arguments)) as steps:
                with reaching("the export"):
                    rows: Rows = await anext(steps, [])
                response = web.StreamResponse(headers=headers)
                await response.prepare(request)
                _keep_short(request.transport)
                if request.method != "HEAD":
                    await _write(request, response, _encoded(file, rows, steps))
                return response
        finally:
            self.running -= 1
            if connection:
                connection.terminate()


def _keep_short(transport: asyncio.Transport | None) -> None:
    """Keep the socket's send buffer small: behind megabytes of it, a slow client looks like one that is gone."""
    connection = transport.get_extra_info("socket") if transport else None
    if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, SLICE_BYTES)


async def _write(request: web.Request, response: web.StreamResponse, parts: AsyncIterator[bytes]) -> None:
    try:
        async for part in parts:
            for start in range(0, len(part), SLICE_BYTES):
                async with asyncio.timeout(STALL_SECONDS):
                    await response.write(part[start : start + SLICE_BYTES])
        await response.write_eof()
    except ConnectionError as gone:
        raise ConnectionResetError("the client hung up") from gone
    except Exception as error:  # the status is sent already: only a missing end can show the failure
        stalled = isinstance(error, TimeoutError)
        log.error("an export was cut off%s", ": the client received nothing" if stalled else "", exc_info=not stalled)
        if request.transport is not None:
            request.transport.abort()


async def _steps(connection: Connection, query: str, arguments: Sequence[Any]) -> AsyncGenerator[Rows]:
    number = FIRST_ROWS
    async with connection.transaction(readonly=True):
        # Without a name: behind a pooler in transaction mode, a named statement would outlive the transaction.
        cursor = await (await connection.prepare(query, name="")).cursor(*arguments)
        while rows := await cursor.fetch(number, timeout=COMMAND_SECONDS):
            yield rows
            # No other value of an event is long but a text.
            longest = max([len(value) for row in rows for value in row.values() if type(value) is str], default=0)
            number = max(1, min(STEP_ROWS, STEP_CHARACTERS // max(1, longest)))


async def _encoded(file: File, rows: Rows, steps: AsyncIterator[Rows]) -> AsyncIterator[bytes]:
    """Yield the parts of a file, from its first rows and those of further steps."""
    yield file.head
    count = 0
    while rows:
        yield file.separator * (count > 0) + file.encode(rows)
        count += len(rows)
        rows = await anext(steps, [])
    yield file.tail(count)


def csv_line(fields: Iterable[str]) -> str:
    """Return a line of CSV (RFC 4180, with a line feed): every field is quoted, none is a formula to a spreadsheet."""
    return ",".join(map(_csv_field, fields)) + "\n"


def _csv_field(text: str) -> str:
    """Return a quoted field; an apostrophe keeps spreadsheets from reading it as a formula."""
    guard = "'" if text.startswith(FORMULA) else ""
    return f'"{guard}{text.replace(chr(34), chr(34) * 2)}"'


EXPORTS: web.AppKey[Exports] = web.AppKey("exports")
