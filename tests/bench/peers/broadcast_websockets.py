"""`websockets` broadcasts so many bytes to every client at each line on stdin."""

# mypy: ignore-errors

import asyncio
import logging
import sys

import uvloop
from websockets.asyncio.server import broadcast, serve

sockets = set()


async def converse(socket):
    sockets.add(socket)
    try:
        await socket.wait_closed()
    finally:
        sockets.discard(socket)


async def main():
    logging.disable(logging.INFO)
    payload = "x" * int(sys.argv[1])
    async with serve(converse, "127.0.0.1", 0, compression=None) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while await lines.readline():
            broadcast(sockets, payload)


uvloop.run(main())
