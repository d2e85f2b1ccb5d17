"""Any number of rows as the file of an answer, sent as fast as the client receives them.

Memory does not grow with the file. A file that cannot be finished is cut off, so that it does not look complete.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from statsd.database.pool import connect, reaching
from statsd.errors import Overloaded
from statsd.streams.files import File, Rows, encoded, steps

SLICE_BYTES = 64 * 1024  # a client that receives one in time is slow, not gone
STALL_SECONDS = 120.0  # a client with 20 kB/s may buffer two megabytes at once, and then receive nothing for a minute
MOST_EXPORTS = 4  # each holds a connection, and a snapshot that keeps vacuum from removing rows

log = logging.getLogger("statsd.export")


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
            async with aclosing(steps(connection, query, arguments)) as further:
                with reaching("the export"):
                    rows: Rows = await anext(further, [])
                response = web.StreamResponse(headers=headers)
                await response.prepare(request)
                _keep_short(request.transport)
                if request.method != "HEAD":
                    await _write(request, response, encoded(file, rows, further))
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


EXPORTS: web.AppKey[Exports] = web.AppKey("exports")
