"""Thousands of WebSocket clients in one process, which does as little as possible for each frame.

    python -m tests.bench.receivers ADDRESS PATH COUNT

Prints `connected`, then for every broadcast `broadcast SECONDS BYTES`: from the first client that has the frame to the
last one, and the payload's size. Ends when its stdin does.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from urllib.parse import urlsplit

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
AT_ONCE = 100
TEXT, CLOSE, PING = 1, 8, 9
RECEIVE_BYTES = 1 << 16


def connect(address: str, path: str, count: int) -> dict[int, socket.socket]:
    """Open sockets, a hundred handshakes at a time."""
    parts = urlsplit(address)
    handshake = HANDSHAKE.format(path=path, host=parts.netloc).encode()
    sockets: dict[int, socket.socket] = {}
    while len(sockets) < count:
        fresh = [
            socket.create_connection((parts.hostname, parts.port)) for _ in range(min(AT_ONCE, count - len(sockets)))
        ]
        for client in fresh:
            client.sendall(handshake)
        for client in fresh:
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):  # nothing follows: no server here sends a frame at connect
                answer += client.recv(1)
            assert answer.startswith(b"HTTP/1.1 101"), answer
            client.setblocking(False)
            sockets[client.fileno()] = client
    return sockets


def frame(data: bytes) -> tuple[int, int, int]:
    """Return the first frame's opcode, its size with its head, and its payload's; the size is 0 if it is not whole."""
    if len(data) < 2:
        return 0, 0, 0
    head, size = 2, data[1] & 0x7F
    if size >= 126:
        head = 4 if size == 126 else 10
        if len(data) < head:
            return 0, 0, 0
        size = int.from_bytes(data[2:head], "big")
    whole = len(data) >= head + size
    return data[0] & 0x0F, head + size if whole else 0, size


def main() -> None:
    address, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    sockets = connect(address, path, count)
    print("connected", flush=True)
    poll = select.epoll()
    for number in sockets:
        poll.register(number, select.EPOLLIN)
    poll.register(0, select.EPOLLIN | select.EPOLLHUP)
    partial: dict[int, bytes] = {}
    first, arrived = 0.0, 0
    while True:
        for number, _ in poll.poll():
            if number == 0:
                return
            data = sockets[number].recv(RECEIVE_BYTES)
            assert data, "the server closed a socket"
            if number in partial:
                data = partial.pop(number) + data
            while data:
                opcode, size, payload = frame(data)
                if not size:
                    partial[number] = data
                    break
                if opcode == TEXT:
                    arrived += 1
                    if arrived == 1:
                        first = time.perf_counter()
                    if arrived == count:
                        print(f"broadcast {time.perf_counter() - first:.6f} {payload}", flush=True)
                        arrived = 0
                elif opcode == PING:
                    sockets[number].send(bytes([0x8A, 0x80 | payload, 0, 0, 0, 0]) + data[size - payload : size])
                assert opcode != CLOSE, "the server closed a socket"
                data = data[size:]


if __name__ == "__main__":
    main()
