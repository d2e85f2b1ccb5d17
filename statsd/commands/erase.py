"""`erase`: remove one person from all that is stored, and say what was removed."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from statsd.accounts.users import Accounts, open_accounts
from statsd.commands.connection import connected
from statsd.database import sql
from statsd.database.pool import Pool
from statsd.errors import StatsError
from statsd.ingest import erase
from statsd.settings import Settings
from statsd.streams import STREAMS, usage
from statsd.web.texts import spellings

EXAMPLE = "erase --user 4711 --dry-run"
ELSEWHERE = (
    "spools of servers with another data folder: run the same command there",
    "backups, exports, and PostgreSQL's write-ahead log until it is reused",
)
STREAM_OF = {stream.name: stream for stream in STREAMS if "person" in sql.load(stream.name)}


class Report(NamedTuple):
    """What was removed: numbers of rows by stream and table; and what was not reached."""

    erased: dict[str, erase.Counts]
    not_reached: list[str]
    complete: bool
    """Whether all that this command could reach is erased."""

    def plus(self, other: "Report") -> "Report":
        """Return what was removed in two runs."""
        erased = {name: dict(counts) for name, counts in self.erased.items()}
        for name, counts in other.erased.items():
            sums = erased.setdefault(name, {})
            sums.update({table: sums.get(table, 0) + number for table, number in counts.items()})
        not_reached = [*dict.fromkeys([*self.not_reached, *other.not_reached])]
        return Report(erased, not_reached, self.complete and other.complete)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", required=True, metavar="ID", help="id of the person in the events (or of an owner)")
    parser.add_argument("--stream", choices=STREAM_OF, action="append", help="only this stream (again for more)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    parser.add_argument("--rewrite", action="store_true", help="write the tables anew, so that no freed bytes remain")
    parser.add_argument("--json", action="store_true", help="print the report as JSON on stdout")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    async with connected(settings) as (pool, channel), open_accounts(pool) as accounts:
        account = await accounts.id_of(arguments.user)
        report, persons = Report({}, [], complete=True), dict[str, str]()
        for user in spellings(arguments.user):
            found = _persons(user, account, arguments.stream or STREAM_OF)
            if not found:
                raise StatsError(f"{arguments.user} is no id that rows of {', '.join(arguments.stream)} can have")
            # An account has one id, however its name is spelt.
            further = {name: id for name, id in found.items() if persons.get(name) != id}
            report = report.plus(await everywhere(pool, settings, further, arguments.dry_run))
            persons |= found
        if account is not None and "usage" in persons:
            report.erased["usage"]["users"] = 1
            if not arguments.dry_run:
                await accounts.remove_by_id(account)
        if not arguments.dry_run:
            report = await _cleaned(pool, report, arguments.rewrite)
        for stream in persons:
            channel.announce(stream)
    show(report, arguments.dry_run, arguments.json)
    if not report.complete:
        raise StatsError("not all is erased: see what was not reached, and run the command again")


async def everywhere(pool: Pool, settings: Settings, persons: Mapping[str, str], dry_run: bool) -> Report:
    """Erase a person, whose ids by stream are `persons`, from the spool, the dead letters and the streams."""
    spooled = await erase.from_spool(settings.data_dir / "spool", persons, STREAMS, dry_run)
    letters = await erase.from_dead_letters(pool, persons, STREAMS, dry_run)
    erased = {"all": {"spool": spooled.records, "dead_letters": letters}}
    for name, person in persons.items():
        erased[name] = await erase.from_stream(pool, STREAM_OF[name], person, dry_run)
    not_reached = [f"{path}: a server that runs holds it" for path in spooled.in_use]
    not_reached += [f"{path}: has parts that cannot be read; delete it if you can" for path in spooled.damaged]
    return Report(erased, not_reached, complete=not spooled.in_use)


async def remove_account(pool: Pool, settings: Settings, accounts: Accounts, username: str) -> int:
    """Remove an account with its clicks; return their number. Raises AccountRefused."""
    person = str(await accounts.remove(username))
    report = await everywhere(pool, settings, {usage.STREAM.name: person}, dry_run=False)
    return report.erased[usage.STREAM.name][sql.table(usage.STREAM.name)]


def _persons(user: str, account: int | None, streams: Any) -> dict[str, str]:
    """Return the person's id in each stream that can have it. An account may be given by its name."""
    ids = {name: user if name != "usage" or account is None else str(account) for name in streams}
    ids = {name: id.lower() if name == "transfers" else id for name, id in ids.items()}
    return {name: id for name, id in ids.items() if STREAM_OF[name].is_person(id)}


async def _cleaned(pool: Pool, report: Report, rewrite: bool) -> Report:
    touched = {"dead_letters": 1} | {table: 1 for counts in report.erased.values() for table in counts}
    touched.pop("spool", None)
    failed = await erase.vacuum(pool, sorted(touched), rewrite)
    return report._replace(not_reached=[*report.not_reached, *(f"free space of the table {name}" for name in failed)])


def show(report: Report, dry_run: bool, as_json: bool) -> None:
    """Print the report: on stdout what was removed, on stderr what was not reached."""
    elsewhere = [*report.not_reached, *ELSEWHERE]
    if as_json:
        print(json.dumps({"dry_run": dry_run, "erased": report.erased, "not_reached": elsewhere}))
        return
    for stream, counts in report.erased.items():
        for table, number in counts.items():
            print(f"{stream:<10} {table:<20} {number:>9,}{' would be removed' if dry_run else ''}")
    for part in elsewhere:
        print(f"not reached: {part}", file=sys.stderr)
