"""The processes that a part starts: their addresses, CPU time, memory, and end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from .results import ROOT

ADDRESS = r"(http://127\.0\.0\.1:\d+)"
START_SECONDS = 60
STOP_SECONDS = 30
TICKS = os.sysconf("SC_CLK_TCK")

_numbers = count(1)


class Process:
    """A child process, whose output goes to a file."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = folder / f"process-{next(_numbers)}.log"
        self._command = command
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                command, cwd=folder, env={**clean_environment(), **(environment or {})}, stdin=subprocess.PIPE,
                stdout=log, stderr=log,
            )  # fmt: skip
        self.pid = self._popen.pid

    async def says(self, pattern: str, times: int = 1, seconds: float = START_SECONDS) -> str:
        """Wait until the output has so many matches of the pattern; return the group of the last one."""
        give_up = time.monotonic() + seconds
        while len(found := re.findall(pattern, self.log.read_text(errors="replace"))) < times:
            if self._popen.poll() is not None:
                raise RuntimeError(f"{' '.join(self._command[:4])} ended:\n{self.log.read_text()[-2000:]}")
            if time.monotonic() > give_up:
                raise TimeoutError(f"{' '.join(self._command[:4])} did not print {pattern}")
            await asyncio.sleep(0.005)
        return str(found[times - 1])

    async def address(self) -> str:
        return await self.says(ADDRESS)

    def tell(self, line: str) -> None:
        assert self._popen.stdin
        self._popen.stdin.write(f"{line}\n".encode())
        self._popen.stdin.flush()

    async def finish(self) -> None:
        """End its stdin, and wait for its end."""
        assert self._popen.stdin
        self._popen.stdin.close()
        await asyncio.to_thread(self._popen.wait, STOP_SECONDS)

    async def stop(self) -> None:
        """Stop it by SIGTERM; kill it if that takes too long."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._popen.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        assert self._popen.stdin
        self._popen.stdin.close()

    def cpu(self) -> float:
        return cpu(self.pid)

    def memory(self) -> float:
        """Resident memory in MB."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0


def clean_environment() -> dict[str, str]:
    """The environment without settings of the program or of PostgreSQL's clients."""
    ours = ("STATS_", "PG", "POSTGRES_", "DATABASE_", "JWT_", "WEBHOOK_", "ALLOWED_", "CORS_", "FRONTEND_", "TRUSTED_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(ROOT)}


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def cpu(pid: int) -> float:
    """Seconds of CPU time of a process with all its threads, without its children."""
    user, system = _times(pid)[:2]
    return user + system


def cpu_of_tree(pid: int) -> float:
    """Seconds of CPU time of a process, of its living descendants, and of those that ended."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(_fields(int(entry.name))[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0.0, [pid]
    while waiting:
        process = waiting.pop()
        try:
            total += sum(_times(process))
        except OSError:
            continue
        waiting += parents.get(process, [])
    return total


def _fields(pid: int) -> list[str]:
    """The fields of proc_pid_stat(5) from `state` on; the name before may contain spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _times(pid: int) -> tuple[float, ...]:
    """utime, stime, and both of children that were waited for."""
    return tuple(int(ticks) / TICKS for ticks in _fields(pid)[11:15])
