"""`features`: list the features that users clicked, or drop some of them with all their clicks."""

import argparse
import json
import sys

from statsd.commands.connection import connected
from statsd.commands.tables import plain
from statsd.errors import StatsError, UsageError
from statsd.settings import Settings
from statsd.streams.usage import STREAM, features
from statsd.web.texts import spellings

EXAMPLE = "features drop old_button"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "drop"], help="list prints one JSON object per line")
    parser.add_argument("name", nargs="*", help="for drop: names of features; their clicks are deleted")


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    if bool(arguments.name) == (arguments.action == "list"):
        lack = "takes no names" if arguments.name else "needs names of features"
        raise UsageError(f"features {arguments.action} {lack}")
    async with connected(settings) as (pool, channel):
        rows = await pool.fetch(features.QUERIES["features"])
        if arguments.action == "list":
            for row in rows:
                print(json.dumps(dict(row), default=plain, ensure_ascii=False))
            return
        known = {row["feature_name"] for row in rows}
        names = {next(filter(known.__contains__, spellings(name)), name) for name in arguments.name}
        if unknown := names - known:
            raise StatsError(f"there is no feature {', '.join(sorted(unknown))}: nothing was dropped")
        clicks = await features.drop(pool, [*names])
        channel.announce(STREAM.name)
        print(f"{len(names)} features dropped, with {clicks} clicks", file=sys.stderr)
