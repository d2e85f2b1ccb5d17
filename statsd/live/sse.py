"""Server-sent events (WHATWG HTML §9.2): a topic as an endless response to a GET.

One event at the start, and one after every change. The id of an event is a digest of its payload, so all servers give
the same state the same id, before and after a restart. A client that reconnects with it in `Last-Event-ID` gets an
event only if the state has changed.

A browser's EventSource does not reconnect after an error status. When there are too many, it gets an empty stream with
the time after which to try again (`retry`).
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

from aiohttp import web

from statsd import metrics
from statsd.errors import BadRequest, DatabaseAway
from statsd.live.client import SLICE, Client, Framing
from statsd.live.places import Places
from statsd.live.topics import HUB
from statsd.web.addresses import client_address
from statsd.web.asked import weights
from statsd.web.grants import held

KEEP_ALIVE_SECONDS = 15.0  # proxies close a connection that is silent for longer
CLOSE_SECONDS = 2.0

RETRY = b"retry: 3000\n\n"
RETRY_LATER = b"retry: 15000\n\n"
KEEP_ALIVE = b": still here\n\n"
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # otherwise nginx sends only full buffers
}
LAST_ID = "lastEventId"  # the parameter of scripts that stand in for EventSource, and cannot send the header
ID = b"id: "
ID_CHARACTERS = 16
ID_WITHIN = 16  # the bytes in which it begins: the size of a chunk may stand before it


def event(payload: bytes) -> bytes:
    """Framing of a payload, JSON in one line, as an event."""
    digest = blake2b(payload, digest_size=ID_CHARACTERS // 2).hexdigest().encode()
    return b"".join((ID, digest, b"\ndata: ", payload, b"\n\n"))


def accepted(request: web.Request) -> set[str]:
    """Return the media types of the `Accept` header with a weight above 0, in lower case."""
    return {media for media, weight in weights(request).items() if weight}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Framing of an event as a chunk of a response without a length (RFC 9112 §7.1)."""

    event: Framing

    def __call__(self, payload: bytes) -> bytes:
        return chunk(self.event(payload))


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


class Connection(Client):
    """One open response: its handler runs until `ending` is done, and then `ended` is done."""

    __slots__ = ("_last_id", "address", "ended", "ending", "response")

    def __init__(self, request: web.Request) -> None:
        super().__init__(request)
        self.address = client_address(request)
        self.response = web.StreamResponse(headers=HEADERS)
        loop = asyncio.get_running_loop()
        self.ending: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        last_id = request.headers.get("Last-Event-ID") or request.query.get(LAST_ID, "")
        self._last_id = ID + last_id.encode(errors="replace")

    def framing(self, event: Framing) -> Framing:
        """Return the framing of an event in this response: HTTP/1.0 has no chunks."""
        return Chunk(event) if "Transfer-Encoding" in self.response.headers else event

    def keep_alive(self) -> None:
        """Send a comment, unless a frame waits already."""
        if not self._outbox:
            self.offer("", self.framing(bytes)(KEEP_ALIVE))

    def end(self) -> None:
        """Let the handler return once the outbox is empty."""
        if not self.ending.done():
            self.ending.set_result(None)

    left = end

    def abort(self) -> None:
        """Abort the connection: closing would wait until a stalled peer takes the buffered frames."""
        self._transport.abort()

    def _write(self, frame: bytes) -> None:
        """Write a frame, unless the client has this state already."""
        start = frame.find(ID, 0, ID_WITHIN)
        if start >= 0:
            id = frame[start : start + len(ID) + ID_CHARACTERS]
            if id == self._last_id:
                return
            self._last_id = id
        self._transport.write(frame)


class Connections:
    """The open responses of this server."""

    def __init__(self, places: Places) -> None:
        self.open: set[Connection] = set()
        self._places = places
        self._stopping = False

    def add(self, connection: Connection) -> None:
        """Count a connection. Raises BadRequest (503) when there are too many, or the server is stopping."""
        if self._stopping:
            raise BadRequest(503, "the server is stopping: try again later")
        self._places.take(connection.address)
        self.open.add(connection)

    def discard(self, connection: Connection) -> None:
        self.open.discard(connection)
        self._places.give_back(connection.address)

    async def keep_alive(self) -> None:
        """Send every client a comment every 15 s, which also detects clients that are gone; run until cancelled."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            await self._keep_alive_once()

    async def _keep_alive_once(self) -> None:
        for number, connection in enumerate(list(self.open), 1):
            connection.keep_alive()
            if number % SLICE == 0:
                await asyncio.sleep(0)

    async def close_all(self) -> None:
        """End every response once its outbox is empty; abort those of stalled clients."""
        self._stopping = True
        connections = set(self.open)
        for connection in connections:
            connection.end()
        if connections:
            await asyncio.wait([connection.ended for connection in connections], timeout=CLOSE_SECONDS)
        for connection in connections:
            if not connection.ended.done():
                connection.abort()


CONNECTIONS: web.AppKey[Connections] = web.AppKey("connections")


async def respond(request: web.Request, topic: str, framing: Framing = event) -> web.StreamResponse:
    """Stream a topic's snapshot now and after every change, until the peer leaves or stalls, or the server stops.

    While the database is away the response starts all the same, and its first event comes when the database is back: a
    browser does not retry after an error. Raises BadRequest (503) when too many are open, except for a client that
    accepts text/event-stream: it gets an empty stream.
    """
    if request.method == "HEAD":
        return web.Response(headers=HEADERS)
    try:
        connection = Connection(request)
        request.app[CONNECTIONS].add(connection)
    except ConnectionResetError:
        return web.Response()  # the client has left already
    except BadRequest:
        if "text/event-stream" not in accepted(request):
            raise
        return web.Response(body=RETRY_LATER, headers=HEADERS)
    hub = request.app[HUB]
    metrics.CLIENTS.inc()
    try:
        async with connection.stall:
            await connection.response.prepare(request)
            await connection.response.write(RETRY)
            hub.subscribe(connection, {topic: connection.framing(framing)})  # before the snapshot: misses no change
            with suppress(DatabaseAway):
                await hub.topics[topic].greet(connection)
            with held(request, connection.end):
                await connection.ending
            await connection.flush()
    except TimeoutError:
        connection.abort()
    except ConnectionResetError:
        pass  # the client left
    finally:
        hub.subscribe(connection, {})
        connection.close()
        metrics.CLIENTS.dec()
        request.app[CONNECTIONS].discard(connection)
        connection.ended.set_result(None)
    return connection.response
