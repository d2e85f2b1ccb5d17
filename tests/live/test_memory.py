"""A closed connection is freed at once, without the collector; the collector runs on a schedule for the rest."""

from __future__ import annotations

import gc
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from weakref import ref

import pytest
from sockets import stalled_socket
from waiting import until

from statsd import app
from statsd.live import client as live_client
from statsd.live import sse, websocket
from statsd.live.client import Snapshot
from statsd.live.sse import CONNECTIONS
from statsd.live.topics import HUB

Start = Callable[..., Awaitable[Any]]


class Node:
    """An object that keeps itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # as the program does, so that a collection takes no time
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def masked(first: int, payload: bytes) -> bytes:
    """A frame of a client, with a mask of zeros."""
    return bytes((first, 0xFF)) + len(payload).to_bytes(8, "big") + bytes(4) + payload


def end_by_close(raw: socket.socket) -> None:
    raw.sendall(masked(0x88, (1000).to_bytes(2, "big")))


def end_by_eof(raw: socket.socket) -> None:
    raw.shutdown(socket.SHUT_RDWR)


def end_by_reset(raw: socket.socket) -> None:
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def end_by_large_message(raw: socket.socket) -> None:
    raw.sendall(masked(0x81, b"x" * 70_000))


def end_by_stalling(raw: socket.socket) -> None:
    """Reads nothing of a large frame."""


@pytest.mark.parametrize("path", ["/ws", "/events/ws"])
@pytest.mark.parametrize("end", [end_by_close, end_by_eof, end_by_reset, end_by_large_message, end_by_stalling])
@pytest.mark.usefixtures("no_collector")
async def test_closed_socket_is_freed_without_the_collector(
    start: Start, monkeypatch: pytest.MonkeyPatch, path: str, end: Callable[[socket.socket], None]
) -> None:
    monkeypatch.setattr(app, "COLLECT_CHECK_SECONDS", 3600.0)
    monkeypatch.setattr(live_client, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.2)
    client = await start()
    client.server.runner.server.handler_cancellation = False  # as in `serve`, and other than in a TestServer
    raws = [await stalled_socket(client, path) for _ in range(3)]
    hub = client.app[HUB]
    await until(lambda: len(hub.sockets) == 3)
    refs = [ref(open_socket) for open_socket in hub.sockets]
    for raw in raws:
        end(raw)
    if end is end_by_stalling:
        for topic in ("logins", "webhooks"):
            await hub.topics[topic].broadcast(Snapshot(b"x" * 8_000_000))
    await until(lambda: not any(freed() for freed in refs))
    for raw in raws:
        raw.close()


@pytest.mark.usefixtures("no_collector")
async def test_ended_stream_is_freed_without_the_collector(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "COLLECT_CHECK_SECONDS", 3600.0)
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.05)
    client = await start()
    client.server.runner.server.handler_cancellation = False
    response = await client.get("/statistics/transfers/day")
    freed = ref(next(iter(client.app[CONNECTIONS].open)).response)
    response.close()
    await until(lambda: not freed())


@pytest.mark.usefixtures("no_collector")
async def test_cycles_are_collected_from_time_to_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "COLLECT_CHECK_SECONDS", 0.01)
    await start()
    freed = ref(Node())
    await until(lambda: not freed())


@pytest.mark.usefixtures("no_collector")
async def test_cycles_are_collected_once_the_crowd_has_left(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "COLLECT_CHECK_SECONDS", 0.0)  # in every turn of the event loop
    monkeypatch.setattr(app, "CHECKS_PER_COLLECTION", 1_000_000_000)
    monkeypatch.setattr(app, "FEW_CLIENTS", 0)
    client = await start()
    freed = ref(Node())
    async with client.ws_connect("/ws"):
        for _ in range(20):
            await client.get("/livez")
        assert freed()
    await until(lambda: not freed())
