"""What reads and ways in take among a hundred times as many rows: 10,000 and 1,000,000 of every stream."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path

import aiohttp

from ..results import at_most
from ..run import Run
from ..server import Server, serving
from ..wrk import event
from .reads import percentile
from .ways import LOGIN

FEW, MANY = 10_000, 1_000_000
ASKS = 60  # a round, or as many as fit into
ASKS_SECONDS = 2.0
QUICK_SHARE = 0.1  # of the asks: those that nothing else on the machine slowed down
SWEPT = 10_000
BATCH = 200  # small, so that few rows stay few
OF_FEW, SPAN_OF_FEW, SWEEP_OF_FEW, YEAR_MS = 1.2, 1.5, 1.3, 100

Ask = Callable[[], Awaitable[None]]


async def insert(server: Server, rows: int, folded: bool) -> None:
    """Insert rows of every stream as another program, without looking at foreign keys."""
    statements = (Path(__file__).parent.parent / "fill.sql").read_text()
    for name, value in {"$rows": f"{rows}::bigint", "$folded": str(folded)}.items():
        statements = statements.replace(name, value)
    await server.execute("set session_replication_role = replica", *statements.strip().split(";\n"))


async def fill(server: Server, rows: int) -> None:
    """Insert the rows, then make the totals of them all."""
    await server.execute("alter system set autovacuum = off", "select pg_reload_conf()")
    await server.run("seed", "--transfers")
    await insert(server, rows, folded=True)
    await server.run("aggregate", "--rebuild")
    await server.execute("vacuum analyze", "checkpoint")


async def sweep(server: Server) -> float:
    """Return the CPU seconds of PostgreSQL that it takes to count rows of other programs."""
    await insert(server, SWEPT, folded=False)
    before = server.postgres_cpu()
    await server.run("aggregate")
    return server.postgres_cpu() - before


class Client:
    """Asks one server everything, one after the other."""

    def __init__(self, session: aiohttp.ClientSession, user: dict[str, str], item: str, owners: list[str]) -> None:
        self._session = session
        self._user = user
        self._item = item
        self._owners = cycle(owners)

    async def get(self, path: str) -> None:
        async with self._session.get(path, headers=self._user) as response:
            assert response.status == 200, f"GET {path}: {response.status}"
            if response.content_type == "text/event-stream":
                while not (await response.content.readline()).startswith(b"data:"):
                    pass
                response.close()
            else:
                await response.read()

    async def post(self, path: str, body: object, method: str = "POST") -> None:
        async with self._session.request(method, path, json=body, headers=self._user) as response:
            await response.read()
            assert response.status < 300, f"{method} {path}: {response.status}"

    async def transfer(self) -> None:
        """Give the item to its next owner."""
        await self.post(f"/items/{self._item}/ownership", {"to": next(self._owners)}, "PUT")

    def reads(self) -> dict[str, Ask]:
        today = datetime.now(UTC).date()
        year, month = (f"/stats?site_id=shop&from={today - timedelta(days=days)}" for days in (365, 29))
        paths = {
            "/stats, 30 days": month,
            "/stats, 366 days": year,
            "/stats, today": "/stats?site_id=shop",
            "/pageviews": "/pageviews",
            "/logins": "/logins?limit=50",
            "/logins/stats": "/logins/stats",
            "/events": "/events?filter=week&limit=100",
            "/events/stats": "/events/stats?filter=week",
            "/webhooks": "/webhooks",
            "/usage": "/usage",
            "/analytics": "/analytics",
            "/analytics, one feature in New York": "/analytics?feature=feature-3&tz=America/New_York",
            "/items": "/items?limit=50",
            "/items/{id}": f"/items/{self._item}",
            "/transfers": "/transfers",
            "/statistics/transfers/day": "/statistics/transfers/day",
            "/statistics/item-creation/minute": "/statistics/item-creation/minute",
        }
        return {f"GET {name}": partial(self.get, path) for name, path in paths.items()}

    def ways_in(self) -> dict[str, Ask]:
        bodies: dict[str, object] = {
            "/event": {**event(1), "site_id": "shop"},
            "/webhook": {"eventType": "type-1", "userId": "1"},
            "/logins": LOGIN,
            "/track": {"feature_name": "feature-1"},
        }
        return {
            **{f"POST {path}": partial(self.post, path, body) for path, body in bodies.items()},
            **{
                f"POST {path}, {BATCH} at a time": partial(self.post, path, [body] * BATCH)
                for path, body in bodies.items()
            },
            "PUT /items/{id}/ownership": self.transfer,
        }


async def timed(ask: Ask) -> float:
    """Return the ms that it takes."""
    started = time.perf_counter()
    await ask()
    return (time.perf_counter() - started) * 1e3


async def quickest(few: Ask, many: Ask, asks: int = ASKS) -> tuple[float, float]:
    """Ask both in turn; return the ms of the quickest tenth."""
    times: tuple[list[float], list[float]] = ([], [])
    end = time.monotonic() + ASKS_SECONDS
    while len(times[0]) < asks and time.monotonic() < end:
        for ask, taken in zip((few, many), times, strict=True):
            taken.append(await timed(ask))
    return percentile(times[0], QUICK_SHARE), percentile(times[1], QUICK_SHARE)


async def measure(run: Run) -> None:
    sizes = (run.size(FEW), run.size(MANY))
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving(run.folder / f"growth-{rows}")) for rows in sizes]
        clients = []
        for server, rows in zip(servers, sizes, strict=True):
            began = time.monotonic()
            await fill(server, rows)
            print(f"  {rows:,} rows of each stream filled in {time.monotonic() - began:.0f} s", flush=True)
            session = await stack.enter_async_context(aiohttp.ClientSession(server.address))
            item = await server.fetch("select id::text from items order by id desc limit 1")
            owners = await server.fetch("select array_agg(id::text) from owners")
            clients.append(Client(session, await server.log_in(), item, owners))
        few, many = clients
        reads = await compare(run, few.reads(), many.reads(), sizes)
        ways = await compare(run, few.ways_in(), many.ways_in(), sizes)
        swept = [[await sweep(server) for server in servers] for _ in range(run.rounds)]
    span = [name for name in reads if "days" in name]
    run.row(f"growth of {span[0]}", reads[span[0]], aim=at_most(SPAN_OF_FEW))
    worst(run, "reads", {name: ratios for name, ratios in reads.items() if name not in span})
    worst(run, "ways in", ways)
    name = f"growth of counting {SWEPT:,} rows of each stream that other programs inserted"
    run.row(name, [more / fewer for fewer, more in swept], aim=at_most(SWEEP_OF_FEW), note="CPU of PostgreSQL")


async def compare(
    run: Run, few: dict[str, Ask], many: dict[str, Ask], sizes: tuple[int, int]
) -> dict[str, list[float]]:
    """Return the ratio of each round, by name, and report the medians."""
    fewer, more = (f"{size:,}" for size in sizes)
    found = {}
    for name, ask in few.items():
        await quickest(ask, many[name], 3)
        rounds = [await quickest(ask, many[name]) for _ in range(run.rounds)]
        found[name] = [more_ms / fewer_ms for fewer_ms, more_ms in rounds]
        few_ms, many_ms = (statistics.median(times) for times in zip(*rounds, strict=True))
        if name == "GET /stats, 366 days":
            run.row(f"{name} among {more} rows", [more_ms for _, more_ms in rounds], "ms", at_most(YEAR_MS))
        run.row(f"{name}: {fewer} → {more} rows", found[name], note=f"{few_ms:.2f} → {many_ms:.2f} ms")
    return found


def worst(run: Run, what: str, found: dict[str, list[float]]) -> None:
    """Report the one that grows most."""
    name = max(found, key=lambda name: statistics.median(found[name]))
    run.row(f"growth of {what}, the most", found[name], aim=at_most(OF_FEW), note=name)
