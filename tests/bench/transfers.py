"""What a transfer costs, with few and with many before it, and what 5,000 streams cost beside 5,000 sockets.

    python tests/bench/transfers.py [--transfers 10000 10000000] [--updates 60] [--clients 5000]

For each size: a database of its own is filled (the rows by generate_series, the totals by the program's own rebuild),
then a transfer is put every now and then, and timed to its answer and to the event on a stream of minutes and on one of
milliseconds. Ten million rows take 2.2 GB of disk and some minutes. Prints medians and the slowest in milliseconds,
and the resident memory of the server in MB.

Measured on two shared cores: from a transfer to its event on a stream it takes 10 ms after ten thousand transfers (the
answer 4.4 ms) and 8 ms after ten million (4.7 ms). 5,000 streams take 14.5 KiB each, 5,000 sockets 21.2 KiB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from statsd.database import embedded, migrations
from statsd.database.pool import connect, open_pool
from statsd.ingest import aggregate, generator
from statsd.streams.transfers.sample import OWNERS
from statsd.streams.transfers.stream import TRANSFERS

ROOT = Path(__file__).parent.parent.parent
ITEMS = 10_000
PAUSE_SECONDS = 0.7  # longer than the pace of announcements and of topics, which is not what is measured here
UNITS = ("minute", "millisecond")

FILL_ITEMS = """
insert into items (base_item_id, created_at, folded)
select '00000000-0000-4000-8000-0000000000b0', now() - n * interval '1 minute', true
from generate_series(1, $1) as n
"""
INDEXES = "select indexname, indexdef from pg_indexes where tablename = 'transfers' and indexname <> 'transfers_pkey'"
FILL = """
insert into transfers ("timestamp", owner_id, item_id, folded)
select
    now() - interval '365 days' / $1::bigint * n,
    ('00000000-0000-4000-8000-0000000000a' || n % 10)::uuid,
    ids[1 + n % cardinality(ids)],
    true
from generate_series(1, $1::bigint) as n
cross join (select array_agg(id) as ids from items) as known
"""


async def fill(folder: Path, transfers: int) -> None:
    async with embedded.running(folder / "data") as server:
        await migrations.migrate(server.dsn)
        async with await open_pool(server.dsn) as pool:
            await generator.store_fixtures(pool, TRANSFERS)
            connection = await connect(server.dsn, statement_timeout="0", session_replication_role="replica")
            await connection.execute(FILL_ITEMS, ITEMS, timeout=3600)
            indexes = await connection.fetch(INDEXES)
            # Indexes are made afterwards: random ids going into them one by one take many times as long.
            await connection.execute("alter table transfers drop constraint transfers_pkey")
            for index in indexes:
                await connection.execute(f"drop index {index['indexname']}")
            await connection.execute(FILL, transfers, timeout=3600)
            await connection.execute("alter table transfers add primary key (id)", timeout=3600)
            for index in indexes:
                await connection.execute(index["indexdef"], timeout=3600)
            await connection.execute("vacuum analyze", timeout=3600)
            await connection.close()
            await aggregate.rebuild(pool, TRANSFERS.name)
            size = await pool.fetchval("select pg_size_pretty(pg_database_size(current_database()))")
            print(f"{transfers:,} transfers: {size} on disk", flush=True)


class Server:
    """`serve` on the filled database."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "statsd", "serve", "--port", "0", "--data-dir", str(folder / "data")]
            told = {"STATS_AGGREGATE_SECONDS": "3600", "STATS_THROTTLE_EXEMPT": "127.0.0.1"}
            environment = {**os.environ, "PYTHONPATH": str(ROOT), **told}
            self._process = subprocess.Popen(command, cwd=folder, stderr=log, env=environment)

    async def address(self) -> str:
        while not (found := re.search(r"is at (http://\S+)", self._log.read_text())):
            assert self._process.poll() is None, self._log.read_text()
            await asyncio.sleep(0.05)
        return found[1]

    def memory(self) -> float:
        """Resident memory in MB (Linux)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found
        return int(found[1]) / 1024

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Server, str]]:
    server = Server(folder)
    try:
        yield server, await server.address()
    finally:
        server.stop()


async def updates(folder: Path, count: int) -> None:
    """Time transfers to their answers and to the events of both units."""
    answers: list[float] = []
    events: dict[str, list[float]] = {unit: [] for unit in UNITS}
    async with serving(folder) as (_, address), aiohttp.ClientSession(address, read_bufsize=1 << 20) as session:
        streams = {unit: await session.get(f"/statistics/transfers/{unit}") for unit in UNITS}
        for stream in streams.values():
            await data(stream)
        (item,) = (await (await session.get("/items?limit=1")).json())["items"]
        for number in range(count):
            await asyncio.sleep(PAUSE_SECONDS)
            began = time.monotonic()
            waiting = {unit: asyncio.create_task(arrival(stream)) for unit, stream in streams.items()}
            body = {"to": str(next(o for o in OWNERS[number % 2 :: 2] if str(o) != item["owner_id"]))}
            item["owner_id"] = body["to"]
            async with session.put(f"/items/{item['id']}/ownership", json=body) as response:
                assert response.status == 204, await response.text()
            answers.append(time.monotonic() - began)
            for unit, task in waiting.items():
                events[unit].append(await task - began)
        for stream in streams.values():
            stream.close()
    for name, times in {"PUT to 204": answers, **{f"PUT to event, {unit}s": events[unit] for unit in UNITS}}.items():
        print(f"  {name:<28} median {statistics.median(times) * 1e3:6.1f} ms   slowest {max(times) * 1e3:6.1f} ms")


async def data(stream: aiohttp.ClientResponse) -> bytes:
    while not (line := await stream.content.readline()).startswith(b"data:"):
        assert line, "the stream ended"
    return line


async def arrival(stream: aiohttp.ClientResponse) -> float:
    await data(stream)
    return time.monotonic()


async def queries(folder: Path) -> None:
    """What the database itself takes for one update and one look."""
    async with embedded.running(folder / "data") as server, await open_pool(server.dsn) as pool:
        rows = await pool.fetch("explain (analyze, buffers) " + "select bin, count from bins where stream = 'transfers'"
                                " and unit = 'minute' order by bin desc limit 1000")  # fmt: skip
        print("  the newest 1,000 minutes:", next(row[0] for row in rows if "Execution Time" in row[0]))


async def clients(folder: Path, count: int) -> None:
    """Open streams, then sockets, on a server each; how much memory, and how long until all have heard of a change."""
    for name, opening in (("streams", open_stream), ("sockets", open_socket)):
        async with serving(folder) as (server, address):
            port = int(address.rpartition(":")[2])
            async with aiohttp.ClientSession(address) as session:
                (item,) = (await (await session.get("/items?limit=1")).json())["items"]
                before = server.memory()
                opened = []
                for _ in range(count // 100):
                    opened += await asyncio.gather(*(opening(port) for _ in range(100)))
                idle = server.memory()
                await asyncio.sleep(PAUSE_SECONDS)
                began = time.monotonic()
                to = next(str(owner) for owner in OWNERS if str(owner) != item["owner_id"])
                async with session.put(f"/items/{item['id']}/ownership", json={"to": to}) as response:
                    assert response.status == 204
                await asyncio.gather(*(reader.readuntil(b"}]") for reader, _ in opened))
                print(
                    f"{count:,} {name}: {(idle - before) * 1024 / count:.1f} KiB each ({idle:.0f} MB in all), "
                    f"{server.memory():.0f} MB after a change, which all have after {time.monotonic() - began:.2f} s",
                    flush=True,
                )
                for _, writer in opened:
                    writer.transport.abort()


async def open_stream(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(b"GET /statistics/transfers/year HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readuntil(b"}]")
    return reader, writer


async def open_socket(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    message = b'{"type":"subscribe","topics":["transfers/year"]}'
    writer.write(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)  # masked with zeros
    await reader.readuntil(b"}]")
    return reader, writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transfers", type=int, nargs="+", default=[10_000, 10_000_000])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--clients", type=int, default=5_000)
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number, transfers in enumerate(given.transfers):
        with tempfile.TemporaryDirectory(prefix="statsd-bench-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            folder.chmod(0o755)
            asyncio.run(fill(folder, transfers))
            asyncio.run(updates(folder, given.updates))
            asyncio.run(queries(folder))
            if number == 0 and given.clients:
                asyncio.run(clients(folder, given.clients))


if __name__ == "__main__":
    main()
