"""Rows of any number as a file: read through a server-side cursor, written as fast as the client takes them.

Memory stays constant whatever the size; a file that cannot be finished is cut off, never ended as if it were whole.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import asyncpg
import msgspec
from aiohttp import web

from statsd.database.pool import COMMAND_SECONDS, DSN, connect, reaching
from statsd.errors import Overloaded

STEP_ROWS = 256  # what is read and encoded at a time, at most: about a millisecond, in which nothing else runs
STEP_CHARACTERS = 256 * 1024  # less rows where they are long: an event's metadata may have 16 KiB
FIRST_ROWS = 16  # nothing is known of their size yet
SLICE_BYTES = 64 * 1024  # who takes one in time is slow, not gone
STALL_SECONDS = 120.0  # the system of a client with 20 kB/s takes two megabytes at once, and nothing for a minute
MOST_EXPORTS = 4  # each holds a connection, and a snapshot that vacuum has to respect
FORMULA = (*"=+-@\t\r", *"\uff1d\uff0b\uff0d\uff20")  # what a spreadsheet takes for one; the last are of full width
ENCODER = msgspec.json.Encoder()

Rows = Sequence[asyncpg.Record]
Lines = Callable[[AsyncIterator[Rows]], AsyncIterator[bytes]]
"""Makes the bytes of a file out of its rows, step by step."""

log = logging.getLogger("statsd.export")


class Exports:
    """The exports that run in this process."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.running = 0

    async def send(
        self, request: web.Request, headers: dict[str, str], lines: Lines, query: str, *given: Any
    ) -> web.StreamResponse:
        """Answer with the rows of `query` as the file that `lines` makes of them.

        Raises Overloaded when others run already, and DatabaseAway, both before the first byte.
        """
        if self.running >= MOST_EXPORTS:
            raise Overloaded(f"{MOST_EXPORTS} exports run already: try again when one has ended", retry_after=10)
        self.running += 1
        try:
            return await self._send(request, headers, lines, query, given)
        finally:
            self.running -= 1

    async def _send(
        self, request: web.Request, headers: dict[str, str], lines: Lines, query: str, given: Sequence[Any]
    ) -> web.StreamResponse:
        connection = await connect(self._dsn)
        try:
            async with aclosing(_steps(connection, query, given)) as steps:
                with reaching("the export"):
                    first = await anext(steps, None)
                response = web.StreamResponse(headers=headers)
                await response.prepare(request)
                _keep_short(request.transport)
                if request.method != "HEAD":
                    await _write(request, response, lines(_resumed(first, steps)))
                return response
        finally:
            connection.terminate()


def _keep_short(transport: asyncio.Transport | None) -> None:
    """Let the system hold little that is not sent: behind megabytes of it a slow client looks like one that is gone."""
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
    except Exception as error:  # the status is sent: only the missing end of the body can still say it
        stalled = isinstance(error, TimeoutError)
        log.error("an export was cut off%s", ": nobody took it" if stalled else "", exc_info=not stalled)
        if request.transport is not None:
            request.transport.abort()


async def _steps(
    connection: asyncpg.Connection[asyncpg.Record], query: str, given: Sequence[Any]
) -> AsyncGenerator[Rows]:
    number = FIRST_ROWS
    async with connection.transaction(readonly=True):
        # Without a name: a statement with one stays behind in the server that a pooler lends for a transaction.
        cursor = await (await connection.prepare(query, name="")).cursor(*given)
        while rows := await cursor.fetch(number, timeout=COMMAND_SECONDS):
            yield rows
            number = max(1, min(STEP_ROWS, STEP_CHARACTERS // _longest(rows)))


def _longest(rows: Rows) -> int:
    """The characters of the longest text in them: nothing else of an event is long."""
    return max([len(value) for row in rows for value in row.values() if type(value) is str], default=1) or 1


async def _resumed(first: Rows | None, steps: AsyncIterator[Rows]) -> AsyncIterator[Rows]:
    if first is not None:
        yield first
    async for rows in steps:
        yield rows


def csv(head: str, cells: Callable[[asyncpg.Record], Sequence[str]]) -> Lines:
    """Lines of CSV (RFC 4180, ended by a line feed): every field in quotes, none that a spreadsheet would calculate."""

    async def lines(steps: AsyncIterator[Rows]) -> AsyncIterator[bytes]:
        yield f"{head}\n".encode()
        async for rows in steps:
            yield "".join([",".join(map(csv_field, cells(row))) + "\n" for row in rows]).encode()

    return lines


def csv_field(text: str) -> str:
    """Return a field in quotes, its own doubled, behind an apostrophe where a spreadsheet would see a formula."""
    guard = "'" if text.startswith(FORMULA) else ""
    return f'"{guard}{text.replace(chr(34), chr(34) * 2)}"'


def json(head: bytes, body: Callable[[asyncpg.Record], msgspec.Struct], tail: Callable[[int], bytes]) -> Lines:
    """One JSON document: `head`, the rows with commas between, and `tail`, which hears how many they were."""

    async def lines(steps: AsyncIterator[Rows]) -> AsyncIterator[bytes]:
        count = 0
        yield head
        async for rows in steps:
            yield b"," * (count > 0) + b",".join([ENCODER.encode(body(row)) for row in rows])
            count += len(rows)
        yield tail(count)

    return lines


def ndjson(body: Callable[[asyncpg.Record], msgspec.Struct]) -> Lines:
    """A JSON object a line."""

    async def lines(steps: AsyncIterator[Rows]) -> AsyncIterator[bytes]:
        async for rows in steps:
            yield ENCODER.encode_lines([body(row) for row in rows])

    return lines


EXPORTS: web.AppKey[Exports] = web.AppKey("exports")


async def exports(app: web.Application) -> AsyncIterator[None]:
    """Exports read over connections of their own."""
    app[EXPORTS] = Exports(app[DSN])
    yield
