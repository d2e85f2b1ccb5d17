"""How old what a page shows is: from sending an event to the frame that counts it, at 5,000 events a second."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from ..results import at_most
from ..run import Run
from ..server import serving
from ..wrk import JSON, Target, event, post, singles
from .reads import percentile

RATE = 5_000
CONNECTIONS = 50
PROBES = 20  # a second, each with its own moment: a probe waits for up to the whole pace
SLACK_MS = 30
PACES_MS = (250, 100)
SITE = "probe"  # a site of their own, so that its count says which of them a frame has


async def probe(address: str, seconds: float) -> list[float]:
    """Send probes one after the other; return the ms from each to the first frame that counts it."""
    sent: list[float] = []
    times: list[float] = []
    async with aiohttp.ClientSession(address) as session, session.ws_connect("/ws") as socket:
        await socket.send_json({"type": "subscribe", "topics": ["pageviews"]})

        async def listen() -> None:
            before = -1
            async for message in socket:
                frame = message.json()
                if frame.get("type") != "update":
                    continue
                views = next((site["views"] for site in frame["payload"]["sites"] if site["site_id"] == SITE), 0)
                before = views if before < 0 else before  # what earlier rounds sent
                now = time.perf_counter()
                while len(times) < views - before:
                    times.append((now - sent[len(times)]) * 1e3)

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.5)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sent.append(time.perf_counter())
            async with session.post("/event", json={**event(0), "site_id": SITE}) as response:
                assert response.status == 202
            await asyncio.sleep(max(0.0, sent[-1] + 1 / PROBES - time.perf_counter()))
        async with asyncio.timeout(10):
            while len(times) < len(sent):
                await asyncio.sleep(0.05)
        listening.cancel()
    return times


async def at_pace(run: Run, pace: int) -> None:
    seconds = run.seconds(8)
    async with serving(run.folder / f"freshness-{pace}", STATS_PACE_MS=str(pace)) as server:
        target = Target(f"{server.address}/event", singles(), JSON, run.folder)
        script = target.script(RATE)
        median, worst, rates = [], [], []
        for _ in range(run.rounds):
            loading = asyncio.create_task(post(script, target.url, CONNECTIONS, seconds + 2))
            await asyncio.sleep(0.5)
            times = await probe(server.address, seconds)
            load = await loading
            rates.append(load.requests / load.seconds)
            median.append(percentile(times, 0.5))
            worst.append(percentile(times, 0.99))
    rate = f"at {sum(rates) / len(rates):,.0f} events/s"
    run.row(f"freshness, pace {pace} ms, median", median, "ms", note=rate)
    run.row(f"freshness, pace {pace} ms, p99", worst, "ms", at_most(pace + SLACK_MS), rate)


async def measure(run: Run) -> None:
    for pace in PACES_MS:
        await at_pace(run, pace)
