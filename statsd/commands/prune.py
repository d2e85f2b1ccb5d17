"""`prune`: delete now what retention would delete, or count it."""

import argparse
import json
import sys

from statsd.commands.connection import connected
from statsd.commands.progress import Progress
from statsd.ingest import retention
from statsd.settings import Settings
from statsd.streams import STREAMS

EXAMPLE = "prune --dry-run"


def add(parser: argparse.ArgumentParser) -> None:
    names = [stream.name for stream in STREAMS if retention.has_retention(stream.name)]
    parser.add_argument("--dry-run", action="store_true", help="count the rows and delete none")
    parser.add_argument("--stream", choices=names, action="append", help="only this stream (again for more)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    names = [stream.name for stream in STREAMS if retention.has_retention(stream.name)]
    result = {}
    async with connected(settings) as (pool, channel):
        for name in names:
            days = settings.retention(name)
            if arguments.stream and name not in arguments.stream:
                continue
            if not days:
                print(f"{name}: kept for ever", file=sys.stderr)
                continue
            kept_from = retention.first_day(days)
            if arguments.dry_run:
                counts = await retention.overdue(pool, name, kept_from)
            else:
                progress = Progress(f"rows of {name}", None, quiet=False)
                counts = await retention.prune(pool, name, kept_from, shown=progress.show)
                channel.announce(name)
            result[name] = counts
            if not arguments.json:
                done = "would be deleted" if arguments.dry_run else "deleted"
                for table, number in counts.items():
                    print(f"{name}: {number} rows of {table} from before {kept_from} {done}")
    if arguments.json:
        print(json.dumps(result))
