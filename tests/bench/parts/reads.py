"""Reads while arrays come in: the 99th percentile of their times, beside that at rest."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle

import aiohttp

from ..contest import posting
from ..results import at_most
from ..run import Run
from ..server import serving
from ..wrk import JSON, Target, arrays

READS = ("/stats?site_id=site-0", "/pageviews", "/logins/stats", "/events/stats?filter=week")
PAUSE_SECONDS = 0.01  # between two reads
EVENTS = 1_000
CONNECTIONS = 4
OF_REST = 4


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


async def read_for(session: aiohttp.ClientSession, seconds: float) -> list[float]:
    """Read one after the other; return the times in ms."""
    times: list[float] = []
    end = time.monotonic() + seconds
    for path in cycle(READS):
        if time.monotonic() > end:
            return times
        started = time.perf_counter()
        async with session.get(path) as response:
            await response.read()
            assert response.status == 200, path
        times.append((time.perf_counter() - started) * 1e3)
        await asyncio.sleep(PAUSE_SECONDS)
    return times


async def measure(run: Run) -> None:
    seconds = run.seconds(6)
    async with serving(run.folder / "reads") as server, aiohttp.ClientSession(server.address) as session:
        load = posting(Target(f"{server.address}/event", arrays(EVENTS), JSON, run.folder), CONNECTIONS)
        await server.run("seed")
        await load(1)
        await read_for(session, 1)
        rest, busy = [], []
        for _ in range(run.rounds):
            rest.append(percentile(await read_for(session, seconds), 0.99))
            loading = asyncio.create_task(load(seconds + 1))
            await asyncio.sleep(0.5)
            busy.append(percentile(await read_for(session, seconds), 0.99))
            await loading
        run.row("p99 of reads at rest", rest, "ms")
        run.row("p99 of reads under arrays", busy, "ms")
        ratio = [loaded / quiet for loaded, quiet in zip(busy, rest, strict=True)]
        run.row("p99 of reads under arrays, of at rest", ratio, aim=at_most(OF_REST))
