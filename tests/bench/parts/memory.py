"""Memory: of an open socket, beside one of a bare aiohttp handler, and after thousands that came and went."""

from __future__ import annotations

import asyncio

from ..installed import SOURCES
from ..processes import Process, python
from ..results import at_most
from ..run import Run
from ..server import serving, start
from .broadcast import receiving

SOCKETS = 5_000
WARM = 500
CHURN, ROUNDS = 4_000, 5
SETTLE_SECONDS = 2.0
OF_BARE, OF_SECOND = 1.25, 1.1


async def of_a_socket(run: Run, process: Process) -> float:
    """Return KiB of resident memory per open socket."""
    address = await process.address()
    async with receiving(run, address, "/ws", WARM):
        before = process.memory()
        async with receiving(run, address, "/ws", run.size(SOCKETS)):
            return (process.memory() - before) * 1024 / run.size(SOCKETS)


async def measure(run: Run) -> None:
    ours: list[float] = []
    bare: list[float] = []
    for number in range(run.rounds):
        for sizes, process in (
            (ours, start(run.folder / f"memory-{number}")),
            (bare, Process(python(str(SOURCES / "bare.py")), run.folder)),
        ):
            try:
                sizes.append(await of_a_socket(run, process))
            finally:
                await process.stop()
    run.row("memory of a socket", ours, "KiB")
    run.row(
        "memory of a socket, of bare aiohttp", [a / b for a, b in zip(ours, bare, strict=True)], aim=at_most(OF_BARE)
    )
    await churn(run)


async def churn(run: Run) -> None:
    """Open and close thousands of sockets, again and again: the memory must not grow."""
    sizes = []
    async with serving(run.folder / "churn") as server:
        for _ in range(ROUNDS):
            async with receiving(run, server.address, "/ws", run.size(CHURN)):
                pass
            await asyncio.sleep(SETTLE_SECONDS)
            sizes.append(server.process.memory())
    note = "after each round: " + ", ".join(f"{size:.0f} MB" for size in sizes)
    name = f"memory after {ROUNDS} rounds of {run.size(CHURN):,} sockets, of after 2"
    run.row(name, [sizes[-1] / sizes[1]], aim=at_most(OF_SECOND), note=note)
