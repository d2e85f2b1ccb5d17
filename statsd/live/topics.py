"""Topics and their clients: a change costs one query and one encoding, however many clients there are.

Frames are snapshots, so the latest wins: a slow client skips the ones in between and always gets the last. No client
waits for another: each has an outbox, and a task of its own that empties it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from weakref import WeakSet

from aiohttp import web

from statsd import metrics
from statsd.database import sql
from statsd.database.pool import Pool, ask, compact
from statsd.errors import DatabaseAway
from statsd.stream import View

RETRY_SECONDS = 1.0  # after a query that failed
PACE_SECONDS = 0.25  # at most four frames a second per topic: more than an eye can follow
MOST_FRAMES = 16  # cached per snapshot (LRU); clients with their own `limit` or `since` cannot share one
STALL_SECONDS = 30.0  # a client that takes nothing for so long is dropped

Framing = Callable[[bytes], bytes]
"""Wraps an encoded payload into the frame of a protocol."""

log = logging.getLogger("statsd.live")


class Snapshot:
    """The encoded payload of a topic at one moment.

    `frame` wraps it: the same bytes for every client with this framing, while they are cached.
    """

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.frame: Callable[[Framing], bytes] = lru_cache(MOST_FRAMES)(lambda framing: framing(payload))


class Client:
    """One live connection: its subscriptions, and the frames that wait for it.

    `send` writes one frame and may wait while the peer's buffers are full; no other client waits with it.
    """

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._pending: dict[str, bytes] = {}
        self._ready = asyncio.Event()
        self._ending = False
        self.framings: dict[str, Framing] = {}  # its subscriptions, by topic

    def offer(self, topic: str, snapshot: Snapshot) -> None:
        """Queue the snapshot's frame in place of an older one of the same topic. Never waits."""
        if framing := self.framings.get(topic):
            if topic in self._pending:
                metrics.FRAMES_SKIPPED.inc()
            self._pending[topic] = snapshot.frame(framing)
            self._ready.set()

    def keep_alive(self, frame: bytes) -> None:
        """Queue a frame that only shows that the server is there, unless another frame waits already."""
        if not self._pending:
            self._pending[""] = frame
            self._ready.set()

    def end(self) -> None:
        """Let `run` return once the outbox is empty."""
        self._ending = True
        self._ready.set()

    async def run(self) -> None:
        """Send frames, the topic that waited longest first. Raises TimeoutError if the peer takes nothing for 30 s."""
        while not self._ending or self._pending:
            await self._ready.wait()
            while self._pending:
                topic = next(iter(self._pending))
                frame = self._pending.pop(topic)
                try:
                    async with asyncio.timeout(STALL_SECONDS):
                        await self._send(frame)
                except TimeoutError:
                    log.warning("a client took nothing for %g s and was dropped", STALL_SECONDS)
                    metrics.CLIENTS_DROPPED.labels("stalled").inc()
                    raise
                metrics.FRAMES.labels(topic).inc()
            if not self._ending:
                self._ready.clear()


class Topic:
    """A view of a stream under a name, and the clients that subscribe to it."""

    def __init__(self, name: str, pool: Pool, view: View) -> None:
        self.name = name
        self.view = view
        self.clients: WeakSet[Client] = WeakSet()
        self._query = sql.load(self.view.file or self.view.stream)[self.view.query]
        self._pool = pool
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
        """Broadcast after every change, at most once in 0.25 s, until cancelled; the last change is never dropped."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            if self.clients and not await self._broadcast_new():
                self.changed.set()
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(PACE_SECONDS)

    async def _broadcast_new(self) -> bool:
        """Broadcast a new snapshot; return whether there was one."""
        try:
            self.broadcast(await self.snapshot())
            self._failing = False
        except Exception as error:  # a query that fails on some row must not stop the program, which stores the rows
            away = isinstance(error, DatabaseAway)
            level = logging.DEBUG if self._failing else logging.WARNING if away else logging.ERROR
            log.log(level, "%s: the snapshot failed: %s", self.name, error, exc_info=not away)
            self._failing = True
        return not self._failing

    def broadcast(self, snapshot: Snapshot) -> None:
        """Offer a snapshot to every client of the topic."""
        for client in set(self.clients):
            client.offer(self.name, snapshot)


class Hub:
    """All topics, and every open WebSocket."""

    def __init__(self, topics: dict[str, Topic]) -> None:
        self.topics = topics
        self.sockets: WeakSet[web.WebSocketResponse] = WeakSet()

    def changed(self, stream: str | None) -> None:
        """Report that a stream may have changed, or (None) that any may have; unknown names are ignored."""
        for topic in self.topics.values():
            if stream is None or stream == topic.view.stream or stream in topic.view.follows:
                topic.changed.set()

    def subscribe(self, client: Client, framings: dict[str, Framing]) -> None:
        """Replace the client's subscriptions: topic name → framing."""
        client.framings = framings
        for name, topic in self.topics.items():
            (topic.clients.add if name in framings else topic.clients.discard)(client)


HUB: web.AppKey[Hub] = web.AppKey("hub")
