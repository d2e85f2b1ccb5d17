"""PostgreSQL as the messenger between servers: NOTIFY at a pace, LISTEN on a connection that notices its own death."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import asyncpg
from aiohttp import web

from statsd import database
from statsd.errors import DatabaseError

NAME = "statsd"
PACE_SECONDS = 0.25  # NOTIFY takes a database-wide lock at commit, so it stays out of the hot statement, and rare
HEARTBEAT_SECONDS = 10.0
RETRY_SECONDS = 0.5  # a listener that was cut off is back, and has told what it missed, within two seconds

log = logging.getLogger("statsd.channel")


class Channel:
    """Says and hears which stream changed."""

    def __init__(self, dsn: str, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._dsn = dsn
        self._pool = pool
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self.listening = asyncio.Event()
        """Set while announcements are heard."""

    def announce(self, stream: str) -> None:
        """Tell every server soon that a stream changed. Never waits."""
        self._changed.add(stream)
        self._wake.set()

    async def run(self) -> None:
        """Send what is announced, the first at once and the rest at a pace."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(PACE_SECONDS if await self._send() else RETRY_SECONDS)

    async def _send(self) -> bool:
        """Whether it was sent; what was not, is announced again: a connection may die while listeners keep theirs."""
        changed, self._changed = self._changed, set()
        self._wake.clear()
        try:
            await self._pool.execute(
                "select pg_notify($1, name) from unnest($2::text[]) as name", NAME, sorted(changed)
            )
        except Exception as error:
            log.debug("nobody was notified: %s", error)
            self._changed |= changed
            self._wake.set()
            return False
        return True

    async def flush(self) -> None:
        """Send what is announced and not yet sent, for a command that is about to end."""
        if self._changed:
            await self._send()

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        """Call `heard` with the stream that any server announces, or None where something may have been missed."""
        missed = False
        while True:
            try:
                await self._listen_once(heard, missed)
            except (DatabaseError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("not listening for changes, trying again: %s", error or type(error).__name__)
            missed = True
            self.listening.clear()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen_once(self, heard: Callable[[str | None], None], missed: bool) -> None:
        connection = await database.connect(self._dsn)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(NAME, lambda _c, _pid, _channel, stream: heard(str(stream)))
            self.listening.set()
            if missed:
                heard(None)
            while not lost.is_set():
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await lost.wait()
                except TimeoutError:
                    await connection.execute("select 1", timeout=5)
        finally:
            connection.terminate()


CHANNEL: web.AppKey[Channel] = web.AppKey("channel")
