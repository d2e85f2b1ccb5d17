"""Topics and their clients: a change costs one query and one encoding, however many clients there are."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from weakref import WeakSet

from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import Pool, ask, compact
from statsd.errors import DatabaseAway
from statsd.live.client import SLICE, Client, Framing, Snapshot
from statsd.stream import View

RETRY_SECONDS = 1.0  # after a query that failed
PACE_SECONDS = 0.25  # by default: four frames a second per topic: more than an eye can follow

log = logging.getLogger("statsd.live")


class Topic:
    """A view of a stream under a name, and the clients that subscribe to it."""

    def __init__(self, name: str, pool: Pool, view: View, pace: float = PACE_SECONDS) -> None:
        self.name = name
        self.view = view
        self.clients: dict[Client, Framing] = {}
        self._due: dict[Client, Framing] = {}  # the clients that a broadcast has not reached yet
        self._query = sql.load(self.view.file or self.view.stream)[self.view.query]
        self._pool = pool
        self._pace = pace
        self._running: asyncio.Task[Snapshot] | None = None
        self._next: asyncio.Task[Snapshot] | None = None
        self.changed = asyncio.Event()  # set when the snapshot may have changed: `run` broadcasts a new one
        self._failing = False  # the failure is logged; repeats are logged as debug until a query succeeds

    async def snapshot(self) -> Snapshot:
        """Return a snapshot with everything committed before the call; concurrent callers share one query.

        Raises DatabaseAway.
        """
        if self._next is None:
            # The running query began before this call, and may not see what the caller just stored.
            self._next = asyncio.create_task(self._query_after(self._running), name=f"snapshot {self.name}")
        return await asyncio.shield(self._next)

    async def _query_after(self, running: asyncio.Task[Snapshot] | None) -> Snapshot:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None
        arguments = (datetime.now(UTC),) if self.view.arguments is None else self.view.arguments
        text: str = await ask("statistics", self._pool.fetchval(self._query, *arguments))
        return Snapshot(compact(text))

    async def run(self) -> None:
        """Broadcast after every change, once in `pace` seconds, until cancelled; the last change is never dropped."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            began = time.monotonic()
            if self.clients and not await self._broadcast_new():
                self.changed.set()
                await asyncio.sleep(RETRY_SECONDS)
            took = time.monotonic() - began
            await asyncio.sleep(max(self._pace - took, min(self._pace, took)))  # a slow query gets a rest, too

    async def _broadcast_new(self) -> bool:
        """Broadcast a new snapshot; return whether there was one."""
        try:
            await self.broadcast(await self.snapshot())
            self._failing = False
        except Exception as error:  # a query that fails on some row must not stop the program, which stores the rows
            away = isinstance(error, DatabaseAway)
            level = logging.DEBUG if self._failing else logging.WARNING if away else logging.ERROR
            log.log(level, "%s: the snapshot failed: %s", self.name, error, exc_info=not away)
            self._failing = True
        return not self._failing

    async def broadcast(self, snapshot: Snapshot) -> None:
        """Offer a snapshot to every client, unless it is offered a newer one meanwhile; other work runs in between."""
        due = self._due = self.clients.copy()
        while due:
            written = 0
            for _ in range(min(SLICE, len(due))):
                client, framing = due.popitem()
                written += client.offer(self.name, snapshot.frame(framing))
            metrics.FRAMES.labels(self.name).inc(written)
            await asyncio.sleep(0)

    async def greet(self, client: Client) -> None:
        """Offer a client a snapshot of its own. Raises DatabaseAway."""
        self._offer(client, await self.snapshot())

    def overtake(self, client: Client, snapshot: Snapshot) -> None:
        """Offer a snapshot that the client gets otherwise, too, in place of an older one of a running broadcast."""
        if client in self._due:
            self._offer(client, snapshot)

    def _offer(self, client: Client, snapshot: Snapshot) -> None:
        self._due.pop(client, None)
        if (framing := self.clients.get(client)) and client.offer(self.name, snapshot.frame(framing)):
            metrics.FRAMES.labels(self.name).inc()

    def subscribe(self, client: Client, framing: Framing | None) -> None:
        """Set the framing of a client, or (None) forget the client."""
        if framing is None:
            self.clients.pop(client, None)
            self._due.pop(client, None)
        else:
            self.clients[client] = framing
            if client in self._due:
                self._due[client] = framing


class Hub:
    """All topics, and every open WebSocket."""

    def __init__(self, topics: dict[str, Topic]) -> None:
        self.topics = topics
        self.sockets: WeakSet[web.WebSocketResponse] = WeakSet()
        self._closed = False

    def changed(self, stream: str | None) -> None:
        """Report that a stream may have changed, or (None) that any may have; unknown names are ignored."""
        for topic in self.topics.values():
            if stream is None or stream == topic.view.stream or stream in topic.view.follows:
                topic.changed.set()

    def subscribe(self, client: Client, framings: dict[str, Framing]) -> None:
        """Replace the client's subscriptions: topic name → framing."""
        for name, topic in self.topics.items():
            topic.subscribe(client, None if self._closed else framings.get(name))

    def close(self) -> None:
        """Forget all subscriptions for good, before the sockets are closed: no frame may follow a close frame."""
        self._closed = True
        for topic in self.topics.values():
            for client in list(topic.clients):
                topic.subscribe(client, None)


HUB: web.AppKey[Hub] = web.AppKey("hub")
