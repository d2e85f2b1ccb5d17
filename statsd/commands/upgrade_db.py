"""`upgrade-db`: move the embedded database to the major version of PostgreSQL that this program brings."""

import argparse
import sys
from pathlib import Path

from statsd.commands.backup import SECONDS
from statsd.commands.restore import recount_all
from statsd.database import embedded
from statsd.database.migrations import migrate
from statsd.database.pool import connect
from statsd.database.upgrade import upgrade
from statsd.errors import StatsError
from statsd.settings import Settings

EXAMPLE = "upgrade-db"


def add(parser: argparse.ArgumentParser) -> None:
    about = "folder with the programs of the old version; default: those that come with this program"
    parser.add_argument("--old-bindir", type=Path, metavar="DIR", help=about)


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    if settings.database_url:
        raise StatsError("DATABASE_URL names a server of your own: upgrade-db is for the embedded database")
    embedded.require_cluster(settings.data_dir)
    old = arguments.old_bindir and arguments.old_bindir.resolve()
    kept = await upgrade(settings.data_dir, old, lambda line: print(line, file=sys.stderr, flush=True))
    if kept is None:
        print("the database is up to date", file=sys.stderr)
        return
    async with embedded.open_server(settings) as dsn:
        await migrate(dsn)
        connection = await connect(dsn, statement_timeout="0")
        try:
            await connection.execute("analyze", timeout=SECONDS)
            faults = await recount_all(connection)
        finally:
            connection.terminate()
    if faults:
        raise StatsError(f"the database is upgraded, but its totals differ: {'; '.join(faults)}; the old is in {kept}")
    print(f"upgraded; all totals equal a recount. The old data is in {kept}: remove it when you like", file=sys.stderr)
