"""Contestants under load, in turn: what each acknowledges and stores, and what that costs each of its processes."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .results import Cost
from .wrk import Load, Target, post

WARM_SECONDS = 1.0
DRAIN_SECONDS = 30.0
"""How long a contestant that stores later is waited for. What it has not stored by then is not counted."""


@dataclass(frozen=True)
class Contestant:
    """Who takes the load: `load` runs it for so many seconds, a request has so many `events`."""

    name: str
    load: Callable[[float], Awaitable[Load]]
    processes: Mapping[str, Callable[[], float]]
    """CPU seconds so far, by process"""
    events: int = 1
    count: Callable[[], Awaitable[int]] | None = None
    """rows stored so far; None where nothing is stored"""


@dataclass(frozen=True)
class Round:
    """Events per second, p99 in ms, CPU in µs per event by process."""

    acknowledged: float
    stored: float
    p99: float
    errors: int
    cpu: dict[str, float]


def posting(target: Target, connections: int) -> Callable[[float], Coroutine[None, None, Load]]:
    script: Path = target.script()

    async def load(seconds: float) -> Load:
        return await post(script, target.url, connections, seconds)

    return load


async def compete(
    contestants: Sequence[Contestant], rounds: int, seconds: float, warm: float = WARM_SECONDS
) -> dict[str, list[Round]]:
    """Load each contestant once per round, in an order that turns around every time."""
    results: dict[str, list[Round]] = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        await contestant.load(warm)
        await _drain(contestant)
    for number in range(rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            results[contestant.name].append(await _round(contestant, seconds))
    return results


async def _round(contestant: Contestant, seconds: float) -> Round:
    before = {process: cpu() for process, cpu in contestant.processes.items()}
    rows = await contestant.count() if contestant.count else 0
    load = await contestant.load(seconds)
    acknowledged = load.requests * contestant.events
    stored = await contestant.count() - rows if contestant.count else acknowledged
    in_the_end = await _drain(contestant) - rows if contestant.count else acknowledged
    cpu = {
        process: (read() - before[process]) / max(1, in_the_end) * 1e6 for process, read in contestant.processes.items()
    }
    return Round(acknowledged / load.seconds, stored / load.seconds, load.p99, load.errors, cpu)


async def _drain(contestant: Contestant) -> int:
    """Wait until nothing more is stored; return the number of rows."""
    if contestant.count is None:
        return 0
    give_up = time.monotonic() + DRAIN_SECONDS
    rows = await contestant.count()
    while time.monotonic() < give_up:
        await asyncio.sleep(0.3)
        if (now := await contestant.count()) == rows:
            break
        rows = now
    return rows


def cost(part: str, contestant: Contestant, rounds: Sequence[Round]) -> Cost:
    """The medians of a contestant's rounds."""
    return Cost(
        part,
        contestant.name,
        statistics.median(round.acknowledged for round in rounds),
        statistics.median(round.stored for round in rounds) if contestant.count else None,
        statistics.median(round.p99 for round in rounds),
        {process: statistics.median(round.cpu[process] for round in rounds) for process in contestant.processes},
    )


def ratios(ours: Sequence[Round], theirs: Sequence[Round], what: str = "acknowledged") -> list[float]:
    """The ratio of each round."""
    return [getattr(our, what) / max(1e-9, getattr(their, what)) for our, their in zip(ours, theirs, strict=True)]
