"""PostgreSQL as the messenger between servers: a paced NOTIFY, and LISTEN on a connection that detects its own loss.

Through a pooler, LISTEN succeeds but no notification arrives. So the channel counts as listening only once it receives
its own heartbeat.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from uuid import uuid4

from aiohttp import web

from statsd.database import sql
from statsd.database.pool import Pool, ask, connect

NAME = "statsd"  # in the schema `public`
PACE_SECONDS = 0.25  # by default: NOTIFY takes a database-wide lock at commit: keep it rare, and out of the insert
APPLICATION_NAME = "statsd-live listen"
NOTIFY = f"select pg_notify({sql.CHANNEL}, name) from unnest($1::text[]) as name"  # noqa: S608
LISTENERS = f"""
    select count(*)
    from pg_stat_activity
    where datname = current_database()
        and application_name = $1 || coalesce(' ' || nullif({sql.CHANNEL}, $2), '')
    """  # noqa: S608 - the channel is ours
HEARTBEAT = "heartbeat"  # the first word of a server's message to itself
HEARTBEAT_SECONDS = 10.0
RETRY_SECONDS = 0.5  # a lost connection is replaced, and the gap reported, within two seconds
ARRIVAL_SECONDS = 5.0  # of a heartbeat; a loaded machine may need one second
WARNING_SECONDS = 60.0
POOLED = (
    "changes at other servers do not arrive: set STATS_LISTEN_URL to a direct connection to the database of"
    " DATABASE_URL, with no pooler in between"
)

log = logging.getLogger("statsd.channel")


async def count_listeners(pool: Pool) -> int:
    """Return how many servers listen for changes here: each does on a connection with a name of its own."""
    number: int = await pool.fetchval(LISTENERS, APPLICATION_NAME, NAME)
    return number


class Channel:
    """Announces changes of streams, and reports those that any server announces."""

    def __init__(self, dsn: str, pool: Pool, pace: float = PACE_SECONDS) -> None:
        self._dsn = dsn
        self._pool = pool
        self._pace = pace
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._on_change: Callable[[str | None], None] = lambda stream: None  # commands only announce
        self._token = ""
        self._beat = asyncio.Event()
        self._problem = ""  # why it is not listening
        self._warned = -WARNING_SECONDS
        self.listening = asyncio.Event()  # set while announcements arrive
        self.since = time.monotonic()
        """When `listening` was last set or cleared."""

    def announce(self, stream: str) -> None:
        """Tell every server soon that a stream changed. Never waits."""
        self._changed.add(stream)
        self._wake.set()

    async def run(self) -> None:
        """Send announcements until cancelled: the first at once, then one NOTIFY each `pace` seconds."""
        while True:
            await self._wake.wait()
            began = time.monotonic()
            sent = await self._send()
            await asyncio.sleep(began + self._pace - time.monotonic() if sent else RETRY_SECONDS)

    async def _send(self) -> bool:
        """Send the announcements and return True; keep them if that fails: other servers may still be listening."""
        changed, self._changed = self._changed, set()
        self._wake.clear()
        try:
            await self._pool.execute(NOTIFY, sorted(changed))
        except BaseException as error:  # also when it is cancelled: `flush` sends them
            self._changed |= changed
            self._wake.set()
            if not isinstance(error, Exception):
                raise
            log.debug("NOTIFY failed: %s", error)
            return False
        if not self.listening.is_set():
            for stream in changed:
                self._on_change(stream)  # at least the changes at this server
        return True

    async def flush(self) -> None:
        """Send announcements that are not sent yet, before a command ends."""
        if self._changed:
            await self._send()

    async def listen(self, on_change: Callable[[str | None], None]) -> None:
        """Call `on_change` with each stream that any server announces, or None after a gap, until cancelled."""
        self._on_change = on_change
        missed = False
        while True:
            try:
                await self._listen_once(missed)
            except Exception as error:  # asyncpg raises errors of any kind here, and none may end the program
                self._warn(f"not listening for changes, trying again: {str(error) or type(error).__name__}")
            missed = True
            if self.listening.is_set():
                self.listening.clear()
                self.since = time.monotonic()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen_once(self, missed: bool) -> None:
        connection = await connect(self._dsn, application_name=APPLICATION_NAME)
        lost = asyncio.Event()

        def on_loss(_: object) -> None:
            lost.set()
            self._beat.set()  # wakes the wait for a heartbeat

        try:
            connection.add_termination_listener(on_loss)
            name = await ask("the channel", self._pool.fetchval(f"select {sql.CHANNEL}"))
            if name != NAME:  # so that commands see which installation in the database has a server
                naming = "select set_config('application_name', $1, false)"
                await connection.execute(naming, f"{APPLICATION_NAME} {name}")
            await connection.add_listener(name, lambda _c, _pid, _channel, payload: self._receive(str(payload)))
            while not lost.is_set() and await self._receives_heartbeat(lost):
                if not self.listening.is_set():
                    self.listening.set()
                    self.since = time.monotonic()
                    if missed:
                        self._on_change(None)
                    if self._problem:
                        log.warning("listening for changes again")
                        self._problem = ""
                try:
                    await asyncio.wait_for(lost.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    await connection.execute("select 1", timeout=5)
        finally:
            connection.terminate()

    def _receive(self, payload: str) -> None:
        if payload == self._token:
            self._beat.set()
        elif not payload.startswith(HEARTBEAT):
            self._on_change(payload)

    async def _receives_heartbeat(self, lost: asyncio.Event) -> bool:
        """Whether a NOTIFY through the pool arrives here; one that cannot be sent proves nothing."""
        self._token = f"{HEARTBEAT} {uuid4()}"
        self._beat.clear()
        try:
            await ask("the channel", self._pool.execute(NOTIFY, [self._token]))
        except Exception as error:
            log.debug("the heartbeat was not sent: %s", error)
            return not lost.is_set()
        try:
            await asyncio.wait_for(self._beat.wait(), ARRIVAL_SECONDS)
        except TimeoutError:
            self._warn(POOLED)
            return False
        return not lost.is_set()

    def _warn(self, problem: str) -> None:
        """Log a problem at most once a minute; a wrong setting only once, because it does not change."""
        if problem == POOLED:
            if self._problem != POOLED:
                log.error("%s", POOLED)
        elif time.monotonic() - self._warned >= WARNING_SECONDS:
            self._warned = time.monotonic()
            log.warning("%s", problem)
        self._problem = problem


CHANNEL: web.AppKey[Channel] = web.AppKey("channel")
