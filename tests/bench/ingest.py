"""How fast page events are taken, beside the limit of the machine, in one run.

    python tests/bench/ingest.py [--seconds 10] [--sustained 60]

(a) a bare aiohttp handler that reads the body and answers 202, (b) `POST /event` one by one, both with 64 connections,
(c) arrays of 1,000. The load comes from `wrk` where it is installed, else from a small asyncio client, in both cases
from another process on the same machine. Prints requests and events per second, p50 and p99 in milliseconds, the ratio
b/a, the server's memory, and whether the database holds exactly what the server says it accepted.

Measured on two shared cores, load included: one by one about half the requests of the bare handler (0.44 to 0.50), in
arrays three million events a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg

from statsd.database import embedded

ROOT = Path(__file__).parent.parent.parent
CONNECTIONS = 64
BODIES = 40  # different ones per array and user, so that not every user is known after the first request
EVENTS = 1_000
ARRAYS_AT_ONCE = 4

BARE = """
import sys, uvloop
from aiohttp import web
async def answer(request):
    await request.read()
    return web.Response(status=202, body=b'{"message":"accepted"}', content_type="application/json")
app = web.Application(client_max_size=8 << 20)
app.router.add_post("/event", answer)
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""

COUNTS = "select (select count(*) from page_events), (select coalesce(sum(views), 0)::bigint from page_days)"

WRK = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local at = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
    at = at %% #bodies + 1
    return wrk.format(nil, nil, nil, bodies[at])
end
done = function(summary, latency)
    io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
        summary.errors.status + summary.errors.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What a load found; times in milliseconds."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def event(number: int) -> dict[str, str]:
    """One of many visitors on one of a few pages, today."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "site_id": f"site-{number % 3}",
        "event_type": "page_view",
        "path": f"/page/{number % 50}",
        "user_id": f"user-{number}",
        "timestamp": now,
    }


def bodies(size: int) -> list[str]:
    """Request bodies: single events (size 0) or arrays, each with users of its own."""
    if size == 0:
        return [json.dumps(event(number)) for number in range(1_000)]
    return [json.dumps([event(body * size + number) for number in range(size)]) for body in range(BODIES)]


def load(url: str, size: int, connections: int, seconds: float, folder: Path) -> Load:
    """Post for a while from another process."""
    lines = folder / "bodies"
    lines.write_text("\n".join(bodies(size)) + "\n")
    if wrk := shutil.which("wrk"):
        script = folder / "post.lua"
        script.write_text(WRK % lines)
        command: list[str | Path] = [
            wrk,
            "-t1",
            f"-c{connections}",
            f"-d{seconds:g}s",
            "--timeout",
            "10s",
            "--latency",
            "-s",
            script,
            url,
        ]
    else:
        command = [sys.executable, __file__, "--client", url, str(lines), str(connections), f"{seconds:g}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    assert found, output
    requests, micros, errors, p50, p99 = map(int, found.groups())
    return Load(requests, micros / 1e6, errors, p50 / 1e3, p99 / 1e3)


async def client(url: str, lines: str, connections: int, seconds: float) -> None:
    """The load where there is no wrk; it takes a good part of the machine for itself."""
    texts = [line.encode() for line in Path(lines).read_text().splitlines()]
    times: list[float] = []
    errors = 0

    async def post(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal errors
        while time.monotonic() < end:
            began = time.monotonic()
            number += 1
            headers = {"Content-Type": "application/json"}
            async with session.post(url, data=texts[number % len(texts)], headers=headers) as response:
                await response.read()
                errors += response.status != 202
            times.append(time.monotonic() - began)

    start = time.monotonic()
    end = start + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(post(session, number) for number in range(connections)))
    took = time.monotonic() - start
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1e6 for share in (0.5, 0.99))
    print(f"RESULT {len(times)} {took * 1e6:.0f} {errors} {p50:.0f} {p99:.0f}")


class Server:
    """A server process on a free port, and what it stored."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._log = folder / "server.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=folder, stderr=log, env=environment)

    def url(self, pattern: str) -> str:
        give_up = time.monotonic() + 30
        while not (found := re.search(pattern, self._log.read_text())):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < give_up, "the server did not start"
            time.sleep(0.05)
        return found[1]

    def memory(self) -> float:
        """Resident memory of the server process in MB (Linux)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found
        return int(found[1]) / 1024

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


def counted(folder: Path) -> tuple[int, int]:
    """Raw rows, and page views in the totals."""

    async def fetch() -> tuple[int, int]:
        async with embedded.running(folder / "data") as server:
            connection = await asyncpg.connect(server.dsn)
            row = await connection.fetchrow(COUNTS)
            await connection.close()
            assert row
            return row[0], row[1]

    return asyncio.run(fetch())


def line(name: str, found: Load, events: int) -> None:
    print(
        f"{name:<34}{found.per_second:>9,.0f} requests/s{found.per_second * events:>10,.0f} events/s"
        f"   p50 {found.p50:7.1f} ms   p99 {found.p99:7.1f} ms   {found.errors} errors",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (a) and (b) run")
    parser.add_argument("--sustained", type=float, default=60.0, help="how long (c) runs")
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        url, lines, connections, seconds = given.client
        asyncio.run(client(url, lines, int(connections), float(seconds)))
        return
    with tempfile.TemporaryDirectory(prefix="statsd-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        print(f"load from {'wrk' if shutil.which('wrk') else 'an asyncio client'}, {os.cpu_count()} cores")
        compare(folder, given.seconds, given.sustained)


def compare(folder: Path, seconds: float, sustained: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    bare = Server([sys.executable, "-c", BARE, str(port)], folder)
    wait_for(port)
    a = load(f"http://127.0.0.1:{port}/event", 0, CONNECTIONS, seconds, folder)
    bare.stop()
    line("(a) bare handler, one by one", a, 1)

    server = Server(
        [sys.executable, "-m", "statsd", "serve", "--port", "0", "--data-dir", str(folder / "data")], folder
    )
    address = server.url(r"is at (http://\S+)")
    b = load(f"{address}/event", 0, CONNECTIONS, seconds, folder)
    line("(b) POST /event, one by one", b, 1)
    before = server.memory()
    c = load(f"{address}/event", EVENTS, ARRAYS_AT_ONCE, sustained, folder)
    line(f"(c) arrays of {EVENTS:,}, {sustained:g} s", c, EVENTS)
    after = server.memory()
    server.stop()  # after which nothing is on its way any more
    rows, views = counted(folder)
    print(
        f"ratio b/a {b.per_second / a.per_second:.2f}; arrays {c.per_second * EVENTS * 60 / 1e6:.2f} M events a minute"
    )
    print(f"memory of the server {before:.0f} MB before (c), {after:.0f} MB after")
    answered = b.requests + c.requests * EVENTS  # wrk does not count what was on its way when its time was over
    exact = rows == views and answered <= rows <= answered + CONNECTIONS + ARRAYS_AT_ONCE * EVENTS
    print(f"answered {answered:,}, rows {rows:,}, views in the totals {views:,}: {'exact' if exact else 'NOT EXACT'}")
    sys.exit(not exact)


def wait_for(port: int) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < give_up, "the bare server did not start"
            time.sleep(0.05)


if __name__ == "__main__":
    main()
