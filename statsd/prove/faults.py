"""The faults: how each is made while clients post, and how it is mended."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from statsd.database import sql
from statsd.errors import DatabaseError, StatsError
from statsd.prove.scratch import Scratch, until

FREEZE_SECONDS = 12.0  # past ten, after which the program gives up a statement
LONG_FREEZE_SECONDS = 30.0
AWAY_SECONDS = 2.0  # past the 0.75 s after which an event goes to the spool
FEW_BYTES = str(1 << 20)  # the smallest spool that the settings allow
SEGMENT_NUMBER = 1
REPLAY_ATTEMPTS = 3
GARBAGE_BYTES = 5_000


@dataclass(frozen=True)
class Fault:
    """A way to break the server. `seconds` is about how long it takes."""

    name: str
    about: str
    run: Callable[[Scratch], Awaitable[None]]
    seconds: float
    lacks: Callable[[Scratch], str] = lambda scratch: ""
    """Return what the machine lacks to make this fault; an empty text if nothing."""


FAULTS: dict[str, Fault] = {}


def fault(
    about: str, seconds: float, lacks: Callable[[Scratch], str] = lambda scratch: ""
) -> Callable[[Callable[[Scratch], Awaitable[None]]], Callable[[Scratch], Awaitable[None]]]:
    """Register a function as a fault, under its own name."""

    def register(run: Callable[[Scratch], Awaitable[None]]) -> Callable[[Scratch], Awaitable[None]]:
        FAULTS[run.__name__] = Fault(run.__name__, about, run, seconds, lacks)
        return run

    return register


def no_disks(scratch: Scratch) -> str:
    return "" if scratch.disks else "a small disk to fill: run it as root, which may mount one in memory"


def no_clock(scratch: Scratch) -> str:
    return "" if faketime() else "libfaketime: apt-get install libfaketime"


def faketime() -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


# ---- kills


@fault("kill -9 of the program", 2)
async def kill_program(scratch: Scratch) -> None:
    scratch.signal_server(signal.SIGKILL)
    await scratch.start()


@fault("kill -9 of PostgreSQL and all its processes", 2)
async def kill_database(scratch: Scratch) -> None:
    scratch.signal_database(signal.SIGKILL)
    await _database_is_back(scratch)


@fault("kill -9 of program and PostgreSQL", 3)
async def kill_both(scratch: Scratch) -> None:
    scratch.signal_server(signal.SIGKILL)
    scratch.signal_database(signal.SIGKILL)
    await scratch.start()


@fault("kill -9 of the program during the replay of the spool", 6)
async def kill_program_in_replay(scratch: Scratch) -> None:
    await _replaying(scratch)
    await kill_program(scratch)


@fault("kill -9 of PostgreSQL during the replay of the spool", 6)
async def kill_database_in_replay(scratch: Scratch) -> None:
    await _replaying(scratch)
    await kill_database(scratch)


@fault("kill -9 of program and PostgreSQL during the replay of the spool", 6)
async def kill_both_in_replay(scratch: Scratch) -> None:
    await _replaying(scratch)
    await kill_both(scratch)


@fault("two servers on one database, killed by turns", 6)
async def kill_servers_by_turns(scratch: Scratch) -> None:
    await scratch.start(1)
    await asyncio.sleep(AWAY_SECONDS / 2)
    for number in (0, 1):
        scratch.signal_server(signal.SIGKILL, number)
        await asyncio.sleep(AWAY_SECONDS / 4)
        await scratch.start(number)
    await asyncio.sleep(AWAY_SECONDS / 2)
    scratch.addresses.remove(scratch.address(1))
    await scratch.settle()
    await scratch.stop(1)


@fault("SIGTERM under load", 3)
async def stop_program(scratch: Scratch) -> None:
    await scratch.stop()
    await scratch.start()


# ---- a database that does not answer, or refuses


@fault("SIGSTOP of PostgreSQL", FREEZE_SECONDS)
async def freeze_database(scratch: Scratch) -> None:
    await _frozen(scratch, FREEZE_SECONDS)


@fault("SIGSTOP of PostgreSQL for 30 s", LONG_FREEZE_SECONDS)
async def freeze_database_long(scratch: Scratch) -> None:
    await _frozen(scratch, LONG_FREEZE_SECONDS)


@fault("SIGSTOP of the program", AWAY_SECONDS)
async def freeze_program(scratch: Scratch) -> None:
    scratch.signal_server(signal.SIGSTOP)
    await asyncio.sleep(AWAY_SECONDS)
    scratch.signal_server(signal.SIGCONT)


@fault("all connections to PostgreSQL cut", 1)
async def cut_connections(scratch: Scratch) -> None:
    async with scratch.connected() as connection:
        await connection.execute(sql.load("prove")["cut_connections"])


@fault("the LISTEN connection cut", 1)
async def cut_listen(scratch: Scratch) -> None:
    async with scratch.connected() as connection:
        await connection.execute(sql.load("prove")["cut_listen"])


@fault("no connection left in PostgreSQL", 3)
async def take_connections(scratch: Scratch) -> None:
    end = asyncio.get_running_loop().time() + AWAY_SECONDS
    taken = []
    async with scratch.connected() as connection:
        while asyncio.get_running_loop().time() < end:
            try:
                taken.append(await scratch.connect())
            except DatabaseError:
                await connection.execute(sql.load("prove")["cut_connections"])
    for other in taken:
        other.terminate()


@fault("a database that is read-only", 3)
async def make_read_only(scratch: Scratch) -> None:
    async with scratch.connected() as connection:
        await connection.execute("alter system set default_transaction_read_only = on")
        await connection.execute("select pg_reload_conf()")
        await asyncio.sleep(AWAY_SECONDS)
        await connection.execute("alter system reset default_transaction_read_only")
        await connection.execute("select pg_reload_conf()")


@fault("locks on every table", 3)
async def lock_tables(scratch: Scratch) -> None:
    async with scratch.connected() as connection:
        tables = ", ".join(row["table"] for row in await connection.fetch(sql.load("prove")["tables"]))
        while True:
            with contextlib.suppress(asyncpg.DeadlockDetectedError):
                async with connection.transaction():
                    await connection.execute(f"lock table {tables} in access exclusive mode", timeout=60)
                    await asyncio.sleep(AWAY_SECONDS)
                return


# ---- disks


@fault("a full disk under PostgreSQL", 6, no_disks)
async def fill_database_disk(scratch: Scratch) -> None:
    await _full(scratch, "database")


@fault("a full disk under the spool, and PostgreSQL frozen", 4, no_disks)
async def fill_spool_disk(scratch: Scratch) -> None:
    scratch.fill("spool")
    await _frozen(scratch, AWAY_SECONDS)
    scratch.free("spool")


@fault("full disks under PostgreSQL and the spool", 6, no_disks)
async def fill_both_disks(scratch: Scratch) -> None:
    await _full(scratch, "database", "spool")


@fault("a spool at its limit", 6)
async def fill_spool(scratch: Scratch) -> None:
    await scratch.stop()
    await scratch.start(STATS_SPOOL_MAX_BYTES=FEW_BYTES)
    await _frozen(scratch, 2 * AWAY_SECONDS)
    await scratch.settle()
    await stop_program(scratch)


@fault("torn and foreign bytes in the spool's files", 6)
async def litter_spool(scratch: Scratch) -> None:
    """What was acknowledged is whole; around it is what a crash or another program may leave."""
    scratch.signal_database(signal.SIGSTOP)
    await asyncio.sleep(AWAY_SECONDS)
    scratch.signal_server(signal.SIGKILL)
    files = scratch.waiting_files()
    if not files:
        raise StatsError("the spool stayed empty while PostgreSQL was frozen")
    for file in files:
        with file.open("ab") as segment:
            segment.write(b"\xa5\x5a\x00\x00\x10\x00torn" if file is files[-1] else os.urandom(GARBAGE_BYTES))
    files[0].with_name(f"{SEGMENT_NUMBER:016}.seg").write_bytes(os.urandom(GARBAGE_BYTES))
    scratch.signal_database(signal.SIGCONT)
    await scratch.start()


# ---- clocks


@fault("the clock an hour back, then two hours ahead", 8, no_clock)
async def turn_clock(scratch: Scratch) -> None:
    library, clock = faketime(), scratch.folder / "clock"
    clock.write_text("+0")
    await scratch.stop()
    await scratch.start(
        LD_PRELOAD=str(library),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_CACHE_DURATION="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    for offset in ("-1h", "+2h"):
        clock.write_text(offset)
        await asyncio.sleep(1 + AWAY_SECONDS / 2)
        await kill_database(scratch)
    await stop_program(scratch)


# ---- what they have in common


async def _database_is_back(scratch: Scratch) -> None:
    async with scratch.connected():
        pass


async def _frozen(scratch: Scratch, seconds: float) -> None:
    scratch.signal_database(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        scratch.signal_database(signal.SIGCONT)


async def _full(scratch: Scratch, *disks: str) -> None:
    try:
        for _ in range(6):  # PostgreSQL recycles files: what becomes free is taken again
            for disk in disks:
                scratch.fill(disk)
            await asyncio.sleep(AWAY_SECONDS / 4)
    finally:
        for disk in disks:
            scratch.free(disk)
    await scratch.settle()


async def _replaying(scratch: Scratch) -> None:
    """Freeze PostgreSQL, and return in the middle of the replay that follows."""

    async def draining() -> bool:
        health = await scratch.health()
        state = health["checks"]["spool"]["state"] if health else ""
        return state in ("draining", "empty")

    for attempt in range(1, REPLAY_ATTEMPTS + 1):
        await _frozen(scratch, attempt * AWAY_SECONDS)
        await until(draining, 60, "the spool is replayed")
        if scratch.waiting_files():
            return
    raise StatsError(f"the spool was replayed before it could be interrupted, {REPLAY_ATTEMPTS} times")
