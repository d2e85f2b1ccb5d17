"""Beside other designs: Express + Bull + Redis with a worker, and FastAPI with one insert each (needs --peers)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from ..contest import Contestant, compete, posting, ratios
from ..installed import NODE_MISSING, REDIS_MISSING
from ..processes import Process
from ..results import at_least
from ..run import Run
from ..server import Server, counter, processes, serving
from ..wrk import JSON, Load, Target, singles

CONNECTIONS = 64
STORED, ACKNOWLEDGED = 12, 6
BULL, FASTAPI = "Express + Bull + Redis", "FastAPI + asyncpg, one insert each"
TABLE = """
create table events (
    id bigserial primary key, site_id text not null, event_type text not null, path text not null, user_id text,
    timestamp timestamptz not null, created_at timestamptz default now()
)
"""
"""Without indexes, as the program that this one is drawn from has it: an index would cost the peer time."""


async def measure(run: Run) -> None:
    if not run.needs_peers("Express + Bull + Redis, and FastAPI"):
        return
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(run.folder / "queue"))
        rows = counter(server, "page_events")
        ours = Contestant("statsd-live", load(run, server.address), processes(server), count=rows)
        contestants = [ours, await stack.enter_async_context(fastapi(run, server))]
        if can_run_bull(run):
            contestants.append(await stack.enter_async_context(bull(run, server)))
        results = await compete(contestants, run.rounds, run.seconds(5))
    for contestant in contestants:
        run.cost(contestant, results[contestant.name])
    us = results[ours.name]
    if them := results.get(BULL):
        run.row(f"stored per second, of {BULL}", ratios(us, them, "stored"), aim=at_least(STORED))
        run.row(f"acknowledged per second, of {BULL}", ratios(us, them), aim=at_least(ACKNOWLEDGED))
    run.row(f"stored per second, of {FASTAPI}", ratios(us, results[FASTAPI], "stored"))


def load(run: Run, address: str) -> Callable[[float], Awaitable[Load]]:
    return posting(Target(f"{address}/event", singles(), JSON, run.folder), CONNECTIONS)


def can_run_bull(run: Run) -> bool:
    """Whether Redis and Node.js are there; says what is left out if not."""
    assert run.peers
    if not run.peers.has_redis:
        run.leave_out(REDIS_MISSING)
    elif not run.peers.has_node:
        run.leave_out(NODE_MISSING)
    return run.peers.has_redis and run.peers.has_node


@asynccontextmanager
async def bull(run: Run, server: Server) -> AsyncIterator[Contestant]:
    """Redis, the API and the worker."""
    assert run.peers
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {**run.peers.environment, **await server.make_database("bull"), "REDIS_PORT": port}
    await server.execute(TABLE, database="bull")
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    started = [Process(command, run.folder)]
    try:
        await started[0].says("(Ready to accept connections)")
        started += [
            Process(run.peers.node(source), run.folder, environment) for source in ("bull_worker.js", "bull_api.js")
        ]
        redis, worker, api = started
        await worker.says("(ready)")
        roles = {"API": api.cpu, "worker": worker.cpu, "Redis": redis.cpu, "PostgreSQL": server.postgres_cpu}
        rows = counter(server, "events", "bull")
        yield Contestant(BULL, load(run, await api.address()), roles, count=rows)
    finally:
        await asyncio.gather(*(process.stop() for process in reversed(started)))


@asynccontextmanager
async def fastapi(run: Run, server: Server) -> AsyncIterator[Contestant]:
    assert run.peers
    environment = {**run.peers.environment, **await server.make_database("fastapi")}
    await server.execute(TABLE, database="fastapi")
    api = Process(run.peers.python("fastapi_events.py"), run.folder, environment)
    try:
        roles = {"API": api.cpu, "PostgreSQL": server.postgres_cpu}
        rows = counter(server, "events", "fastapi")
        yield Contestant(FASTAPI, load(run, await api.address()), roles, count=rows)
    finally:
        await api.stop()
