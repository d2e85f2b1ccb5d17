"""Arrays and lines of 1,000 beside asyncpg over one connection: `unnest` with totals, `unnest` alone, COPY."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
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


class Straight:
    """asyncpg over one connection, in a process for each load."""

    def __init__(self, run: Run, mode: str, environment: Mapping[str, str]) -> None:
        self._command = python(str(SOURCES / "straight.py"), mode, str(EVENTS))
        self._folder = run.folder
        self._environment = {**clean_environment(), **environment}
        self._cpu = 0.0

    def cpu(self) -> float:
        """Seconds of CPU time of its processes."""
        return self._cpu

    async def load(self, seconds: float) -> Load:
        process = await asyncio.create_subprocess_exec(
            *self._command, str(seconds), cwd=self._folder, env=self._environment, stdout=asyncio.subprocess.PIPE
        )
        output = (await process.communicate())[0].decode()
        if process.returncode:
            raise RuntimeError(f"{' '.join(self._command)} failed")
        requests, took, p99, cpu = map(float, output.split())
        self._cpu += cpu
        return Load(int(requests), took, 0, p99)


async def straight(run: Run, server: Server, mode: str) -> Contestant:
    peer = Straight(run, mode, await server.make_database(mode))
    await peer.load(0)  # makes the table that is counted
    roles = {"client": peer.cpu, "PostgreSQL": server.postgres_cpu}
    return Contestant(STRAIGHT[mode], peer.load, roles, EVENTS, counter(server, "events", mode))


async def measure(run: Run) -> None:
    async with serving(run.folder / "arrays") as server:
        url = f"{server.address}/event"
        own = partial(Contestant, processes=processes(server), events=EVENTS, count=counter(server, "page_events"))
        array = Target(url, arrays(EVENTS), JSON, run.folder)
        line = Target(url, lines(EVENTS), LINES, run.folder)
        contestants = [
            own("arrays of 1,000", posting(array, CONNECTIONS)),
            own("lines, 1,000 a request", posting(line, CONNECTIONS)),
            *[await straight(run, server, mode) for mode in STRAIGHT],
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
