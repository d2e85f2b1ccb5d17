"""Whether answers about webhooks cost the same with many events as with few, and what an export of all costs.

    python tests/bench/webhooks.py [--few 1000] [--many 1000000] [--types 12]

Starts `serve` on a database of its own, fills it with events of so many types over the last seven days, and measures
the median of `GET /events/stats`, of a live frame (`GET /webhooks`, the same query) and of `GET /events`, in
milliseconds, first with few events and then with many. Then exports all as CSV, JSON and lines while another client
goes on asking `/events/stats`: prints rows a second, the largest growth of the server's memory, and the other client's
median and worst answer.

Measured on two shared cores: `/events/stats` takes 0.8 ms among a thousand events and 0.9 among a million, a frame 1.2
and 2.4, `/events` 1.3 and 1.5; an export of all of them writes 100,000 rows a second and takes one megabyte.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg

from statsd.database import embedded
from statsd.ingest import aggregate

ROOT = Path(__file__).parent.parent.parent
ASKS = 200
QUESTIONS = {
    "/events/stats": "/events/stats?filter=week",
    "live frame": "/webhooks",
    "/events": "/events?filter=week&limit=100",
}

FILL = """
insert into webhook_events (event_type, user_id, metadata, received_at)
select
    'type-' || n % $3::integer, (n % 5000)::text, '{"page": "home", "browser": "chrome"}',
    now() - ($2::float8 * random()) * interval '1 second'
from generate_series(1, $1::integer) as n
"""
WEEK_SECONDS = 6.0 * 86_400


def memory(pid: int) -> float:
    """Resident memory of a process, in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["serve", "--port", str(port), "--data-dir", str(folder / "data")]
    environment = {**os.environ, "LOG_LEVEL": "warning", "PYTHONPATH": str(ROOT)}
    program = subprocess.Popen([sys.executable, "-m", "statsd", *arguments], cwd=folder, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{address}/readyz") as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
        yield address, program
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait(20)


async def fill(folder: Path, number: int, types: int) -> None:
    """Bring the table to `number` events, as another program would: inserted, then swept into the totals."""
    pool = await asyncpg.create_pool(embedded.dsn(folder / "data"), min_size=1, max_size=1)
    there = await pool.fetchval("select count(*) from webhook_events")
    await pool.execute(FILL, number - there, WEEK_SECONDS, types, timeout=None)
    await aggregate.sweep(pool, "webhooks")
    await pool.execute("vacuum analyze")
    await pool.close()


async def ask(session: aiohttp.ClientSession, address: str) -> float:
    started = time.perf_counter()
    async with session.get(address) as response:
        await response.read()
        assert response.status == 200
    return 1000 * (time.perf_counter() - started)


async def medians(address: str) -> dict[str, float]:
    async with aiohttp.ClientSession() as session:
        return {
            name: statistics.median([await ask(session, address + path) for _ in range(ASKS)])
            for name, path in QUESTIONS.items()
        }


async def export(address: str, kind: str, pid: int, mark: bytes) -> None:
    """Export all as this kind of file, in which each row has one `mark`."""
    before, peak, waits, rows, cut = memory(pid), 0.0, [], 0, b""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as session:

        async def others() -> None:
            while True:
                waits.append(await ask(session, address + QUESTIONS["/events/stats"]))
                await asyncio.sleep(0.02)

        asking = asyncio.create_task(others())
        started = time.perf_counter()
        async with session.get(f"{address}/export/{kind}?filter=week") as response:
            async for chunk in response.content.iter_any():
                rows += (cut + chunk).count(mark)
                cut = (cut + chunk)[len(cut + chunk) - len(mark) + 1 :]  # a mark may lie across two chunks
                peak = max(peak, memory(pid))
        took = time.perf_counter() - started
        asking.cancel()
    print(
        f"export {kind:7} {rows:>9,} rows in {took:5.1f} s ({rows / took:9,.0f}/s)   memory {before:.0f} MB, at most"
        f" {peak - before:+.0f} MB   others: median {statistics.median(waits):.1f} ms, worst {max(waits):.1f} ms"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--types", type=int, default=12)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="statsd-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        async with serving(Path(name)) as (address, program):
            found = []
            for number in (given.few, given.many):
                await fill(Path(name), number, given.types)
                found.append(await medians(address))
            for question in QUESTIONS:
                few, many = found[0][question], found[1][question]
                print(
                    f"{question:14} {given.few:,} events {few:6.2f} ms   {given.many:,} events {many:6.2f} ms"
                    f"   ratio {many / few:.2f}"
                )
            await export(address, "csv", program.pid, b"\n")
            await export(address, "json", program.pid, b'"eventId"')
            await export(address, "ndjson", program.pid, b"\n")


if __name__ == "__main__":
    asyncio.run(main())
