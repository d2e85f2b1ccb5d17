"""Load from `wrk`, the cheapest generator there is: it leaves nearly all of the two cores to the contestants."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

MISSING = "wrk makes the load: install it (Debian: apt-get install wrk)"

_numbers = count(1)

SCRIPT = """
local bodies = {}
for line in io.lines(BODIES) do bodies[#bodies + 1] = (line:gsub("\\t", "\\n")) end
local at = 0
wrk.method = "POST"
for name, value in pairs(HEADERS) do wrk.headers[name] = value end
request = function()
    at = at % #bodies + 1
    return wrk.format(nil, nil, nil, bodies[at])
end
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format("RESULT %d %d %d %d\\n", summary.requests - errors.status, summary.duration,
        errors.status + errors.timeout + errors.connect + errors.read,
        latency:percentile(99)))
end
"""

PACED = """
local ffi = require("ffi")
ffi.cdef[[typedef struct { long seconds; long nanos; } moment; int clock_gettime(int clock, moment *now);]]
local now = ffi.new("moment")
local function millis()
    ffi.C.clock_gettime(1, now)
    return tonumber(now.seconds) * 1e3 + tonumber(now.nanos) / 1e6
end
local due
delay = function()
    due = (due or millis()) + 1000 / RATE  -- of all connections
    return math.max(0, math.floor(due - millis()))
end
"""


@dataclass(frozen=True)
class Load:
    """What the generator saw: requests answered without an error, and times in milliseconds."""

    requests: int
    seconds: float
    errors: int
    p99: float


@dataclass(frozen=True)
class Target:
    """What is posted where: each body in turn."""

    url: str
    bodies: Sequence[str]
    headers: Mapping[str, str]
    folder: Path

    def script(self, rate: float | None = None) -> Path:
        number = next(_numbers)
        bodies, script = self.folder / f"bodies-{number}", self.folder / f"post-{number}.lua"
        # One body a line; the line ends within a body become tabs, which JSON's strings do not contain.
        bodies.write_text("".join(body.replace("\n", "\t") + "\n" for body in self.bodies))
        headers = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in self.headers.items())
        start = f"local BODIES = {json.dumps(str(bodies))}\nlocal HEADERS = {{{headers}}}\n"
        script.write_text(start + SCRIPT + ("" if rate is None else f"local RATE = {rate}\n" + PACED))
        return script


def is_installed() -> bool:
    return shutil.which("wrk") is not None


async def post(script: Path, url: str, connections: int, seconds: float) -> Load:
    """Post for a while over so many connections."""
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "--latency", "-s",
        str(script), url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await process.communicate())[0].decode()
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", output)
    if not found:
        raise RuntimeError(f"wrk failed: {output}")
    requests, micros, errors, p99 = map(int, found.groups())
    return Load(requests, micros / 1e6, errors, p99 / 1e3)


JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
BODIES = 40  # arrays with users of their own: not every user is known after the first request


def event(number: int) -> dict[str, str]:
    """One of many visitors on one of a few pages, now."""
    return {
        "site_id": f"site-{number % 3}",
        "event_type": "page_view",
        "path": f"/page/{number % 50}",
        "user_id": f"user-{number}",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def singles(count: int = 1_000) -> list[str]:
    return [json.dumps(event(number)) for number in range(count)]


def arrays(size: int) -> list[str]:
    return [json.dumps([event(body * size + number) for number in range(size)]) for body in range(BODIES)]


def lines(size: int) -> list[str]:
    """The events of `arrays`, one a line."""
    return ["\n".join(json.dumps(event(body * size + number)) for number in range(size)) for body in range(BODIES)]
