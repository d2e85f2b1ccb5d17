"""PostgreSQL as the messenger between servers: NOTIFY at a pace, LISTEN on a connection that notices its own death.

Through a pooler LISTEN succeeds and nothing is ever heard: what counts is that the channel hears itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from uuid import uuid4

import asyncpg
from aiohttp import web

from statsd.database.pool import ask, connect

NAME = "statsd"
PACE_SECONDS = 0.25  # NOTIFY takes a database-wide lock at commit, so it stays out of the hot statement, and rare
APPLICATION_NAME = "statsd-live listen"
NOTIFY = "select pg_notify($1, name) from unnest($2::text[]) as name"
HEARTBEAT = "heartbeat"  # the first word of what a server says to itself
HEARTBEAT_SECONDS = 10.0
RETRY_SECONDS = 0.5  # a listener that was cut off is back, and has told what it missed, within two seconds
HEARD_SECONDS = 5.0  # a machine under load may take a second
WARNING_SECONDS = 60.0
DEAF = (
    "changes at other servers are not heard: set STATS_LISTEN_URL to a direct connection to the database of"
    " DATABASE_URL, with no pooler in between"
)

log = logging.getLogger("statsd.channel")


class Channel:
    """Says and hears which stream changed."""

    def __init__(self, dsn: str, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._dsn = dsn
        self._pool = pool
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._heard: Callable[[str | None], None] = _nobody_listens
        self._token = ""
        self._beat = asyncio.Event()
        self._complaint = ""
        """What keeps it from listening, as it was said last; empty while all is well."""
        self._complained = -WARNING_SECONDS
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
            await self._pool.execute(NOTIFY, NAME, sorted(changed))
        except Exception as error:
            log.debug("nobody was notified: %s", error)
            self._changed |= changed
            self._wake.set()
            return False
        if not self.listening.is_set():
            for stream in changed:
                self._heard(stream)  # at least what came to this server
        return True

    async def flush(self) -> None:
        """Send what is announced and not yet sent, for a command that is about to end."""
        if self._changed:
            await self._send()

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        """Call `heard` with the stream that any server announces, or None where something may have been missed."""
        self._heard = heard
        missed = False
        while True:
            try:
                await self._listen_once(missed)
            except Exception as error:  # a list of them would miss one (reliability.md §0.3), and end the program
                self._complain(f"not listening for changes, trying again: {str(error) or type(error).__name__}")
            missed = True
            self.listening.clear()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen_once(self, missed: bool) -> None:
        connection = await connect(self._dsn, application_name=APPLICATION_NAME)
        lost = asyncio.Event()

        def lose(_: object) -> None:
            lost.set()
            self._beat.set()  # nothing more will come

        try:
            connection.add_termination_listener(lose)
            await connection.add_listener(NAME, lambda _c, _pid, _channel, payload: self._take(str(payload)))
            while not lost.is_set() and await self._hears_itself(lost):
                self._begin(missed)
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await lost.wait()
                except TimeoutError:
                    await connection.execute("select 1", timeout=5)
        finally:
            connection.terminate()

    def _take(self, payload: str) -> None:
        if payload == self._token:
            self._beat.set()
        elif not payload.startswith(HEARTBEAT):
            self._heard(payload)

    async def _hears_itself(self, lost: asyncio.Event) -> bool:
        """Whether what is announced through the pool arrives; where it cannot be sent, nobody can tell."""
        self._token = f"{HEARTBEAT} {uuid4()}"
        self._beat.clear()
        try:
            await ask("the channel", self._pool.execute(NOTIFY, NAME, [self._token]))
        except Exception as error:
            log.debug("no heartbeat was sent: %s", error)
            return not lost.is_set()
        try:
            async with asyncio.timeout(HEARD_SECONDS):
                await self._beat.wait()
        except TimeoutError:
            self._complain(DEAF)
            return False
        return not lost.is_set()

    def _begin(self, missed: bool) -> None:
        if self.listening.is_set():
            return
        self.listening.set()
        if missed:
            self._heard(None)
        if self._complaint:
            log.warning("listening for changes again")
            self._complaint = ""

    def _complain(self, sentence: str) -> None:
        """Say what is wrong when it begins, and then once a minute; what only a setting can change, once."""
        if sentence == DEAF:
            if self._complaint != DEAF:
                log.error("%s", DEAF)
        elif time.monotonic() - self._complained >= WARNING_SECONDS:
            self._complained = time.monotonic()
            log.warning("%s", sentence)
        self._complaint = sentence


def _nobody_listens(_: str | None) -> None:
    """A command that only speaks."""


CHANNEL: web.AppKey[Channel] = web.AppKey("channel")
