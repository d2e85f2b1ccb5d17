"""What logins cost, whoever waits for them, and how fast the charts of usage are, in one run.

    python tests/bench/accounts.py [--seconds 20] [--clicks 1000000]

(a) the median time of a login for a known and for an unknown name, both with a wrong password; (b) p99 of `POST /event`
and of the broadcast that follows it, alone and beside another process that always has a hundred logins under way;
(c) `GET /analytics` over 1,000 clicks and over many more. Times in milliseconds.

Measured on two shared cores: a wrong password takes 36 ms for a known name and 34 for an unknown one; with a hundred
logins always under way, p99 of `/event` is 18 ms (15 without) and of a broadcast 25 (35 without); `/analytics` takes 1
to 11 ms over a million clicks, 1 to 2 over a thousand.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parent.parent.parent
LOGINS = 100
TRIES = 40
QUIET_SECONDS = 0.3  # longer than the pace of broadcasts, so that each event has a frame of its own
ANNA = {"username": "Anna", "password": "correct horse", "age": 34, "gender": "Female"}
EVENT = {"site_id": "bench", "event_type": "page_view", "path": "/", "user_id": "u1"}
QUESTIONS = {
    "no filter": {},
    "filtered, 7 days": {"gender": "Male", "ageGroup": "18-40", "startDate": "week"},
    "feature": {"feature": "date_filter"},
    "feature, New York": {"feature": "date_filter", "tz": "America/New_York"},
    "feature, Kiritimati, 60 years": {
        "feature": "date_filter", "tz": "Pacific/Kiritimati", "startDate": "1990-01-01", "endDate": "2050-01-01",
    },
}  # fmt: skip


class Server:
    """The program in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "server.log"
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "STATS_THROTTLE_EXEMPT": "127.0.0.1",
            "STATS_AGGREGATE_SECONDS": "3600",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command("serve", "--port", "0"), stderr=log, env=self._environment)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "statsd", *arguments, "--data-dir", str(self._folder / "data")]

    async def address(self) -> str:
        while not (found := re.search(r"is at (http://\S+)", self._log.read_text())):
            assert self._process.poll() is None, self._log.read_text()
            await asyncio.sleep(0.05)
        return found[1]

    async def click(self, count: int) -> None:
        """Store so many synthetic clicks."""
        command = self._command("generate", "--stream", "usage", "--count", str(count), "--quiet")
        process = await asyncio.create_subprocess_exec(*command, env=self._environment)
        assert await process.wait() == 0

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


def shown(times: list[float]) -> str:
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered):7.1f}   p99 {p99:7.1f}   of {len(ordered)}"


async def login(session: aiohttp.ClientSession, name: str) -> int:
    async with session.post("/login", json={"username": name, "password": "wrong horse"}) as response:
        await response.read()
        if response.status == 503:
            await asyncio.sleep(int(response.headers["Retry-After"]))
        return response.status


async def compare_names(session: aiohttp.ClientSession) -> None:
    times: dict[str, list[float]] = {"Anna": [], "Nobody": []}
    for _ in range(TRIES):
        for name, taken in times.items():
            taken.append(await timed(partial(login, session, name)))
    known, unknown = (statistics.median(taken) for taken in times.values())
    spread = statistics.stdev(times["Anna"])
    print(f"(a) login, wrong password: known name {known:.1f} ms, unknown {unknown:.1f} ms (deviation {spread:.1f} ms)")


async def log_in_without_end(address: str) -> None:
    """A hundred people who log in again and again, and do as they are told when they are told to wait."""
    counts: Counter[int] = Counter()

    async def person(session: aiohttp.ClientSession, number: int) -> None:
        while True:
            counts[await login(session, "Anna" if number % 2 else f"nobody-{number}")] += 1

    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with asyncio.timeout(3600), aiohttp.ClientSession(address, connector=connector) as session:
            await asyncio.gather(*(person(session, number) for number in range(LOGINS)))
    except (TimeoutError, aiohttp.ClientError, asyncio.CancelledError):
        print(f"    logins meanwhile: {dict(counts)}", flush=True)


async def disturb(session: aiohttp.ClientSession, seconds: float) -> tuple[list[float], list[float]]:
    """Times of events, eight at once, and then of the broadcast after single ones: all share one pace."""
    events: list[float] = []
    frames: list[float] = []
    end = time.monotonic() + seconds

    async def post(event: dict[str, str]) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        async with session.post("/event", json={**event, "timestamp": now}) as response:
            assert response.status == 202

    async def visitor() -> None:
        while time.monotonic() < end:
            events.append(await timed(lambda: post(EVENT)))
            await asyncio.sleep(0.02)

    async def watcher() -> None:
        async with session.ws_connect("/ws") as socket:
            await socket.send_json({"type": "subscribe", "topics": ["logins"]})
            for _ in range(2):
                await socket.receive()
            login = {"user_id": 7, "ip_address": "203.0.113.7", "region": "UK", "device_type": "Mobile", "browser": "X"}
            while time.monotonic() < end:
                await asyncio.sleep(QUIET_SECONDS)
                began = time.perf_counter()
                async with session.post("/logins", json=login) as response:
                    assert response.status == 201
                await socket.receive()
                frames.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(visitor() for _ in range(8)))
    end = time.monotonic() + seconds
    await watcher()
    return events, frames


async def compare_load(session: aiohttp.ClientSession, address: str, seconds: float) -> None:
    for name in ("alone", f"beside {LOGINS} logins at once"):
        load = None
        if name != "alone":
            load = await asyncio.create_subprocess_exec(sys.executable, __file__, "--log-in", address)
        events, frames = await disturb(session, seconds)
        print(f"(b) {name:<26} /event      {shown(events)}")
        print(f"    {'':<26} broadcast   {shown(frames)}", flush=True)
        if load:
            load.send_signal(signal.SIGINT)
            await load.wait()


async def compare_clicks(session: aiohttp.ClientSession, server: Server, token: str, many: int) -> None:
    found: dict[str, list[str]] = {name: [] for name in QUESTIONS}
    stored = 0
    for goal in (1_000, many):
        await server.click(goal - stored)
        stored = goal
        for name, asked in QUESTIONS.items():
            week = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 7 * 86_400))
            params = {key: week if value == "week" else value for key, value in asked.items()}

            async def ask(params: dict[str, str] = params) -> None:
                async with session.get("/analytics", params=params, headers={"Authorization": token}) as response:
                    assert response.status == 200, await response.text()
                    await response.read()

            found[name].append(shown([await timed(ask) for _ in range(TRIES)]))
    for name, (few, most) in found.items():
        print(f"(c) /analytics {name:<30} 1,000: {few}   {many:,}: {most}", flush=True)


async def run(folder: Path, seconds: float, clicks: int) -> None:
    server = Server(folder)
    try:
        address = await server.address()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(address, connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            async with session.post("/register", json=ANNA) as response:
                token = f"Bearer {(await response.json())['token']}"
            await compare_names(session)
            await compare_load(session, address, seconds)
            await compare_clicks(session, server, token, clicks)
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each half of (b) runs")
    parser.add_argument("--clicks", type=int, default=1_000_000, help="how many (c) has in the end")
    parser.add_argument("--log-in", metavar="ADDRESS", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.log_in:
        asyncio.run(log_in_without_end(given.log_in))
        return
    with tempfile.TemporaryDirectory(prefix="statsd-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        print(f"{os.cpu_count()} cores")
        asyncio.run(run(folder, given.seconds, given.clicks))


if __name__ == "__main__":
    main()
