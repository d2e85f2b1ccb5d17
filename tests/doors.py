"""The two doors of one application, with and without the lean front, and connections to them without a network."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestClient
from items import BIKE
from waiting import until

from statsd.ingest.lean import Front
from statsd.web.protocol import Server

ITEM = "00000000-0000-4000-8000-000000000000"
"""Stands for an item of the request's own, as a transfer changes what the next one means."""
TOKEN = "token"
"""Stands for a user's token."""
IDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIMES = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)|\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT")
TABLES = ("page_events", "webhook_events", "user_logins", "items", "transfers", "feature_clicks")
ADD_ITEMS = "insert into items (base_item_id, folded) select $1, true from generate_series(1, $2) returning id"
AT_ONCE = 200  # connections


class Peer(asyncio.Transport):
    """The other end of a connection: keeps what the protocol writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, pieces: Iterable[Any]) -> None:
        self.written += b"".join(pieces)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("203.0.113.5", 5) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Connection:
    """A connection to one of the doors, without a network between."""

    def __init__(self, protocol: Any) -> None:
        self.protocol, self.peer = protocol, Peer()
        protocol.connection_made(self.peer)

    async def send(self, requests: Iterable[Iterable[bytes]]) -> None:
        """Send requests in pieces, each one after the answer to the one before."""
        for pieces in requests:
            for piece in pieces:
                if not self.peer.is_closed:
                    self.protocol.data_received(piece)
                await asyncio.sleep(0)
            await self.settle()

    async def settle(self) -> None:
        """Wait until all is answered that can be."""
        await until(self._is_settled)

    def close(self) -> None:
        self.peer.close()
        self.protocol.connection_lost(None)

    def _is_settled(self) -> bool:
        """Whether all is answered that can be: the rest waits for bytes that do not come."""
        protocol = self.protocol
        if self.peer.is_closed:
            return True
        if isinstance(protocol, Front):
            if protocol._plan:
                return False
            if protocol._timer:  # as if its time were over
                protocol._timer.cancel()
                protocol._leave_held()
        request = protocol._current_request
        if request is not None:
            return getattr(request.content, "_waiter", None) is not None
        return not protocol._messages and protocol._waiter is not None


def whole(_: int, data: bytes) -> list[bytes]:
    return [data]


class Doors:
    """One application, with and without the lean front."""

    def __init__(
        self, client: TestClient[web.Request, web.Application], pool: asyncpg.Pool[asyncpg.Record], token: str
    ) -> None:
        server: Any = client.server.runner.server  # type: ignore[union-attr]
        server._kwargs |= {"lingering_time": 0}
        self.pool, self.token = pool, token.encode()
        self.lean = server
        self.plain = Server(client.app, server)

    async def ask(
        self,
        door: Callable[[], Any],
        chains: Sequence[Sequence[bytes]],
        cut: Callable[[int, bytes], Iterable[bytes]] = whole,
    ) -> list[bytes]:
        """Send each chain of requests over a connection of its own; `cut` cuts a request into pieces."""
        answers: list[bytes] = []
        for start in range(0, len(chains), AT_ONCE):
            slice = chains[start : start + AT_ONCE]
            items = await self.pool.fetch(ADD_ITEMS, BIKE, len(slice))
            connections = [Connection(door()) for _ in slice]
            sending = []
            for number, (connection, item, chain) in enumerate(zip(connections, items, slice, strict=True), start):
                own = [data.replace(ITEM.encode(), str(item["id"]).encode()) for data in chain]
                own = [data.replace(TOKEN.encode(), self.token) for data in own]
                sending.append(connection.send([cut(number, data) for data in own]))
            await asyncio.gather(*sending)
            for connection in connections:
                connection.close()
            answers += [neutral(connection.peer.written) for connection in connections]
        return answers

    async def rows(self) -> Counter[bytes]:
        """Take all rows out of the tables, and return them."""
        rows: Counter[bytes] = Counter()
        for table in TABLES:
            query = f"select to_jsonb(stored)::text as json from {table} as stored"
            rows.update(neutral(record["json"].encode()) for record in await self.pool.fetch(query))
        await self.pool.execute(f"truncate {', '.join(TABLES)} cascade")
        return rows


def neutral(text: bytes) -> bytes:
    """An answer or a row without what is new each time."""
    for head, body in re.findall(rb"Content-Length: (\d+)\r\n.*?\r\n\r\n(.*?)(?=HTTP/\d\.\d \d|$)", text, re.DOTALL):
        assert not body or int(head) == len(body)
    text = re.sub(rb"Content-Length: \d+", b"Content-Length: n", text)
    return TIMES.sub(b"now", IDS.sub(b"id", text))


def differences(requests: Sequence[bytes], plain: Sequence[bytes], lean: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    return [case for case in zip(requests, plain, lean, strict=True) if case[1] != case[2]]
