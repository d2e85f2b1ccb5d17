"""WebSockets of the plainest kind: what comes over the wire, and when it is read, is up to the test."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def stalled_socket(client: Any, path: str = "/ws") -> socket.socket:
    """A WebSocket that shook hands with a small receive buffer, and reads nothing."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.to_thread(raw.connect, ("127.0.0.1", client.port))
    raw.sendall(REQUEST.format(path=path, port=client.port).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # and not a byte of the frame that may follow at once
        byte = await asyncio.to_thread(raw.recv, 1)
        assert byte, head
        head += byte
    return raw


async def read_frame(raw: socket.socket) -> tuple[int, bytes]:
    """Read the next frame of a server: its first byte, and its payload."""

    def read(size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = raw.recv(min(size - len(parts), 1 << 20))
            assert part, "the connection ended within a frame"
            parts += part
        return parts

    def read_whole() -> tuple[int, bytes]:
        first, size = read(2)
        if size > 125:
            size = int.from_bytes(read(2 if size == 126 else 8), "big")
        return first, read(size)

    return await asyncio.to_thread(read_whole)
