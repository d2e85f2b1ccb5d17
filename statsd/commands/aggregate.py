"""`aggregate`: count rows that other programs inserted, or rebuild all totals."""

import argparse
import json
import sys

from statsd.commands.connection import connected
from statsd.ingest import aggregate
from statsd.settings import Settings
from statsd.streams import STREAMS

EXAMPLE = "aggregate --rebuild"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rebuild", action="store_true", help="rebuild all totals from the raw rows")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    fold = aggregate.rebuild if arguments.rebuild else aggregate.sweep
    counts = {}
    async with connected(settings) as (pool, channel):
        for stream in STREAMS:
            counts[stream.name] = await fold(pool, stream.name)
            channel.announce(stream.name)
    if arguments.json:
        print(json.dumps(counts))
    else:
        for name, rows in counts.items():
            print(f"{name}: {rows} rows counted", file=sys.stderr)
