"""One frame to 5,000 sockets, from the first client to the last, beside `websockets` and Node's `ws` (need --peers)."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from ..installed import NODE_MISSING
from ..processes import Process, python
from ..results import Cost, at_least
from ..run import Run
from ..server import Server, serving
from .ways import LOGIN

SOCKETS = 5_000
FRAMES = 5  # a round
PAUSE_SECONDS = 0.4  # longer than the pace of frames
OF_PEERS = 1.1
PEERS = {"websockets": "broadcast_websockets.py", "ws": "broadcast_ws.js"}


@dataclass
class Broadcaster:
    """A server, its clients, and what its rounds took: seconds from first to last, CPU µs a frame."""

    name: str
    process: Process
    receivers: Process
    trigger: Callable[[], Awaitable[None]]
    seconds: list[float] = field(default_factory=list)
    micros: list[float] = field(default_factory=list)
    broadcasts: int = 0

    async def broadcast(self) -> tuple[float, int]:
        """Return the seconds from the first client to the last, and the bytes of the payload."""
        self.broadcasts += 1
        await self.trigger()
        seconds, size = (await self.receivers.says(r"broadcast (\S+ \d+)", self.broadcasts)).split()
        return float(seconds), int(size)

    async def round(self, sockets: int) -> None:
        cpu, times = self.process.cpu(), []
        for _ in range(FRAMES):
            times.append((await self.broadcast())[0])
            await asyncio.sleep(PAUSE_SECONDS)
        self.seconds.append(statistics.median(times))
        self.micros.append((self.process.cpu() - cpu) / FRAMES / sockets * 1e6)


@asynccontextmanager
async def receiving(run: Run, address: str, path: str, count: int) -> AsyncIterator[Process]:
    """So many clients in a process of their own."""
    process = Process(python("-m", "tests.bench.receivers", address, path, str(count)), run.folder)
    try:
        await process.says("(connected)")
        yield process
    finally:
        await process.stop()


@asynccontextmanager
async def own(run: Run, server: Server, sockets: int) -> AsyncIterator[Broadcaster]:
    async with aiohttp.ClientSession() as session, receiving(run, server.address, "/ws", sockets) as receivers:

        async def trigger() -> None:
            async with session.post(f"{server.address}/logins", json=LOGIN) as response:
                assert response.status == 201

        yield Broadcaster("statsd-live", server.process, receivers, trigger)


@asynccontextmanager
async def peer(run: Run, name: str, sockets: int, size: int) -> AsyncIterator[Broadcaster]:
    """A peer that broadcasts as many bytes as our frame has."""
    assert run.peers
    command = run.peers.node if PEERS[name].endswith(".js") else run.peers.python
    process = Process(command(PEERS[name], str(size)), run.folder, run.peers.environment)
    try:
        async with receiving(run, await process.address(), "/", sockets) as receivers:

            async def trigger() -> None:
                process.tell("broadcast")

            yield Broadcaster(name, process, receivers, trigger)
    finally:
        await process.stop()


async def measure(run: Run) -> None:
    sockets = run.size(SOCKETS)
    names = list(PEERS) if run.needs_peers("the broadcasts of websockets and ws") else []
    if run.peers and not run.peers.has_node:
        run.leave_out(NODE_MISSING)
        names.remove("ws")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(run.folder / "broadcast"))
        await server.run("seed")  # before there are clients: it broadcasts, too
        ours = await stack.enter_async_context(own(run, server, sockets))
        _, size = await ours.broadcast()
        peers = [await stack.enter_async_context(peer(run, name, sockets, size)) for name in names]
        contestants = [ours, *peers]
        for contestant in peers:
            await contestant.broadcast()
        for number in range(run.rounds + 2):
            for contestant in contestants if number % 2 == 0 else reversed(contestants):
                await contestant.round(sockets)
    for contestant in contestants:
        per_second = sockets / statistics.median(contestant.seconds)
        micros = {"server": statistics.median(contestant.micros)}
        run.results.cost(Cost(run.part, f"{contestant.name}: frames of {size:,} bytes", per_second, None, None, micros))
    for contestant in peers:
        name = f"broadcast to {sockets:,} sockets, as fast as {contestant.name}, first to last"
        ratio = [theirs / us for theirs, us in zip(contestant.seconds, ours.seconds, strict=True)]
        run.row(name, ratio, aim=at_least(OF_PEERS))
    run.row(f"broadcast to {sockets:,} sockets, first to last", [seconds * 1e3 for seconds in ours.seconds], "ms")
