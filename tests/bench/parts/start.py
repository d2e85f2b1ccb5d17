"""From the command to the address: with an empty folder, beside `initdb` alone, and with data."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from ..results import at_most
from ..run import Run
from ..server import command, start

OVER_INITDB, WARM = 0.8, 0.45
INITDB = ("--username=statsd", "--auth=trust", "--encoding=UTF8", "--locale=C", "--set=huge_pages=off")


async def started(folder: Path) -> tuple[float, float]:
    """Start the program, wait for its address, stop it; return the seconds until then, and those of its CPU time."""
    began = time.perf_counter()
    process = start(folder)
    try:
        await process.address()
        return time.perf_counter() - began, process.cpu()
    finally:
        await process.stop()


async def find_postgres(folder: Path) -> tuple[Path, os.stat_result]:
    """Return the folder of the embedded PostgreSQL's programs, and whose processes they are."""
    process = start(folder)
    try:
        await process.address()
        await command(folder, "database-url")
        pgdata = folder / "data" / "postgres"
        postmaster = int((pgdata / "postmaster.pid").read_text().splitlines()[0])
        return Path(f"/proc/{postmaster}/exe").resolve().parent, pgdata.stat()
    finally:
        await process.stop()


def initdb(programs: Path, owner: os.stat_result, folder: Path) -> float:
    """Return the seconds that initdb takes."""
    folder.mkdir()
    os.chown(folder, owner.st_uid, owner.st_gid)
    user = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    began = time.perf_counter()
    command = [str(programs / "initdb"), f"--pgdata={folder}/data", *INITDB]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, **user)  # type: ignore[call-overload]
    return time.perf_counter() - began


async def measure(run: Run) -> None:
    programs, owner = await find_postgres(run.folder / "start")
    cold, over, warm, cpu = [], [], [], []
    for number in range(run.rounds):
        alone = initdb(programs, owner, run.folder / f"initdb-{number}")
        folder = run.folder / f"start-{number}"
        cold.append((await started(folder))[0])
        over.append(cold[-1] - alone)
        seconds, cpu_seconds = await started(folder)
        warm.append(seconds)
        cpu.append(cpu_seconds)
    run.row("start with an empty folder", cold, "s")
    run.row("start with an empty folder, more than initdb takes", over, "s", at_most(OVER_INITDB))
    run.row("start with data", warm, "s", at_most(WARM))
    run.row("start with data, CPU of the program", cpu, "s")
