"""`dead-letters`: list, retry or drop the accepted events that PostgreSQL refused."""

import argparse
import json

from statsd.commands.connection import connected
from statsd.ingest import dead_letters
from statsd.ingest.writer import Writer
from statsd.settings import Settings
from statsd.streams import STREAMS

EXAMPLE = "dead-letters retry all"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "retry", "drop"], help="list prints one JSON object per line")
    parser.add_argument("id", nargs="*", help="ids of events, or: all")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    queries = dead_letters.QUERIES
    async with connected(settings) as (pool, channel):
        letters = await pool.fetch(queries["list"])
        if arguments.action != "list" and "all" not in arguments.id:
            letters = [letter for letter in letters if str(letter["id"]) in arguments.id]
        if arguments.action == "drop":
            await pool.execute(queries["drop"], [letter["id"] for letter in letters])
        if arguments.action == "retry":
            deliver = {stream.name: Writer(stream, pool, channel.announce).replay for stream in STREAMS}
            letters = await dead_letters.retry(pool, letters, STREAMS, deliver)
    for letter in letters:
        print(json.dumps(dict(letter), default=str))
