"""Server-sent events (WHATWG HTML §9.2): a topic as an endless answer to a GET, for whoever can speak HTTP.

One event when it begins, one after every change. The id of an event is a digest of what it says, so that all servers
give the same state the same id, before and after a restart: whoever comes back with it in `Last-Event-ID` is sent what
changed, or nothing.

A browser's EventSource that is answered with an error never comes back. Where there is no room for it, its answer is an
empty stream that says when to try again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from weakref import WeakSet

from aiohttp import web

from statsd import metrics
from statsd.errors import BadRequest, DatabaseAway
from statsd.live.topics import HUB, STALL_SECONDS, Client, Framing
from statsd.settings import Network
from statsd.web.addresses import client_address, client_network, is_within
from statsd.web.asked import weights

KEEP_ALIVE_SECONDS = 15.0  # proxies and their like drop what is silent for longer
CLOSE_SECONDS = 2.0
MOST_LISTENERS = 10_000
MOST_PER_ADDRESS = 100  # a company behind one address; beside them, a program that forgets to close what it opened

RETRY = b"retry: 3000\n\n"
RETRY_LATER = b"retry: 15000\n\n"
KEEP_ALIVE = b": still here\n\n"
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would wait until it has a page full
}
ID = b"id: "
ID_CHARACTERS = 16

log = logging.getLogger("statsd.sse")


def event(payload: bytes) -> bytes:
    """Framing a payload, JSON in one line, as an event."""
    digest = blake2b(payload, digest_size=ID_CHARACTERS // 2).hexdigest().encode()
    return b"".join((ID, digest, b"\ndata: ", payload, b"\n\n"))


def accepted(request: web.Request) -> set[str]:
    """Return the media types, in lower case, that the client names and wants."""
    return {media for media, weight in weights(request).items() if weight}


class Listener:
    """One open answer. `ended` is done when its handler is."""

    def __init__(self, request: web.Request) -> None:
        self.client = Client(self._send)
        self.address = client_address(request)
        self.response = web.StreamResponse(headers=HEADERS)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._seen = ID + request.headers.get("Last-Event-ID", "").encode(errors="replace")

    async def _send(self, frame: bytes) -> None:
        """Write a frame, unless it says what the peer knows already."""
        if frame.startswith(ID):
            id = frame[: len(ID) + ID_CHARACTERS]
            if id == self._seen:
                return
            self._seen = id
        await self.response.write(frame)

    def abort(self) -> None:
        """Cut the connection off: closing would wait until a stalled peer takes what is buffered."""
        if self._request.transport is not None:
            self._request.transport.abort()


class Listeners:
    """Every open answer of this server; of one address only so many, unless it is in an `exempt` network."""

    def __init__(self, exempt: Sequence[Network] = ()) -> None:
        self.open: WeakSet[Listener] = WeakSet()
        self._exempt = exempt
        self._places: Counter[str] = Counter()
        self._stopping = False

    def add(self, listener: Listener) -> None:
        """Raises BadRequest (503) when there are too many, or the server stops."""
        place = client_network(listener.address)
        if self._stopping:
            raise BadRequest(503, "the server is stopping: try again later")
        if len(self.open) >= MOST_LISTENERS:
            raise BadRequest(503, f"{MOST_LISTENERS} streams are open already: try again later")
        if self._places[place] >= MOST_PER_ADDRESS and not is_within(listener.address, self._exempt):
            raise BadRequest(503, f"{MOST_PER_ADDRESS} streams of your address are open already: close some")
        self.open.add(listener)
        self._places[place] += 1

    def discard(self, listener: Listener) -> None:
        place = client_network(listener.address)
        self.open.discard(listener)
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]

    async def keep_alive(self) -> None:
        """Show everybody now and then that we are there; who is gone is noticed by that."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            for listener in set(self.open):
                listener.client.keep_alive(KEEP_ALIVE)

    async def close_all(self) -> None:
        """End every answer where it is complete; one that takes nothing is cut off."""
        self._stopping = True
        listeners = set(self.open)
        for listener in listeners:
            listener.client.end()
        await _all_ended(listeners)
        for listener in listeners:
            if not listener.ended.done():
                listener.abort()


async def _all_ended(listeners: Iterable[Listener]) -> None:
    if endings := [listener.ended for listener in listeners]:
        await asyncio.wait(endings, timeout=CLOSE_SECONDS)


LISTENERS: web.AppKey[Listeners] = web.AppKey("listeners")


async def respond(request: web.Request, topic: str, framing: Framing = event) -> web.StreamResponse:
    """Answer with what a topic says now and after every change, until the peer leaves, stalls, or the server stops.

    While the database is away the answer begins all the same, and its first event comes when the database is back: a
    browser that is refused does not try again. Raises BadRequest (503) when too many are open, unless the client says
    that it takes event streams: it gets one that ends at once.
    """
    if request.method == "HEAD":
        return web.Response(headers=HEADERS)
    listener = Listener(request)
    try:
        request.app[LISTENERS].add(listener)
    except BadRequest:
        if "text/event-stream" not in accepted(request):
            raise
        return web.Response(body=RETRY_LATER, headers=HEADERS)
    metrics.CLIENTS.inc()
    try:
        await listener.response.prepare(request)
        await listener.response.write(RETRY)
        await _listen(request, listener, topic, framing)
    except TimeoutError:
        log.warning("a client took nothing for %g s and was dropped", STALL_SECONDS)
        metrics.CLIENTS_DROPPED.labels("stalled").inc()
        listener.abort()
    except ConnectionResetError:
        pass  # it left, as all do
    finally:
        metrics.CLIENTS.dec()
        request.app[LISTENERS].discard(listener)
        listener.ended.set_result(None)
    return listener.response


async def _listen(request: web.Request, listener: Listener, topic: str, framing: Framing) -> None:
    hub = request.app[HUB]
    hub.subscribe(listener.client, {topic: framing})  # before the snapshot: no change falls between
    try:
        with suppress(DatabaseAway):
            listener.client.offer(topic, await hub.topics[topic].snapshot())
        await listener.client.run()
    finally:
        hub.subscribe(listener.client, {})
