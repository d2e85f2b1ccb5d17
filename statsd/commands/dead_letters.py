"""`dead-letters`: list, retry or drop the accepted events that PostgreSQL refused."""

import argparse
import json
import sys

from statsd.commands.connection import connected
from statsd.commands.tables import plain
from statsd.errors import StatsError, UsageError
from statsd.ingest import dead_letters
from statsd.ingest.writer import Writer
from statsd.settings import Settings
from statsd.streams import STREAMS

EXAMPLE = "dead-letters retry all"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "retry", "drop"], help="list prints one JSON object per line")
    parser.add_argument("id", nargs="*", help="ids of events, or: all")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    queries, action, ids = dead_letters.QUERIES, arguments.action, {id.lower() for id in arguments.id}
    if bool(ids) == (action == "list"):
        raise UsageError(f"dead-letters {action} {'takes no ids' if ids else 'needs ids of events, or: all'}")
    async with connected(settings) as (pool, channel):
        every = letters = await pool.fetch(queries["list"])
        if action != "list" and ids != {"all"}:
            letters = [letter for letter in every if str(letter["id"]) in ids]
        if unknown := ids - {"all"} - {str(letter["id"]) for letter in letters}:
            raise StatsError(f"there is no dead letter {', '.join(sorted(unknown))}: nothing was done")
        if action == "drop":
            await pool.execute(queries["drop"], [letter["id"] for letter in letters])
            print(f"{len(letters)} dropped", file=sys.stderr)
        if action == "retry":
            deliver = {stream.name: Writer(stream, pool, channel.announce).replay for stream in STREAMS}
            stored = await dead_letters.retry(pool, letters, STREAMS, deliver)
            print(f"{len(stored)} stored, {len(letters) - len(stored)} refused again", file=sys.stderr)
            letters = stored
    for letter in letters:
        print(json.dumps(dict(letter), default=plain))
