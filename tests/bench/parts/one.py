"""One by one: `POST /event` beside a bare aiohttp handler, over 64 and over 256 connections."""

from __future__ import annotations

from functools import partial

from ..contest import Contestant, compete, posting, ratios
from ..installed import SOURCES
from ..processes import Process, python
from ..results import at_least, at_most
from ..run import Run
from ..server import counter, processes, serving
from ..wrk import JSON, Target, singles

CALM, CROWDED = 64, 256  # connections
AIMS = {CALM: 0.8, CROWDED: 1.1}
SERVER_MICROS = 30


async def measure(run: Run) -> None:
    bare = Process(python(str(SOURCES / "bare.py")), run.folder)
    try:
        async with serving(run.folder / "one") as server:
            target = partial(Target, bodies=singles(), headers=JSON, folder=run.folder)
            event, limit = target(f"{server.address}/event"), target(f"{await bare.address()}/event")
            for connections, aim in AIMS.items():
                contestants = (
                    Contestant(
                        f"POST /event, {connections} connections", posting(event, connections), processes(server),
                        count=counter(server, "page_events"),
                    ),
                    Contestant(
                        f"bare aiohttp, {connections} connections", posting(limit, connections), {"server": bare.cpu}
                    ),
                )  # fmt: skip
                ours, theirs = (results := await compete(contestants, run.rounds, run.seconds(5))).values()
                for contestant in contestants:
                    run.cost(contestant, results[contestant.name])
                name = f"one by one, {connections} connections, of bare aiohttp"
                run.row(name, ratios(ours, theirs), aim=at_least(aim))
                if connections == CALM:
                    micros = [round.cpu["server"] for round in ours]
                    run.row("CPU of the server per event, one by one", micros, "µs", at_most(SERVER_MICROS))
    finally:
        await bare.stop()
