"""`doctor`: look for what is wrong, and say what mends it. It changes nothing."""

import argparse
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import TypeAlias

import msgspec

from statsd import program
from statsd.commands.parser import whole
from statsd.database import embedded
from statsd.database.pool import Connection, connect, in_time
from statsd.doctor import database, machine
from statsd.doctor.finding import Finding, fault
from statsd.doctor.totals import totals
from statsd.errors import DatabaseError, SomethingWrong
from statsd.settings import Settings

EXAMPLE = "doctor --days 7"
DAYS = 3
MOST_DAYS = 36_500
CHECK_SECONDS = 20.0
SLOW_CHECK_SECONDS = 900.0

Check: TypeAlias = Callable[[Connection], AsyncIterator[Finding]]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON on stdout")
    about = "random days of each stream to recount; 0: none"
    parser.add_argument("--days", type=whole(0, MOST_DAYS), default=DAYS, metavar="N", help=about)


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    findings: list[Finding] = []
    async for finding in _findings(settings, arguments.days):
        findings.append(finding)
        if not arguments.json:
            print(finding, flush=True)
    faults = sum(finding.level == "fault" for finding in findings)
    if arguments.json:
        body = {"healthy": not faults, "findings": findings}
        print(msgspec.json.format(msgspec.json.encode(body)).decode())
    if faults:
        raise SomethingWrong(f"{faults} {'fault' if faults == 1 else 'faults'} found")


async def _findings(settings: Settings, days: int) -> AsyncIterator[Finding]:
    for finding in _of_machine(settings):
        yield finding
    try:
        if not settings.database_url:
            embedded.require_cluster(settings.data_dir)
        async with embedded.open_server(settings) as dsn:
            async for finding in _of_database(settings, dsn, days):
                yield finding
    except DatabaseError as error:
        mend = "start PostgreSQL, and check the URL and the network" if settings.database_url else _EMBEDDED
        yield fault("database", str(error), mend)


_EMBEDDED = f"{program()} serve starts it; postgres.log in the data folder says why it does not run"


def _of_machine(settings: Settings) -> Iterator[Finding]:
    for check in (machine.settings, machine.permissions, machine.disk, machine.spool, machine.clock_source):
        try:
            yield from check(settings)
        except OSError as error:
            yield _not_made(check.__name__, error)


async def _of_database(settings: Settings, dsn: str, days: int) -> AsyncIterator[Finding]:
    checks: dict[str, Check] = {
        "versions": database.versions,
        "clock": database.clock,
        "durability": database.durability,
        "listen": partial(database.listen, settings=settings, dsn=dsn),
        "dead letters": database.letters,
        "accounts": partial(database.accounts, settings=settings),
        "bloat": database.bloat,
        "locks": database.transactions,
        "totals": partial(totals, days=days),
    }
    if not days:
        del checks["totals"]
    for name, check in checks.items():
        connection = await connect(dsn, lock_timeout="5s")  # one each: a check that fails leaves nothing to the next
        seconds = SLOW_CHECK_SECONDS if name == "totals" else CHECK_SECONDS
        try:
            for finding in await in_time(_collected(check(connection)), seconds, set()):
                yield finding
        except Exception as error:  # of any kind: the others shall still be made
            yield _not_made(name, error)
        finally:
            connection.terminate()


async def _collected(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


def _not_made(name: str, error: Exception) -> Finding:
    reason = str(error) or type(error).__name__
    return fault(name, f"this could not be checked: {reason}", "mend the other faults first, then run this again")
