"""A crowd in one process: sockets and event streams that note when each change arrives, and sockets that never read.

    python -m tests.bench.crowd_clients ADDRESS SOCKETS STREAMS SILENT FILE

Prints `connected`. Ends when its stdin does, and leaves in FILE pairs of doubles: the number of stored events that a
frame tells of, and when it came (CLOCK_MONOTONIC); those of sockets first, then -1, then those of streams.
"""

from __future__ import annotations

import re
import select
import socket
import sys
import time
from array import array
from pathlib import Path
from urllib.parse import urlsplit

from .receivers import PING, RECEIVE_BYTES, TEXT, connect, frame

STREAM = "GET /statistics/item-creation/year HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"
LOGINS, ITEMS = re.compile(rb'"totalSessions":(\d+)'), re.compile(rb'"count":(\d+)')


def open_streams(address: str, count: int) -> dict[int, socket.socket]:
    parts = urlsplit(address)
    streams = {}
    for _ in range(count):
        client = socket.create_connection((parts.hostname, parts.port))
        client.sendall(STREAM.format(host=parts.netloc).encode())
        client.setblocking(False)
        streams[client.fileno()] = client
    return streams


class Crowd:
    """The clients that read, and what came to them."""

    def __init__(self, sockets: dict[int, socket.socket], streams: dict[int, socket.socket]) -> None:
        self._sockets, self._streams = sockets, streams
        self._partial: dict[int, bytes] = {}
        self.of_sockets, self.of_streams = array("d"), array("d")

    def run(self) -> None:
        """Read until stdin ends."""
        poll = select.epoll()
        for number in (*self._sockets, *self._streams):
            poll.register(number, select.EPOLLIN)
        poll.register(0, select.EPOLLIN | select.EPOLLHUP)
        while True:
            for number, _ in poll.poll():
                if number == 0:
                    return
                if number in self._sockets:
                    self._read_socket(number)
                elif found := ITEMS.search(self._streams[number].recv(RECEIVE_BYTES)):
                    self.of_streams.extend((int(found[1]), time.monotonic()))

    def _read_socket(self, number: int) -> None:
        received = self._sockets[number].recv(RECEIVE_BYTES)
        assert received, "the server closed a socket"
        data = self._partial.pop(number, b"") + received
        while data:
            opcode, size, payload = frame(data)
            if not size:
                self._partial[number] = data
                return
            if opcode == TEXT and (found := LOGINS.search(data, 0, size)):
                self.of_sockets.extend((int(found[1]), time.monotonic()))
            elif opcode == PING:
                pong = bytes([0x8A, 0x80 | payload, 0, 0, 0, 0]) + data[size - payload : size]
                self._sockets[number].send(pong)
            data = data[size:]


def main() -> None:
    address, (sockets, streams, silent), file = sys.argv[1], map(int, sys.argv[2:5]), Path(sys.argv[5])
    crowd = Crowd(connect(address, "/ws", sockets), open_streams(address, streams))
    never_read = connect(address, "/ws", silent)
    print("connected", flush=True)
    crowd.run()
    file.write_bytes((crowd.of_sockets + array("d", [-1.0]) + crowd.of_streams).tobytes())
    assert len(never_read) == silent


if __name__ == "__main__":
    main()
