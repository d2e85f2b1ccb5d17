"""Arrays and lines of 1,000 beside asyncpg over one connection: `unnest` with totals, `unnest` alone, COPY."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from ..contest import Contestant, compete, posting, ratios
from ..installed import SOURCES
from ..processes import clean_environment, python
from ..results import at_least
from ..run import Run
from ..server import Server, counter, processes, serving
from ..wrk import JSON, LINES, Load, Target, arrays, lines

EVENTS = 1_000
CONNECTIONS = 4
OF_STRAIGHT, PER_SECOND = 1.4, 75_000
STRAIGHT = {"totals": "asyncpg: unnest + totals", "unnest": "asyncpg: unnest", "copy": "asyncpg: COPY"}


def straight(run: Run, mode: str, environment: dict[str, str]) -> Callable[[float], Awaitable[Load]]:
    """A contestant's load: a process that writes over one connection."""

    async def load(seconds: float) -> Load:
        process = await asyncio.create_subprocess_exec(
            *python(str(SOURCES / "straight.py"), mode, str(EVENTS), str(seconds)), cwd=run.folder,
            env={**clean_environment(), **environment}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
        if process.returncode:
            raise RuntimeError(f"straight.py {mode} failed")
        requests, took, p50, p99 = map(float, output.split())
        return Load(int(requests), took, 0, p50, p99)

    return load


async def asyncpg_contestant(run: Run, server: Server, mode: str) -> Contestant:
    environment = await server.make_database(mode)
    load = straight(run, mode, environment)
    await load(0)  # makes the table that is counted
    database = {"PostgreSQL": server.postgres_cpu}
    return Contestant(STRAIGHT[mode], load, database, EVENTS, counter(server, "events", mode))


async def measure(run: Run) -> None:
    async with serving(run.folder / "arrays") as server:
        url = f"{server.address}/event"
        own = partial(Contestant, processes=processes(server), events=EVENTS, count=counter(server, "page_events"))
        array = Target(url, arrays(EVENTS), JSON, run.folder)
        line = Target(url, lines(EVENTS), LINES, run.folder)
        contestants = [
            own("arrays of 1,000", posting(array, CONNECTIONS)),
            own("lines, 1,000 a request", posting(line, CONNECTIONS)),
            *[await asyncpg_contestant(run, server, mode) for mode in STRAIGHT],
        ]
        results = await compete(contestants, run.rounds, run.seconds(5))
        for contestant in contestants:
            run.cost(contestant, results[contestant.name])
        limit = results[STRAIGHT["totals"]]
        for contestant in contestants[:2]:
            found = results[contestant.name]
            name = f"{contestant.name}, of unnest + totals by one connection"
            run.row(name, ratios(found, limit, "stored"), aim=at_least(OF_STRAIGHT))
        stored = [round.stored for round in results[contestants[0].name]]
        run.row("arrays of 1,000, with the load on the same cores", stored, "events/s", at_least(PER_SECOND))
        micros = [round.cpu["server"] for round in results[contestants[0].name]]
        run.row("CPU of the server per event in arrays", micros, "µs")
