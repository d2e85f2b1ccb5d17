"""A client of topics: its subscriptions, and the frames that wait for it.

Frames are snapshots, so the latest wins: a slow client skips the ones in between and always gets the last. No client
waits for another.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache

from aiohttp import web

from statsd import metrics

MOST_FRAMES = 16  # cached per snapshot (LRU); clients with their own `limit` or `since` cannot share one
STALL_SECONDS = 30.0  # a client that takes nothing for so long is dropped
SLICE = 200  # clients that are written to in a row: about 2 ms, in which the event loop does nothing else

Framing = Callable[[bytes], bytes]
"""Wraps an encoded payload into the bytes that a protocol puts on the wire."""

log = logging.getLogger("statsd.live")


class Snapshot:
    """The encoded payload of a topic at one moment.

    `frame` wraps it: the same bytes for every client with this framing, while they are cached.
    """

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.frame: Callable[[Framing], bytes] = lru_cache(MOST_FRAMES)(lambda framing: framing(payload))


class Client:
    """One live connection, whose handler runs inside `stall`.

    A frame goes straight to the transport if nothing waits there. Otherwise it goes to the outbox, in place of an older
    frame of its topic, and a task writes the outbox as the peer takes it; no task runs while nothing waits.
    """

    __slots__ = ("_outbox", "_protocol", "_sending", "_transport", "_writer", "stall")

    def __init__(self, request: web.Request) -> None:
        if request.transport is None:
            raise ConnectionResetError("the peer has left")
        self.stall = asyncio.timeout(None)  # raises TimeoutError in the handler if the peer takes nothing for 30 s
        self._transport, self._protocol, self._writer = request.transport, request.protocol, request.writer
        self._outbox: dict[str, bytes] = {}
        self._sending: asyncio.Task[None] | None = None

    def is_closing(self) -> bool:
        """Whether no frame may be written any more, although the client has not unsubscribed yet."""
        return self._transport.is_closing()

    def left(self) -> None:
        """Called when a frame finds the connection closing."""

    def offer(self, topic: str, frame: bytes) -> bool:
        """Write a frame if nothing waits, and return True; otherwise queue it. Never waits."""
        transport = self._transport
        if transport.is_closing():
            self.left()
            return False
        if self._sending is None and not transport.get_write_buffer_size():
            self._write(frame)
            if transport.get_write_buffer_size():
                self._start_sending()  # only watches whether the peer takes it
            return True
        if topic in self._outbox:
            metrics.FRAMES_SKIPPED.inc()
        self._outbox[topic] = frame
        self._start_sending()
        return False

    def _start_sending(self) -> None:
        if self._sending is None:
            self._sending = asyncio.create_task(self._empty_outbox(), name="outbox")

    def _write(self, frame: bytes) -> None:
        self._transport.write(frame)

    async def _empty_outbox(self) -> None:
        """Write the outbox, the topic that waited longest first, until nothing waits."""
        try:
            while True:
                if self._protocol.writing_paused:
                    await self._room()
                if self.is_closing():
                    return self.left()
                if not self._outbox:
                    return None
                topic = next(iter(self._outbox))
                self._write(self._outbox.pop(topic))
                metrics.FRAMES.labels(topic).inc()
        except ConnectionError:
            self.left()
        finally:
            self._sending = None

    async def _room(self) -> None:
        """Wait until the peer has taken enough; after 30 s, end the handler.

        A timeout around `drain` would also cancel the others that wait for the same transport.
        """
        timer = asyncio.get_running_loop().call_later(STALL_SECONDS, self._stalled)
        try:
            await self._writer.drain()
        finally:
            timer.cancel()

    def _stalled(self) -> None:
        if self._sending is None:
            return  # the handler has just ended
        log.warning("a client took nothing for %g s and was dropped", STALL_SECONDS)
        metrics.CLIENTS_DROPPED.labels("stalled").inc()
        self.stall.reschedule(asyncio.get_running_loop().time())

    async def flush(self) -> None:
        """Wait until nothing waits."""
        if self._sending is not None:
            await self._sending

    def close(self) -> None:
        """Drop what waits."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
