"""A crowd: 10,000 sockets, 100 of which never read, and 1,000 event streams, with four changes a second."""

from __future__ import annotations

import asyncio
import resource
import time
from array import array

import aiohttp

from ..processes import Process, python
from ..run import Run
from ..server import Server, serving
from .broadcast import receiving
from .memory import WARM
from .ways import LOGIN

SOCKETS, STREAMS, SILENT = 10_000, 1_000, 100
CHANGES_PER_SECOND = 4
SECONDS = 20.0
SPARE_FILES = 500
CONNECT_SECONDS = 120
ARRIVAL_SECONDS = 3.0
BASE_ITEM = "8645a131-a7ae-4569-bb3c-1f1c7ae86829"  # of `seed --transfers`


async def change(address: str, seconds: float) -> tuple[list[float], list[float]]:
    """Store four logins and four items a second. Return when each was acknowledged."""
    logins: list[float] = []
    items: list[float] = []
    async with aiohttp.ClientSession(address) as session:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            for path, body, times in (("/logins", LOGIN, logins), ("/items", {"base_item_id": BASE_ITEM}, items)):
                async with session.post(path, json=body) as response:
                    assert response.status == 201
                times.append(time.monotonic())
            await asyncio.sleep(max(0.0, began + len(logins) / CHANGES_PER_SECOND - time.monotonic()))
    return logins, items


def delays(arrivals: array[float], acknowledged: list[float], before: int) -> list[float]:
    """Return the ms from the acknowledgement of each change to each client; `before` events were stored before."""
    return sorted(
        max(0.0, came - acknowledged[int(number) - before - 1]) * 1e3
        for number, came in zip(arrivals[::2], arrivals[1::2], strict=True)
        if before < number <= before + len(acknowledged)
    )


async def measure(run: Run) -> None:
    sockets, streams = run.size(SOCKETS - SILENT - WARM), run.size(STREAMS)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if sockets + streams + SILENT + SPARE_FILES > limit:
        sockets = limit - streams - SILENT - SPARE_FILES
        run.leave_out(f"crowd: more than {sockets:,} sockets, because a process may have {limit:,} open files here")
    async with serving(run.folder / "crowd") as server:
        await server.run("seed", "--transfers")
        before = int(await server.fetch("select count(*) from items"))
        async with receiving(run, server.address, "/ws", WARM):
            memory = server.process.memory()
            await crowd(run, server, (sockets, streams, SILENT), memory, before)


async def crowd(run: Run, server: Server, clients: tuple[int, int, int], memory: float, before: int) -> None:
    file = run.folder / "arrivals"
    counts = [str(count) for count in clients]
    process = Process(python("-m", "tests.bench.crowd_clients", server.address, *counts, str(file)), run.folder)
    try:
        await process.says("(connected)", seconds=CONNECT_SECONDS)
        cpu = server.process.cpu()
        logins, items = await change(server.address, run.seconds(SECONDS))
        load = (server.process.cpu() - cpu) / run.seconds(SECONDS)
        grown = (server.process.memory() - memory) * 1024 / sum(clients)
        await asyncio.sleep(ARRIVAL_SECONDS)
        await process.finish()
    finally:
        await process.stop()
    arrivals = array("d", file.read_bytes())
    end = arrivals.index(-1.0)
    of_sockets = delays(arrivals[:end], logins, 0)
    of_streams = delays(arrivals[end + 1 :], items, before)
    sockets, streams, silent = clients
    crowd = f"{WARM + sockets + silent:,} sockets ({silent} never read) and {streams:,} streams"
    run.row(f"memory of a client among {crowd}", [grown], "KiB")
    for name, found, count in (("socket", of_sockets, sockets), ("stream", of_streams, streams)):
        missed = 1 - len(found) / count / len(logins)
        note = f"{missed:.1%} of changes came together with the next one; the server used {load:.0%} of a core"
        run.row(f"change to {name}, p99, among {crowd}", [found[int(len(found) * 0.99)]], "ms", note=note)
